// Depthwise convolution of any kernel and stride, both directions: per image and channel block, taps × positions without a product over channels.

#define DEFINE_DEPTHWISE(P)                                                                                                               \
  static __attribute__((noinline)) void depthwise_##P(const float *input, const float *weights, const tap_offset *taps, int tap_count,    \
                                                      const block_epilogue *epilogue, region_sums *sums, size_t offset, size_t step) {     \
    v16 sum[P];                                                                                                                            \
    UNROLLED for (int p = 0; p < P; ++p) sum[p] = splat(0);                                                                                \
    for (int t = 0; t < tap_count; ++t) {                                                                                                  \
      v16 w = load(weights + taps[t].weights);                                                                                             \
      UNROLLED for (int p = 0; p < P; ++p) sum[p] = multiply_add(load(input + taps[t].input + p * CK_LANES), w, sum[p]);                   \
    }                                                                                                                                      \
    epilogue_group(epilogue, sums, sum, 1, P, offset, 0, step);                                                                            \
  }
PIECE_SIZES(DEFINE_DEPTHWISE)

typedef void (*depthwise_piece)(const float *, const float *, const tap_offset *, int, const block_epilogue *, region_sums *, size_t, size_t);
#define DEPTHWISE_ENTRY(P) depthwise_##P,
static const depthwise_piece depthwise_pieces[PIECE_COUNT] = {PIECE_SIZES(DEPTHWISE_ENTRY)};

static void depthwise_block(const conv_job *job, const float *packed_image, size_t image, int block) {
  const ck_conv_geometry *g = &job->geometry;
  size_t row_floats = (size_t)g->column_phases * (size_t)g->packed_columns * CK_LANES, step = (size_t)g->phase_stride_columns * CK_LANES;
  block_epilogue epilogue = epilogue_block(job->epilogue, image, block, g->out_blocks, (size_t)g->out_height * (size_t)g->out_width);
  const float *weights = job->packed + (size_t)block * (size_t)g->kernel_area * CK_LANES;
  const tap_offset *taps = job->taps;
  const int *phase_taps = job->phase_taps;
  block_totals totals = {0};
  region_sums sums;
  clear_region(&sums);
  int pending = 0;
  for (int first_row = 0; first_row < g->phase_stride_rows; ++first_row) {
    for (int first_column = 0; first_column < g->phase_stride_columns; ++first_column) {
      int tap_count = *phase_taps++, columns = ck_ceil_divide(g->out_width - first_column, g->phase_stride_columns);
      for (int y = first_row, i = 0; y < g->out_height; y += g->phase_stride_rows, ++i) {
        size_t offset = ((size_t)y * (size_t)g->out_width + (size_t)first_column) * CK_LANES;
        for (int x = 0; x < columns;) {
          int piece = choose_piece(columns - x);
          depthwise_pieces[piece](packed_image + (size_t)(i * g->row_step) * row_floats + (size_t)x * CK_LANES, weights, taps, tap_count, &epilogue,
                                  &sums, offset + (size_t)x * step, step);
          x += piece_sizes[piece];
        }
        pending += columns;
        if (pending >= REGION_POSITIONS) {
          flush_region(&epilogue, &sums, &totals);
          pending = 0;
        }
      }
      taps += tap_count;
    }
  }
  flush_region(&epilogue, &sums, &totals);
  write_totals(job->epilogue, image, block, g->out_blocks, &totals);
}

static void depthwise_unit(void *context, int unit, int worker) {
  const conv_job *job = context;
  const ck_conv_geometry *g = &job->geometry;
  size_t image = (size_t)(unit / job->parts);
  int part = unit % job->parts;
  float *buffer = ck_pool_scratch(job->pool, worker);
  float *row_buffer = buffer + ck_packed_positions(g) * CK_LANES;
  for (int block = g->in_blocks * part / job->parts; block < g->in_blocks * (part + 1) / job->parts; ++block) {
    pack_block(job->operand, image, block, g, true, buffer, row_buffer);
    depthwise_block(job, buffer, image, block);
  }
}

static void run_depthwise(conv_job *job) {
  tap_offset taps[CK_MAXIMUM_TAPS];
  int phase_taps[CK_MAXIMUM_STRIDE * CK_MAXIMUM_STRIDE];
  prepare_taps(job->conv, &job->geometry, taps, phase_taps);
  job->taps = taps;
  job->phase_taps = phase_taps;
  job->parts = ck_parts(job->n, job->geometry.in_blocks, ck_pool_threads(job->pool));
  ck_pool_run(job->pool, job->n * job->parts, depthwise_unit, job);
}
