// Attention between its projections: softmax(Q Kᵀ / √depth) V and its gradients, one unit per image and head.
//
// Queries go through in strips whose weights and slopes stay near the processor from one product to the next. Everything else of a head stays in the
// L2 cache: packed keys and values (3 × 52 KiB for 197 tokens of depth 64), gradients of keys and values (50 KiB each). Rows of weights are padded to
// whole vectors with zeros, so that no panel is cut and the softmax runs in whole registers; where they fit they lie as packed rows of a product do,
// and are multiplied where they are. Gradients of keys and values are sums over strips of their columns times gradients or queries: kernels of their
// own read columns instead of rows. The backward computes the weights again: keeping them would take tokens² floats per head. 59 % of the peak with
// AVX2 and 197 tokens: the products themselves run at nine tenths of it, the softmax takes a seventh of the time, packing from memory a tenth.

typedef struct {
  ck_attention_shape shape;
  const float *x, *gradient;  // [image][token][3][head][depth], [image][query][head][depth]
  float *output, *input_gradient;
  ck_pool *pool;
} attention_job;

/// The right side of a product: as it lies in memory, and packed.
typedef struct {
  ck_orientation orientation;
  size_t n, k, ldb;
  const float *b;
  float *packed;
} right_side;

static right_side pack_right_side(ck_orientation orientation, size_t n, size_t k, const float *b, size_t ldb, float *packed) {
  if (!GEMM_USES_BLAS)
    for (size_t panel = 0; panel < gemm_panels(n); ++panel)
      gemm_pack_panel(orientation, n, b, ldb, panel * CK_LANES, 0, k, packed + panel * k * CK_LANES);
  return (right_side){orientation, n, k, ldb, b, packed};
}

/// C[m][n] = A · right. `padded`: columns of zeros behind n may be written up to whole vectors.
static void multiply_right(size_t m, const float *a, size_t lda, const right_side *right, float *c, size_t ldc, bool padded, float *a_block) {
  if (GEMM_USES_BLAS) {
    ck_blas_gemm(CK_NORMAL, right->orientation, m, right->n, right->k, a, lda, right->b, right->ldb, c, ldc, NULL, false);
    return;
  }
  gemm_job job = {.a_orientation = CK_NORMAL, .m = m, .n = padded ? gemm_panels(right->n) * CK_LANES : right->n, .k = right->k, .lda = lda,
                  .ldc = ldc, .a = a, .c = c, .packed_b = right->packed, .panel_stride = right->k * CK_LANES,
                  .a_in_place = lda == GEMM_ROW_STRIDE};
  size_t most = GEMM_BLOCK_ROWS / GEMM_ROWS * GEMM_ROWS;
  for (size_t row = 0; row < m; row += most) gemm_block(&job, row, m - row < most ? m - row : most, 0, gemm_panels(right->n), a_block);
}

/// R rows and P panels of C ← (accumulate ? C : 0) + Aᵀ · B; rows of A lie `lda` floats apart.
#define DEFINE_COLUMN_KERNEL(R, P)                                                                                                      \
  static __attribute__((noinline)) void column_kernel_##R##_##P(size_t depth, const float *a, size_t lda, const float *b,               \
                                                                size_t panel_stride, float *c, size_t ldc, bool accumulate) {            \
    v16 sum[R * P];                                                                                                                     \
    UNROLLED for (int i = 0; i < R * P; ++i) sum[i] = accumulate ? load(c + (size_t)(i / P) * ldc + i % P * CK_LANES) : splat(0);        \
    HOT_LOOP(GEMM_UNROLLED) for (size_t i = 0; i < depth; ++i, a += lda) {                                                               \
      v16 w[P];                                                                                                                         \
      UNROLLED for (int p = 0; p < P; ++p) w[p] = load(b + (size_t)p * panel_stride + i * CK_LANES);                                    \
      UNROLLED for (int r = 0; r < R; ++r) {                                                                                            \
        v16 x = splat(a[r]);                                                                                                            \
        UNROLLED for (int p = 0; p < P; ++p) sum[r * P + p] = multiply_add(x, w[p], sum[r * P + p]);                                    \
      }                                                                                                                                 \
    }                                                                                                                                   \
    UNROLLED for (int i = 0; i < R * P; ++i) store(c + (size_t)(i / P) * ldc + i % P * CK_LANES, sum[i]);                               \
  }
