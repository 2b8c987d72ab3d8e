// Dense products: a kernel of GEMM_ROWS × GEMM_PANELS · 16 results in registers over packed A and B.
//
// Units are blocks of rows (and of panels, where there are few rows); the sum over k is never split, so results do not depend on threads.
// Per unit and GEMM_DEPTH: the A block is copied to scratch (L2), each panel pair of B (L1) then meets all its rows. Where B is too large for the
// caches near the processor, units have more rows and fewer panels, and the next panels are asked for while these are worked on.

typedef struct {
  ck_orientation a_orientation, b_orientation;
  size_t m, n, k, lda, ldb, ldc;
  const float *a, *b, *bias;
  float *c;
  bool accumulate;
  const ck_product_epilogue *epilogue;  // or NULL
  const float *packed_b;
  size_t panel_stride;     // floats from a panel to the next
  float *a_scratch;        // without a pool
  ck_pool *pool;
  size_t block_rows, block_panels, row_blocks;
  bool a_in_place;  // rows of A lie GEMM_ROW_STRIDE apart: they are not copied
  bool streams_b;  // B comes from memory or a cache that others share
  // k counts words of A's rows and of packed B: a float, or a pair of bfloat16.
  word_kind words;
  size_t row_floats;  // of A, where the words are not plain floats
} gemm_job;

/// What the kernel does with its sums.
typedef struct {
  float *c;
  size_t ldc;
  const float *bias;  // for the first columns, or NULL
  bool accumulate;
} gemm_target;

/// Results are asked for before long sums (3 % on ViT-S); short ones are over before the lines arrive.
enum { GEMM_PREFETCH_DEPTH = 128 };

#define DEFINE_GEMM_KERNEL(NAME, MULTIPLY_ADD, R, P)                                                                                    \
  static __attribute__((noinline)) void NAME##_##R##_##P(size_t depth, const float *a, const float *b, size_t panel_stride,        \
                                                              const gemm_target *target) {                                              \
    if (depth >= GEMM_PREFETCH_DEPTH)                                                                                                   \
      UNROLLED for (int r = 0; r < R; ++r)                                                                                              \
        UNROLLED for (int p = 0; p <= P; ++p) prefetch_line(target->c + (size_t)r * target->ldc + p * CK_LANES - (p == P));             \
    v16 sum[R * P];                                                                                                                     \
    UNROLLED for (int i = 0; i < R * P; ++i) sum[i] = splat(0);                                                                         \
    HOT_LOOP(GEMM_UNROLLED) for (size_t i = 0; i < depth; ++i) {                                                                        \
      v16 w[P];                                                                                                                         \
      UNROLLED for (int p = 0; p < P; ++p) w[p] = load(b + (size_t)p * panel_stride + i * CK_LANES);                                    \
      UNROLLED for (int r = 0; r < R; ++r) {                                                                                            \
        v16 x = splat(a[r * GEMM_ROW_STRIDE + i]);                                                                                      \
        UNROLLED for (int p = 0; p < P; ++p) sum[r * P + p] = MULTIPLY_ADD(x, w[p], sum[r * P + p]);                                    \
      }                                                                                                                                 \
    }                                                                                                                                   \
    UNROLLED for (int p = 0; p < P; ++p) {                                                                                              \
      v16 bias = target->bias ? load_unaligned(target->bias + p * CK_LANES) : splat(0);                                                 \
      UNROLLED for (int r = 0; r < R; ++r) {                                                                                            \
        float *c = target->c + (size_t)r * target->ldc + p * CK_LANES;                                                                  \
        v16 value = sum[r * P + p] + bias;                                                                                              \
        if (target->accumulate) value += load_unaligned(c);                                                                             \
        store_unaligned(c, value);                                                                                                      \
      }                                                                                                                                 \
    }                                                                                                                                   \
  }
typedef void (*gemm_kernel)(size_t depth, const float *a, const float *b, size_t panel_stride, const gemm_target *target);

