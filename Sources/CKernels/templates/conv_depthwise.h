// Depthwise convolution of any kernel and stride, both directions: per image and channel block, taps × positions without a sum over channels.
//
// It does little work per value, so nothing may leave the L1 cache: rows are evaluated once into a ring that holds as many as a kernel spans,
// results are finished row by row.

/// One tap: its row (from the first row of the ring that a result needs), and floats to its column and its weights.
typedef struct {
  int row;
  size_t column, weights;
} depthwise_tap;

/// Taps of all phases, in order.
typedef struct depthwise_taps {
  depthwise_tap taps[CK_MAXIMUM_TAPS];
  int phase_taps[CK_MAXIMUM_STRIDE * CK_MAXIMUM_STRIDE];
  int depth;  // rows that the taps span
} depthwise_taps;

#define DEFINE_DEPTHWISE(P)                                                                                                                   \
  static __attribute__((noinline)) void depthwise_##P(const float *const *rows, size_t first, const float *weights, const depthwise_tap *taps, \
                                                      int tap_count, const block_epilogue *epilogue, region_sums *sums, size_t offset,         \
                                                      size_t step, size_t next_row) {                                                          \
    /* A piece is over before memory answers: the row below is asked for. */                                                                   \
    prefetch_results(epilogue, P, offset + next_row, step);                                                                                    \
    v16 sum[P];                                                                                                                                \
    UNROLLED for (int p = 0; p < P; ++p) sum[p] = splat(0);                                                                                    \
    for (int t = 0; t < tap_count; ++t) {                                                                                                      \
      v16 w = load(weights + taps[t].weights);                                                                                                 \
      const float *input = rows[taps[t].row] + taps[t].column + first;                                                                         \
      UNROLLED for (int p = 0; p < P; ++p) sum[p] = multiply_add(load(input + p * CK_LANES), w, sum[p]);                                       \
    }                                                                                                                                          \
    epilogue_group(epilogue, sums, sum, 1, P, offset, 0, step);                                                                                \
  }
PIECE_SIZES(DEFINE_DEPTHWISE)

typedef void (*depthwise_piece)(const float *const *, size_t, const float *, const depthwise_tap *, int, const block_epilogue *, region_sums *,
                                size_t, size_t, size_t);
#define DEPTHWISE_ENTRY(P) depthwise_##P,
static const depthwise_piece depthwise_pieces[PIECE_COUNT] = {PIECE_SIZES(DEPTHWISE_ENTRY)};

static void prepare_depthwise_taps(const ck_conv *conv, const ck_conv_geometry *g, depthwise_taps *result) {
  ck_tap taps[CK_MAXIMUM_TAPS];
  depthwise_tap *target = result->taps;
  int *phase_taps = result->phase_taps;
  result->depth = 0;
  for (int row = 0; row < g->phase_stride_rows; ++row) {
    for (int column = 0; column < g->phase_stride_columns; ++column) {
      int count = ck_phase_taps(conv, g, row, column, taps);
      *phase_taps++ = count;
      for (int t = 0; t < count; ++t) {
        size_t position = (size_t)taps[t].column_phase * (size_t)g->packed_columns + (size_t)taps[t].column;
        *target++ = (depthwise_tap){taps[t].row, position * CK_LANES, (size_t)taps[t].weight * CK_LANES};
        result->depth = ck_maximum(result->depth, taps[t].row + 1);
      }
    }
  }
}

/// One row of results: its column phases one after the other.
static void depthwise_row(const conv_job *job, const float *const *rows, const float *weights, const depthwise_tap *taps, const int *phase_taps,
                          const block_epilogue *epilogue, region_sums *sums, upcoming_operand *next, int y) {
  const ck_conv_geometry *g = &job->geometry;
  size_t step = (size_t)g->phase_stride_columns * CK_LANES, next_row = (size_t)g->out_width * CK_LANES;
  for (int first = 0; first < g->phase_stride_columns; taps += phase_taps[first++]) {
    int columns = ck_ceil_divide(g->out_width - first, g->phase_stride_columns);
    for (int x = 0; x < columns;) {
      int piece = choose_piece(columns - x);
      size_t offset = ((size_t)y * (size_t)g->out_width + (size_t)first) * CK_LANES + (size_t)x * step;
      prefetch_upcoming(next, piece_sizes[piece] * next->lines_per_result);
      depthwise_pieces[piece](rows, (size_t)x * CK_LANES, weights, taps, phase_taps[first], epilogue, sums, offset, step, next_row);
      x += piece_sizes[piece];
    }
  }
}