typedef void (*column_kernel)(size_t depth, const float *a, size_t lda, const float *b, size_t panel_stride, float *c, size_t ldc,
                              bool accumulate);
#define DEFINE_COLUMN_KERNELS_1(R) DEFINE_COLUMN_KERNEL(R, 1)
#define COLUMN_ENTRY_1(R) column_kernel_##R##_1,
GEMM_ROW_SIZES(DEFINE_COLUMN_KERNELS_1)
#if GEMM_PANELS == 2
#define DEFINE_COLUMN_KERNELS_2(R) DEFINE_COLUMN_KERNEL(R, 2)
#define COLUMN_ENTRY_2(R) column_kernel_##R##_2,
GEMM_ROW_SIZES(DEFINE_COLUMN_KERNELS_2)
#endif
static const column_kernel column_kernels[GEMM_PANELS][GEMM_SIZE_COUNT] = {
    {GEMM_ROW_SIZES(COLUMN_ENTRY_1)},
#if GEMM_PANELS == 2
    {GEMM_ROW_SIZES(COLUMN_ENTRY_2)},
#endif
};

/// sums[tokens][right.n] ← (accumulate ? sums : 0) + stripᵀ · right. Rows of `strip` lie `stride` floats apart, those of `sums` whole vectors.
static void multiply_columns(size_t tokens, const float *strip, size_t stride, const right_side *right, float *sums, bool accumulate) {
  size_t panels = gemm_panels(right->n), width = panels * CK_LANES;
  if (GEMM_USES_BLAS) {
    ck_blas_gemm(CK_TRANSPOSED, right->orientation, tokens, right->n, right->k, strip, stride, right->b, right->ldb, sums, width, NULL, accumulate);
    return;
  }
  for (size_t panel = 0; panel < panels;) {
    size_t together = panels - panel < GEMM_PANELS ? 1 : GEMM_PANELS;
    const float *b = right->packed + panel * right->k * CK_LANES;
    for (size_t row = 0, index = 0; row < tokens; row += (size_t)gemm_row_sizes[index]) {
      while ((size_t)gemm_row_sizes[index] > tokens - row) ++index;
      column_kernels[together - 1][index](right->k, strip + row, stride, b, right->k * CK_LANES, sums + row * width + panel * CK_LANES, width,
                                          accumulate);
    }
    panel += together;
  }
}

/// total + the lanes, in order.
INLINE float add_lanes(float total, v16 v, int lanes) {
  for (int i = 0; i < lanes; ++i) total += v[i];
  return total;
}
INLINE float lane_maximum(v16 v) {
  typedef float v8 __attribute__((ext_vector_type(8)));
  typedef float v4 __attribute__((ext_vector_type(4)));
  v8 a = (v.lo > v.hi) ? v.lo : v.hi;
  v4 b = (a.lo > a.hi) ? a.lo : a.hi;
  float left = b[0] > b[2] ? b[0] : b[2], right = b[1] > b[3] ? b[1] : b[3];
  return left > right ? left : right;
}

/// rows ← softmax(scale · rows), `width` columns, zeros behind them up to whole vectors; rows lie `stride` floats apart.
static void attention_softmax(float *rows, size_t count, size_t width, size_t stride, float scale) {
  const i16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  size_t end = ck_round_up(width, CK_LANES), last = end - CK_LANES, full = width / CK_LANES * CK_LANES;
  const i16 inside = lanes < (i16)((int)(width - last));
  for (size_t r = 0; r < count; ++r, rows += stride) {
    v16 tail = inside ? load(rows + last) : splat(-__builtin_inff()), most = tail;
    for (size_t i = 0; i < last; i += CK_LANES) {
      v16 v = load(rows + i);
      most = (v > most) ? v : most;
    }
    v16 shift = splat(-lane_maximum(most) * scale), sum = splat(0);
    store(rows + last, tail);
    for (size_t i = 0; i < end; i += CK_LANES) {
      v16 x = multiply_add(load(rows + i), splat(scale), shift), v = (x < splat(-87.3f)) ? splat(0) : exponential(x);
      store(rows + i, v);
      if (i < full) sum += v;
    }
    float total = add_lanes(0, sum, CK_LANES);
    if (full < width) total = add_lanes(total, load(rows + last), (int)(width - full));
    v16 inverse = splat(1 / total);
    for (size_t i = 0; i < end; i += CK_LANES) store(rows + i, load(rows + i) * inverse);
  }
}