#define DEFINE_GEMM_KERNELS_1(R) DEFINE_GEMM_KERNEL(gemm_kernel, multiply_add, R, 1)
#define GEMM_ENTRY_1(R) gemm_kernel_##R##_1,
GEMM_ROW_SIZES(DEFINE_GEMM_KERNELS_1)
#if GEMM_PANELS == 2
#define DEFINE_GEMM_KERNELS_2(R) DEFINE_GEMM_KERNEL(gemm_kernel, multiply_add, R, 2)
#define GEMM_ENTRY_2(R) gemm_kernel_##R##_2,
GEMM_ROW_SIZES(DEFINE_GEMM_KERNELS_2)
#endif
static const int gemm_row_sizes[] = {GEMM_ROW_SIZES(SIZE_ENTRY)};
enum { GEMM_SIZE_COUNT = sizeof gemm_row_sizes / sizeof gemm_row_sizes[0] };
static const gemm_kernel gemm_kernels[GEMM_PANELS][GEMM_SIZE_COUNT] = {
    {GEMM_ROW_SIZES(GEMM_ENTRY_1)},
#if GEMM_PANELS == 2
    {GEMM_ROW_SIZES(GEMM_ENTRY_2)},
#endif
};

#if HAS_BFLOAT16_PAIRS
// The same kernels over pairs, behind the other templates: they need one more feature of the processor.
static const gemm_kernel gemm_pair_kernels[GEMM_PANELS][GEMM_SIZE_COUNT];
INLINE const gemm_kernel *kernels_of(const gemm_job *job, size_t panels) {
  return job->words == WORDS_BFLOAT16_PAIRS ? gemm_pair_kernels[panels - 1] : gemm_kernels[panels - 1];
}
#else
INLINE const gemm_kernel *kernels_of(const gemm_job *job, size_t panels) {
  (void)job;
  return gemm_kernels[panels - 1];
}
#endif

/// Floats of A as words of bfloat16, 0 behind the last.
static void gemm_pack_rounded(const gemm_job *job, size_t row, size_t rows, size_t first, size_t depth, float *packed) {
  size_t floats = job->words == WORDS_BFLOAT16_PAIRS ? 2 : 1, begin = first * floats;
  size_t count = job->row_floats - begin < depth * floats ? job->row_floats - begin : depth * floats;
  for (size_t r = 0; r < rows; ++r, packed += GEMM_ROW_STRIDE)
    bfloat16_factors(job->words, job->a + (row + r) * job->lda + begin, count, packed);
}

/// Copies a block of A to rows of GEMM_ROW_STRIDE.
static void gemm_pack_a(const gemm_job *job, size_t row, size_t rows, size_t first, size_t depth, float *packed) {
  if (job->words != WORDS_FLOATS) {
    gemm_pack_rounded(job, row, rows, first, depth, packed);
    return;
  }
  if (job->a_orientation == CK_NORMAL) {
    for (size_t r = 0; r < rows; ++r) memcpy(packed + r * GEMM_ROW_STRIDE, job->a + (row + r) * job->lda + first, depth * sizeof(float));
    return;
  }
  const float *a = job->a + first * job->lda + row;
  size_t r = 0;
  for (; r + 16 <= rows; r += 16) {
    size_t i = 0;
    for (; i + 16 <= depth; i += 16) transpose16(a + i * job->lda + r, job->lda, packed + r * GEMM_ROW_STRIDE + i, GEMM_ROW_STRIDE);
    for (; i < depth; ++i)
      for (size_t s = r; s < r + 16; ++s) packed[s * GEMM_ROW_STRIDE + i] = a[i * job->lda + s];
  }
  for (; r < rows; ++r)
    for (size_t i = 0; i < depth; ++i) packed[r * GEMM_ROW_STRIDE + i] = a[i * job->lda + r];
}