/// The rows of this block beyond the ring's first filling, and the first ones of the next block: one long row of positions.
static upcoming_operand depthwise_upcoming(const conv_job *job, size_t image, int block) {
  const ck_conv_geometry *g = &job->geometry;
  int positions = g->in_height * g->in_width, lead = ck_minimum(g->in_height, job->depthwise->depth + 1) * g->in_width;
  bool last = block == g->in_blocks - 1;
  upcoming_operand next = {.blocks = 1,
                           .line = lead,
                           .lines = last ? positions : positions + lead,
                           .lines_per_result = ck_ceil_divide(positions, g->out_height * g->out_width)};
  add_streams(&next, job->operand, (image * (size_t)g->in_blocks + (size_t)block) * (size_t)positions * CK_LANES);
  return next;
}

static void depthwise_block(const conv_job *job, size_t image, int block, float *ring) {
  const ck_conv_geometry *g = &job->geometry;
  const depthwise_taps *all = job->depthwise;
  size_t row_floats = (size_t)g->column_phases * (size_t)g->packed_columns * CK_LANES;
  block_operand view = operand_block(job->operand, image, block, g->in_blocks, (size_t)g->in_height * (size_t)g->in_width, true);
  block_epilogue epilogue = epilogue_block(job->epilogue, image, block, g->out_blocks, (size_t)g->out_height * (size_t)g->out_width);
  const float *weights = job->packed + (size_t)block * (size_t)g->kernel_area * CK_LANES;
  const depthwise_tap *taps = all->taps;
  const int *phase_taps = all->phase_taps;
  block_totals totals = {0};
  region_sums sums;
  clear_region(&sums);
  upcoming_operand next = depthwise_upcoming(job, image, block);
  int packed = 0, pending = 0;
  for (int y = 0; y < g->out_height; ++y) {
    int phase = y % g->phase_stride_rows, first = y / g->phase_stride_rows * g->row_step;
    for (; packed < ck_minimum(g->packed_rows, first + all->depth); ++packed)
      pack_row(&view, g, packed, ring + (size_t)(packed % all->depth) * row_floats);
    const float *rows[CK_MAXIMUM_DEPTHWISE_ROWS];
    for (int i = 0; i < all->depth; ++i) rows[i] = ring + (size_t)((first + i) % all->depth) * row_floats;
    if (phase == 0) taps = all->taps, phase_taps = all->phase_taps;
    depthwise_row(job, rows, weights, taps, phase_taps, &epilogue, &sums, &next, y);
    for (int i = 0; i < g->phase_stride_columns; ++i) taps += *phase_taps++;
    pending += g->out_width;
    if (pending >= REGION_POSITIONS || y == g->out_height - 1) {
      flush_region(&epilogue, &sums, &totals);
      pending = 0;
    }
  }
  // Rows that no result reads are evaluated for what operands keep alone.
  for (; keeps_values(&view) && packed < g->packed_rows; ++packed) pack_row(&view, g, packed, ring);
  if (keeps_values(&view)) keep_uncovered(&view, g, ring);
  write_totals(job->epilogue, image, block, g->out_blocks, &totals);
}

static void depthwise_unit(void *context, int unit, int worker) {
  const conv_job *job = context;
  const ck_conv_geometry *g = &job->geometry;
  int part = unit % job->parts;
  for (int block = g->in_blocks * part / job->parts; block < g->in_blocks * (part + 1) / job->parts; ++block)
    depthwise_block(job, (size_t)(unit / job->parts), block, ck_pool_scratch(job->pool, worker));
}

static void run_depthwise(conv_job *job) {
  depthwise_taps taps;
  prepare_depthwise_taps(job->conv, &job->geometry, &taps);
  job->depthwise = &taps;
  job->parts = ck_parts(job->n, job->geometry.in_blocks, ck_pool_threads(job->pool));
  ck_pool_run(job->pool, job->n * job->parts, depthwise_unit, job);
}