/// slopes ← scale · weights · (slopes − Σ slopes · weights), 0 behind `width` columns, where weights are 0; rows lie `stride` floats apart.
static void attention_softmax_backward(const float *weights, float *slopes, size_t count, size_t width, size_t stride, float scale) {
  size_t end = ck_round_up(width, CK_LANES);
  for (size_t r = 0; r < count; ++r, weights += stride, slopes += stride) {
    // Own products left zeros there, OpenBLAS wrote nothing.
    for (size_t i = width; GEMM_USES_BLAS && i < end; ++i) slopes[i] = 0;
    v16 sum = splat(0);
    for (size_t i = 0; i < end; i += CK_LANES) sum = multiply_add(load(weights + i), load(slopes + i), sum);
    v16 product = splat(add_lanes(0, sum, CK_LANES)), factor = splat(scale);
    for (size_t i = 0; i < end; i += CK_LANES) store(slopes + i, load(weights + i) * factor * (load(slopes + i) - product));
  }
}

/// Queries whose weights are worked on together, so that they stay near the processor between products and softmax; OpenBLAS gets all at once. Taller
/// strips of the backward load and store the sums over columns less often.
enum { ATTENTION_ROWS = 4 * GEMM_ROWS, ATTENTION_BACKWARD_ROWS = 56 / GEMM_ROWS * GEMM_ROWS };
static size_t attention_rows(size_t queries, size_t most) { return GEMM_USES_BLAS || queries < most ? queries : most; }
/// Floats from one row of weights to the next: as in a packed A where that is enough.
static size_t attention_stride(size_t tokens) {
  return GEMM_USES_BLAS || tokens > GEMM_ROW_STRIDE ? ck_round_up(tokens, CK_LANES) : GEMM_ROW_STRIDE;
}

/// A head's scratch and its queries, `rows` of which go through together.
typedef struct {
  float *a_block, *packed[3], *strip_packed[2], *weights, *slopes, *sums[2];
  size_t rows, stride, row, width;
  const float *part, *query;  // the head's part of the first token, and of the first query
  float scale;
} attention_head;

static attention_head begin_head(const attention_job *job, int unit, size_t most_rows, float *scratch) {
  attention_head head;
  size_t tokens = (size_t)job->shape.tokens, depth = (size_t)job->shape.depth;
  head.rows = attention_rows((size_t)job->shape.queries, most_rows);
  size_t packed = ck_round_up(tokens, CK_LANES) * ck_round_up(depth, CK_LANES), strip_packed = head.rows * ck_round_up(depth, CK_LANES);
  head.stride = attention_stride(tokens);
  head.a_block = scratch;
  scratch += gemm_a_floats();
  for (int i = 0; i < 3; ++i, scratch += packed) head.packed[i] = scratch;
  for (int i = 0; i < 2; ++i, scratch += packed) head.sums[i] = scratch;
  for (int i = 0; i < 2; ++i, scratch += strip_packed) head.strip_packed[i] = scratch;
  head.weights = scratch;
  head.slopes = scratch + head.rows * head.stride;
  head.width = (size_t)job->shape.heads * depth;
  head.row = 3 * head.width;
  head.part = job->x + (size_t)(unit / job->shape.heads) * tokens * head.row + (size_t)(unit % job->shape.heads) * depth;
  head.query = head.part + (size_t)job->shape.first_query * head.row;
  head.scale = (float)(1 / __builtin_sqrt((double)depth));
  return head;
}

/// The weights of some queries.
static void find_weights(const attention_head *head, const right_side *keys, size_t first, size_t count) {
  multiply_right(count, head->query + first * head->row, head->row, keys, head->weights, head->stride, true, head->a_block);
  attention_softmax(head->weights, count, keys->n, head->stride, head->scale);
}