/// Packs one panel of B (16 columns, depth rows from `first` on), zeros beyond n.
static void gemm_pack_panel(ck_orientation orientation, size_t n, const float *b, size_t ldb, size_t column, size_t first, size_t depth,
                            float *packed) {
  size_t columns = n - column < CK_LANES ? n - column : CK_LANES;
  if (orientation == CK_NORMAL) {
    const float *source = b + first * ldb + column;
    if (columns == CK_LANES) {
      for (size_t i = 0; i < depth; ++i) store(packed + i * CK_LANES, load_unaligned(source + i * ldb));
    } else {
      for (size_t i = 0; i < depth; ++i) {
        store(packed + i * CK_LANES, splat(0));
        for (size_t j = 0; j < columns; ++j) packed[i * CK_LANES + j] = source[i * ldb + j];
      }
    }
    return;
  }
  const float *source = b + column * ldb + first;
  size_t i = 0;
  if (columns == CK_LANES)
    for (; i + 16 <= depth; i += 16) transpose16(source + i, ldb, packed + i * CK_LANES, CK_LANES);
  for (; i < depth; ++i)
    for (size_t j = 0; j < CK_LANES; ++j) packed[i * CK_LANES + j] = j < columns ? source[j * ldb + i] : 0;
}

/// The last panel of a row of results may be cut: it is computed in a full buffer, then its columns are added one by one.
static void gemm_cut_panel(const gemm_job *job, size_t depth, const float *a, const float *b, size_t rows_index, size_t columns, const gemm_target *target) {
  _Alignas(64) float full[GEMM_ROWS * CK_LANES];
  gemm_target bare = {full, CK_LANES, NULL, false};
  kernels_of(job, 1)[rows_index](depth, a, b, 0, &bare);
  for (int r = 0; r < gemm_row_sizes[rows_index]; ++r) {
    for (size_t j = 0; j < columns; ++j) {
      float *c = target->c + (size_t)r * target->ldc + j;
      float value = full[r * CK_LANES + (int)j] + (target->bias ? target->bias[j] : 0);
      *c = target->accumulate ? value + *c : value;
    }
  }
}

/// The part of A that this worker packs next: the same rows further along k, then most likely the rows after those that the other workers have.
static upcoming_operand gemm_upcoming(const gemm_job *job, size_t row, size_t rows, size_t first) {
  upcoming_operand next = {.plane = job->lda, .stream_count = 1};
  if (job->a_orientation != CK_NORMAL || job->a_in_place) return next;
  if (first >= job->k) {
    first = 0;
    row += job->block_rows * (job->pool ? (size_t)ck_pool_threads(job->pool) : 1);
    if (!job->pool || row >= job->m) return next;
    rows = job->m - row < job->block_rows ? job->m - row : job->block_rows;
  }
  size_t floats = job->words == WORDS_BFLOAT16_PAIRS ? 2 : 1;
  next.streams[0] = job->a + row * job->lda + first * floats;
  next.blocks = (int)rows;
  next.lines = (int)(((job->k - first < GEMM_DEPTH ? job->k - first : GEMM_DEPTH) * floats + CK_LANES - 1) / CK_LANES);
  return next;
}

/// Applies the epilogue, but for the bias, to one vector of results.
INLINE v16 gemm_finish_vector(const ck_product_epilogue *epilogue, v16 value, const float *addend, const float *slopes, float *values) {
  if (epilogue->addend) value += load_unaligned(addend);
  if (epilogue->function == CK_ROW_NONE) return value;
  bool gelu = epilogue->function == CK_ROW_GELU;
  if (epilogue->slopes) {
    v16 at = load_unaligned(slopes);
    return gelu ? value * gelu_slope(at) : ((at > splat(0)) ? value : splat(0));
  }
  store_unaligned(values, gelu ? value * normal_distribution(value) : relu(value));
  return value;
}