static void attention_unit(void *context, int unit, int worker) {
  const attention_job *job = context;
  attention_head head = begin_head(job, unit, ATTENTION_ROWS, ck_pool_scratch(job->pool, worker));
  size_t tokens = (size_t)job->shape.tokens, depth = (size_t)job->shape.depth, queried = (size_t)job->shape.queries;
  float *output = job->output + (size_t)(unit / job->shape.heads) * queried * head.width + (size_t)(unit % job->shape.heads) * depth;
  right_side keys = pack_right_side(CK_TRANSPOSED, tokens, depth, head.part + head.width, head.row, head.packed[0]);
  right_side values = pack_right_side(CK_NORMAL, depth, tokens, head.part + 2 * head.width, head.row, head.packed[1]);
  for (size_t first = 0; first < queried; first += head.rows) {
    size_t count = queried - first < head.rows ? queried - first : head.rows;
    find_weights(&head, &keys, first, count);
    multiply_right(count, head.weights, head.stride, &values, output + first * head.width, head.width, false, head.a_block);
  }
}

static void attention_backward_unit(void *context, int unit, int worker) {
  const attention_job *job = context;
  attention_head head = begin_head(job, unit, ATTENTION_BACKWARD_ROWS, ck_pool_scratch(job->pool, worker));
  size_t tokens = (size_t)job->shape.tokens, depth = (size_t)job->shape.depth, queried = (size_t)job->shape.queries;
  size_t image = (size_t)(unit / job->shape.heads), place = (size_t)(unit % job->shape.heads) * depth;
  const float *arriving = job->gradient + image * queried * head.width + place;
  float *target = job->input_gradient + image * tokens * head.row + place;
  size_t begin = (size_t)job->shape.first_query;
  for (size_t token = 0; token < tokens; ++token)
    if (token < begin || token >= begin + queried) memset(target + token * head.row, 0, depth * sizeof(float));
  right_side keys = pack_right_side(CK_TRANSPOSED, tokens, depth, head.part + head.width, head.row, head.packed[0]);
  right_side values = pack_right_side(CK_TRANSPOSED, tokens, depth, head.part + 2 * head.width, head.row, head.packed[1]);
  right_side key_rows = pack_right_side(CK_NORMAL, depth, tokens, head.part + head.width, head.row, head.packed[2]);
  for (size_t first = 0; first < queried; first += head.rows) {
    size_t count = queried - first < head.rows ? queried - first : head.rows;
    const float *query = head.query + first * head.row, *gradient = arriving + first * head.width;
    find_weights(&head, &keys, first, count);
    right_side gradients = pack_right_side(CK_NORMAL, depth, count, gradient, head.width, head.strip_packed[0]);
    multiply_columns(tokens, head.weights, head.stride, &gradients, head.sums[1], first > 0);
    multiply_right(count, gradient, head.width, &values, head.slopes, head.stride, true, head.a_block);
    attention_softmax_backward(head.weights, head.slopes, count, tokens, head.stride, head.scale);
    multiply_right(count, head.slopes, head.stride, &key_rows, target + (begin + first) * head.row, head.row, false, head.a_block);
    right_side queries = pack_right_side(CK_NORMAL, depth, count, query, head.row, head.strip_packed[1]);
    multiply_columns(tokens, head.slopes, head.stride, &queries, head.sums[0], first > 0);
  }
  for (size_t token = 0; token < tokens; ++token)
    for (int part = 0; part < 2; ++part)
      memcpy(target + token * head.row + (size_t)(part + 1) * head.width, head.sums[part] + token * ck_round_up(depth, CK_LANES), depth * sizeof(float));
}

static void attention(ck_pool *pool, int n, const ck_attention_shape *shape, const float *x, float *output) {
  attention_job job = {.shape = *shape, .x = x, .output = output, .pool = pool};
  ck_pool_run(pool, n * shape->heads, attention_unit, &job);
}

static void attention_backward(ck_pool *pool, int n, const ck_attention_shape *shape, const float *x, const float *gradient,
                               float *input_gradient) {
  attention_job job = {.shape = *shape, .x = x, .gradient = gradient, .input_gradient = input_gradient, .pool = pool};
  ck_pool_run(pool, n * shape->heads, attention_backward_unit, &job);
}