/// The same for rows × columns results of C, which are still in the L1 cache.
static void gemm_finish(const gemm_job *job, size_t row, size_t rows, size_t column, size_t columns) {
  const ck_product_epilogue *epilogue = job->epilogue;
  bool moved = epilogue->values && epilogue->values != job->c, stores = epilogue->addend || epilogue->slopes;
  for (size_t r = row; r < row + rows; ++r) {
    size_t place = r * job->ldc + column, i = 0;
#define PART(pointer, otherwise) (epilogue->pointer ? epilogue->pointer + place + i : (otherwise))
    for (; i + CK_LANES <= columns; i += CK_LANES) {
      float *c = job->c + place + i;
      v16 value = gemm_finish_vector(epilogue, load_unaligned(c), PART(addend, c), PART(slopes, c), PART(values, c));
      if (stores && (moved || !epilogue->values)) store_unaligned(c, value);
    }
    if (i < columns) {
      size_t bytes = (columns - i) * sizeof(float);
      float parts[4][CK_LANES] = {{0}}, *c = job->c + place + i;
      memcpy(parts[0], c, bytes);
      memcpy(parts[1], PART(addend, c), bytes);
      memcpy(parts[2], PART(slopes, c), bytes);
      v16 value = gemm_finish_vector(epilogue, load_unaligned(parts[0]), parts[1], parts[2], parts[3]);
      store_unaligned(parts[0], value);
      if (stores && (moved || !epilogue->values)) memcpy(c, parts[0], bytes);
      if (epilogue->values) memcpy(epilogue->values + place + i, parts[3], bytes);
    }
#undef PART
  }
}

/// values ← f(x) as an epilogue has it.
static void row_values(ck_row_function function, const float *x, float *values, size_t count) {
  ck_product_epilogue epilogue = {.function = function, .values = values};
  // Such an epilogue only reads C.
  gemm_job job = {.c = (float *)x, .epilogue = &epilogue};
  gemm_finish(&job, 0, 1, 0, count);
}

/// Asks for rows [first, end) of a unit's share of the next panels, so that all of them are near when their turn comes.
INLINE void gemm_prefetch_panels(const float *b, size_t panel_stride, size_t panels, size_t depth, size_t first, size_t end, size_t rows) {
  for (size_t p = 0; p < panels; ++p)
    for (size_t line = depth * first / rows; line < depth * end / rows; ++line) prefetch_line(b + p * panel_stride + line * CK_LANES);
}

static void gemm_block(const gemm_job *job, size_t row, size_t rows, size_t panel, size_t panel_end, float *a_block) {
  for (size_t first = 0; first < job->k; first += GEMM_DEPTH) {
    size_t depth = job->k - first < GEMM_DEPTH ? job->k - first : GEMM_DEPTH;
    const float *block = job->a_in_place ? job->a + row * GEMM_ROW_STRIDE + first : a_block;
    if (!job->a_in_place) gemm_pack_a(job, row, rows, first, depth, a_block);
    upcoming_operand next = gemm_upcoming(job, row, rows, first + depth);
    bool finishes = job->epilogue && first + depth == job->k;
    int calls = (int)((rows / GEMM_ROWS + 1) * ((panel_end - panel) / GEMM_PANELS + 1)), lines = lines_per_step(&next, calls);
    for (size_t p = panel; p < panel_end;) {
      size_t panels = panel_end - p < GEMM_PANELS ? panel_end - p : GEMM_PANELS;
      size_t column = p * CK_LANES;
      if (panels > 1 && column + panels * CK_LANES > job->n) panels = 1;
      bool cut = column + CK_LANES > job->n;
      const float *b = job->packed_b + p * job->panel_stride + first * CK_LANES;
      for (size_t r = 0; r < rows;) {
        size_t index = 0;
        while ((size_t)gemm_row_sizes[index] > rows - r) ++index;
        prefetch_upcoming(&next, lines);
        if (job->streams_b && p + panels < panel_end) {
          size_t upcoming = panel_end - p - panels < GEMM_PANELS ? panel_end - p - panels : GEMM_PANELS;
          gemm_prefetch_panels(b + panels * job->panel_stride, job->panel_stride, upcoming, depth, r, r + (size_t)gemm_row_sizes[index], rows);
        }
        gemm_target target = {job->c + (row + r) * job->ldc + column, job->ldc, first == 0 && job->bias ? job->bias + column : NULL,
                              job->accumulate || first > 0};
        if (cut) {
          gemm_cut_panel(job, depth, block + r * GEMM_ROW_STRIDE, b, index, job->n - column, &target);
        } else {
          kernels_of(job, panels)[index](depth, block + r * GEMM_ROW_STRIDE, b, job->panel_stride, &target);
        }
        if (finishes) gemm_finish(job, row + r, (size_t)gemm_row_sizes[index], column, cut ? job->n - column : panels * CK_LANES);
        r += (size_t)gemm_row_sizes[index];
      }
      p += panels;
    }
  }
}

static void gemm_unit(void *context, int unit, int worker) {
  const gemm_job *job = context;
  size_t row = (size_t)unit % job->row_blocks * job->block_rows, panel = (size_t)unit / job->row_blocks * job->block_panels;
  size_t rows = job->m - row < job->block_rows ? job->m - row : job->block_rows;
  size_t panels = gemm_panels(job->n), panel_end = panel + job->block_panels < panels ? panel + job->block_panels : panels;
  gemm_block(job, row, rows, panel, panel_end, job->a_scratch ? job->a_scratch : ck_pool_scratch(job->pool, worker));
}

/// Runs a product whose B is packed. The blocking may depend on the number of workers: results do not depend on it.
static void gemm_compute(gemm_job *job) {
  size_t workers = job->pool ? (size_t)ck_pool_threads(job->pool) : 1, panels = gemm_panels(job->n);
  job->streams_b = job->n * job->k > GEMM_STREAMED_FLOATS;
  size_t shares = workers == 1 ? 1 : workers * (job->streams_b ? 2 : 8), share = ck_round_up(job->m / shares + 1, GEMM_ROWS);
  size_t most = gemm_block_rows(job->streams_b) / GEMM_ROWS * GEMM_ROWS;
  job->block_rows = share > most ? most : share;
  job->row_blocks = (job->m + job->block_rows - 1) / job->block_rows;
  job->block_panels = job->streams_b && workers > 1 ? ck_round_up((panels + 3) / 4, GEMM_PANELS) : panels;
  if (workers > 1 && job->row_blocks < workers * 4) {
    size_t column_blocks = (workers * 4 + job->row_blocks - 1) / job->row_blocks;
    job->block_panels = ck_round_up((panels + column_blocks - 1) / column_blocks, GEMM_PANELS);
  }
  size_t units = job->row_blocks * ((panels + job->block_panels - 1) / job->block_panels);
  if (job->pool) {
    ck_pool_run(job->pool, (int)units, gemm_unit, job);
  } else {
    for (size_t unit = 0; unit < units; ++unit) gemm_unit(job, (int)unit, 0);
  }
}

/// k = 0: C = (accumulate ? C : 0) + bias.
static void gemm_without_depth(const gemm_job *job) {
  for (size_t i = 0; i < job->m; ++i)
    for (size_t j = 0; j < job->n; ++j) {
      float *c = job->c + i * job->ldc + j;
      *c = (job->accumulate ? *c : 0) + (job->bias ? job->bias[j] : 0);
    }
}

typedef struct {
  const gemm_job *job;
  size_t first, depth, column;  // of the chunk
  float *packed;
} gemm_pack_job;

static void gemm_pack_unit(void *context, int unit, int worker) {
  const gemm_pack_job *pack = context;
  (void)worker;
  gemm_pack_panel(pack->job->b_orientation, pack->job->n, pack->job->b, pack->job->ldb, pack->column + (size_t)unit * CK_LANES, pack->first,
                  pack->depth, pack->packed + (size_t)unit * pack->depth * CK_LANES);
}

static void gemm(ck_pool *pool, ck_orientation a_orientation, ck_orientation b_orientation, size_t m, size_t n, size_t k, const float *a,
                 size_t lda, const float *b, size_t ldb, float *c, size_t ldc, const float *bias, bool accumulate) {
  if (GEMM_USES_BLAS) {
    ck_blas_gemm_on_pool(pool, a_orientation, b_orientation, m, n, k, a, lda, b, ldb, c, ldc, bias, accumulate);
    return;
  }
  gemm_job whole = {.a_orientation = a_orientation, .b_orientation = b_orientation, .m = m, .n = n, .k = k, .lda = lda, .ldb = ldb, .ldc = ldc,
                    .a = a, .b = b, .bias = bias, .c = c, .accumulate = accumulate};
  if (m == 0 || n == 0) return;
  if (k == 0) {
    gemm_without_depth(&whole);
    return;
  }
  float *scratch;
  if (pool) {
    ck_pool_reserve(pool, ck_gemm_scratch_bytes(m, n, k));
    scratch = ck_pool_scratch(pool, 0);
  } else {
    scratch = ck_thread_buffer(ck_gemm_scratch_bytes(m, n, k));
  }
  float *packed = scratch + gemm_a_floats();
  size_t chunk_panels = gemm_chunk_panels(n, k), chunk_depth = gemm_chunk_depth(k);
  for (size_t column = 0; column < n; column += chunk_panels * CK_LANES) {
    size_t columns = n - column < chunk_panels * CK_LANES ? n - column : chunk_panels * CK_LANES;
    for (size_t first = 0; first < k; first += chunk_depth) {
      size_t depth = k - first < chunk_depth ? k - first : chunk_depth;
      gemm_pack_job pack = {&whole, first, depth, column, packed};
      if (pool) {
        ck_pool_run(pool, (int)gemm_panels(columns), gemm_pack_unit, &pack);
      } else {
        for (size_t panel = 0; panel < gemm_panels(columns); ++panel) gemm_pack_unit(&pack, (int)panel, 0);
      }
      gemm_job part = whole;
      part.n = columns;
      part.k = depth;
      part.a += a_orientation == CK_NORMAL ? first : first * lda;
      part.c += column;
      part.bias = bias && first == 0 ? bias + column : NULL;
      part.accumulate = accumulate || first > 0;
      part.packed_b = packed;
      part.panel_stride = depth * CK_LANES;
      part.pool = pool;
      part.a_scratch = pool ? NULL : scratch;
      gemm_compute(&part);
    }
  }
}

static void gemm_run_packed(gemm_job *job, ck_pool *pool) {
  if (job->m == 0 || job->n == 0) return;
  if (job->k == 0) {
    gemm_without_depth(job);
    if (job->epilogue) gemm_finish(job, 0, job->m, 0, job->n);
    return;
  }
  if (pool) {
    ck_pool_reserve(pool, gemm_a_floats() * sizeof(float));
  } else {
    job->a_scratch = ck_thread_buffer(gemm_a_floats() * sizeof(float));
  }
  gemm_compute(job);
}

static void gemm_packed(ck_pool *pool, ck_orientation a_orientation, size_t m, size_t n, size_t k, const float *a, size_t lda,
                        const float *packed_b, size_t first_column, float *c, size_t ldc, const float *bias, bool accumulate) {
  if (GEMM_USES_BLAS) {
    ck_blas_gemm_on_pool(pool, a_orientation, CK_NORMAL, m, n - first_column, k, a, lda, packed_b + first_column, n, c, ldc, bias, accumulate);
    return;
  }
  gemm_job job = {.a_orientation = a_orientation, .m = m, .n = n - first_column, .k = k, .lda = lda, .ldc = ldc, .a = a, .bias = bias,
                  .c = c, .accumulate = accumulate, .packed_b = packed_b + first_column * k, .panel_stride = k * CK_LANES, .pool = pool};
  gemm_run_packed(&job, pool);
}

static void gemm_finish_unit(void *context, int unit, int worker) {
  const gemm_job *job = context;
  (void)worker;
  gemm_finish(job, (size_t)unit, 1, 0, job->n);
}

static void linear(ck_pool *pool, size_t m, size_t n, size_t k, const float *a, const float *packed_b, float *c,
                   const ck_product_epilogue *epilogue) {
  bool more = epilogue->addend || epilogue->function != CK_ROW_NONE;
  gemm_job job = {.a_orientation = CK_NORMAL, .m = m, .n = n, .k = k, .lda = k, .ldc = n, .a = a, .bias = epilogue->bias, .c = c,
                  .epilogue = more ? epilogue : NULL, .packed_b = packed_b, .panel_stride = k * CK_LANES, .pool = pool};
  if (!GEMM_USES_BLAS) {
    gemm_run_packed(&job, pool);
    return;
  }
  ck_blas_gemm_on_pool(pool, CK_NORMAL, CK_NORMAL, m, n, k, a, k, packed_b, n, c, n, epilogue->bias, false);
  if (more) ck_pool_run(pool, (int)m, gemm_finish_unit, &job);
}

// MARK: - bfloat16

static void gemm_round_unit(void *context, int unit, int worker) {
  const gemm_pack_job *pack = context;
  enum { PIECE = 64 };
  (void)worker;
  _Alignas(64) float rows[PIECE * CK_LANES];
  size_t column = (size_t)unit * CK_LANES, k = pack->depth;
  bool pairs = pack->job->words == WORDS_BFLOAT16_PAIRS;
  float *packed = pack->packed + (size_t)unit * (pairs ? (k + 1) / 2 : k) * CK_LANES;
  for (size_t first = 0; first < k; first += PIECE) {
    size_t depth = k - first < PIECE ? k - first : PIECE;
    gemm_pack_panel(pack->job->b_orientation, pack->job->n, pack->job->b, pack->job->ldb, column, first, depth, rows);
    for (size_t i = 0; i < depth; i += pairs ? 2 : 1, packed += CK_LANES) {
      v16 row = load(rows + i * CK_LANES);
      v16 second = pairs && i + 1 < depth ? load(rows + (i + 1) * CK_LANES) : splat(0);
      store(packed, pairs ? pair_lanes(row, second) : (v16)bfloat16_bits(row));
    }
  }
}

static void gemm_pack_b_bfloat16(ck_pool *pool, ck_orientation b_orientation, size_t n, size_t k, const float *b, size_t ldb, float *packed_b) {
  gemm_job whole = {.b_orientation = b_orientation, .n = n, .k = k, .ldb = ldb, .b = b,
                    .words = bfloat16_words()};
  gemm_pack_job pack = {&whole, 0, k, 0, packed_b};
  ck_pool_run(pool, (int)gemm_panels(n), gemm_round_unit, &pack);
}

static void linear_bfloat16(ck_pool *pool, size_t m, size_t n, size_t k, const float *a, const float *packed_b, float *c,
                            const ck_product_epilogue *epilogue) {
  bool more = epilogue->addend || epilogue->function != CK_ROW_NONE;
  word_kind kind = bfloat16_words();
  size_t words = kind == WORDS_BFLOAT16_PAIRS ? (k + 1) / 2 : k;
  gemm_job job = {.a_orientation = CK_NORMAL, .m = m, .n = n, .k = words, .lda = k, .ldc = n, .a = a, .bias = epilogue->bias, .c = c,
                  .epilogue = more ? epilogue : NULL, .packed_b = packed_b, .panel_stride = words * CK_LANES, .pool = pool,
                  .words = kind, .row_floats = k};
  gemm_run_packed(&job, pool);
}
