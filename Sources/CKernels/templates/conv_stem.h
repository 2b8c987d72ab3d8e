// Stem convolution: a plain picture of at most 4 channels → blocked. Each (channel, kernel row, kernel column) is a tap of single floats.
//
// The picture is normalised while it is copied into planes with zero borders; columns are dealt out by their remainder modulo the stride,
// so that neighbouring results read neighbouring floats.

/// One normalised channel → planes [row][column phase][column].
static void pack_stem_channel(const conv_job *job, size_t image, int channel, float *packed) {
  const ck_conv_geometry *g = &job->geometry;
  const ck_operand *operand = job->operand;
  const ck_affine *affine = &operand->affine;
  size_t set = image * affine->image_stride + (size_t)channel;
  float scale = affine->scale ? affine->scale[set] : 1, shift = affine->shift ? affine->shift[set] : 0;
  const float *plane = operand->x + (image * (size_t)g->in_channels + (size_t)channel) * (size_t)g->in_height * (size_t)g->in_width;
  size_t row_floats = (size_t)g->column_phases * (size_t)g->packed_columns;
  for (int r = 0; r < g->packed_rows; ++r, packed += row_floats) {
    memset(packed, 0, row_floats * sizeof(float));
    int y = r - g->border_top;
    if (y < 0 || y >= g->in_height) continue;
    const float *row = plane + (size_t)y * (size_t)g->in_width;
    int columns = ck_minimum(g->in_width, g->packed_columns * g->column_phases - g->border_left);
    if (g->column_phases == 1) {
      for (int x = 0; x < columns; ++x) packed[x + g->border_left] = row[x] * scale + shift;
      continue;
    }
    int phase = g->border_left % g->column_phases, column = g->border_left / g->column_phases;
    for (int x = 0; x < columns; ++x) {
      packed[phase * g->packed_columns + column] = row[x] * scale + shift;
      if (++phase == g->column_phases) phase = 0, ++column;
    }
  }
}

#define DEFINE_STEM(P, B)                                                                                                            \
  static __attribute__((noinline)) void stem_##P##_##B(const product_source *source, product_target *target, size_t offset) {       \
    UNROLLED for (int b = 0; b < B; ++b) prefetch_results(&target->epilogue[b], P, offset, CK_LANES);                          \
    v16 sum[P * B];                                                                                                                  \
    UNROLLED for (int i = 0; i < P * B; ++i) sum[i] = splat(0);                                                                      \
    const float *weights = source->weights;                                                                                          \
    for (int t = 0; t < source->tap_count; ++t, weights += CK_LANES) {                                                               \
      const float *input = source->input + source->taps[t].input;                                                                    \
      v16 w[B];                                                                                                                      \
      UNROLLED for (int b = 0; b < B; ++b) w[b] = load(weights + (size_t)b * source->weights_per_output_block);                      \
      UNROLLED for (int p = 0; p < P; ++p) {                                                                                         \
        v16 x = splat(input[p]);                                                                                                     \
        UNROLLED for (int b = 0; b < B; ++b) sum[p * B + b] = multiply_add(x, w[b], sum[p * B + b]);                                 \
      }                                                                                                                              \
    }                                                                                                                                \
    UNROLLED for (int b = 0; b < B; ++b) {                                                                                           \
      v16 values[P];                                                                                                                 \
      UNROLLED for (int p = 0; p < P; ++p) values[p] = sum[p * B + b];                                                               \
      epilogue_group(&target->epilogue[b], &target->sums[b], values, 1, P, offset, 0, CK_LANES);                                     \
    }                                                                                                                                \
  }
#define DEFINE_STEMS_1(P) DEFINE_STEM(P, 1)
PIECE_SIZES(DEFINE_STEMS_1)
#define STEM_ENTRY_1(P) stem_##P##_1,
#if PIECE_BLOCKS == 2
#define DEFINE_STEMS_2(P) DEFINE_STEM(P, 2)
PIECE_SIZES(DEFINE_STEMS_2)
#define STEM_ENTRY_2(P) stem_##P##_2,
#endif

typedef void (*stem_piece)(const product_source *source, product_target *target, size_t offset);
static const stem_piece stem_pieces[PIECE_BLOCKS][PIECE_COUNT] = {
    {PIECE_SIZES(STEM_ENTRY_1)},
#if PIECE_BLOCKS == 2
    {PIECE_SIZES(STEM_ENTRY_2)},
#endif
};

static void stem_blocks(const conv_job *job, const float *packed_image, size_t image, int block, int blocks) {
  const ck_conv_geometry *g = &job->geometry;
  size_t row_floats = (size_t)g->column_phases * (size_t)g->packed_columns;
  product_source source = {.taps = job->taps,
                           .tap_count = g->in_channels * g->kernel_area,
                           .weights_per_output_block = (size_t)g->in_channels * (size_t)g->kernel_area * CK_LANES};
  source.weights = job->packed + (size_t)block * source.weights_per_output_block;
  product_target target;
  memset(&target.totals, 0, sizeof target.totals);
  for (int b = 0; b < blocks; ++b) {
    target.epilogue[b] = epilogue_block(job->epilogue, image, block + b, g->out_blocks, (size_t)g->out_height * (size_t)g->out_width);
    clear_region(&target.sums[b]);
  }
  for (int y = 0, pending = 0; y < g->out_height; ++y) {
    for (int x = 0; x < g->out_width;) {
      int piece = choose_piece(g->out_width - x);
      source.input = packed_image + (size_t)(y * g->row_step) * row_floats + x;
      stem_pieces[blocks - 1][piece](&source, &target, ((size_t)y * (size_t)g->out_width + (size_t)x) * CK_LANES);
      x += piece_sizes[piece];
    }
    pending += g->out_width;
    if (pending >= REGION_POSITIONS || y == g->out_height - 1) {
      for (int b = 0; b < blocks; ++b) flush_region(&target.epilogue[b], &target.sums[b], &target.totals[b]);
      pending = 0;
    }
  }
  for (int b = 0; b < blocks; ++b) write_totals(job->epilogue, image, block + b, g->out_blocks, &target.totals[b]);
}

static void stem_unit(void *context, int unit, int worker) {
  const conv_job *job = context;
  const ck_conv_geometry *g = &job->geometry;
  size_t image = (size_t)(unit / job->parts);
  float *packed = ck_pool_scratch(job->pool, worker);
  for (int channel = 0; channel < g->in_channels; ++channel)
    pack_stem_channel(job, image, channel, packed + (size_t)channel * ck_packed_positions(g));
  int part = unit % job->parts, end = part_begin(g->out_blocks, job->parts, part + 1);
  for (int block = part_begin(g->out_blocks, job->parts, part); block < end;) {
    int blocks = ck_minimum(PIECE_BLOCKS, end - block);
    stem_blocks(job, packed, image, block, blocks);
    block += blocks;
  }
}

static void run_stem(conv_job *job) {
  const ck_conv_geometry *g = &job->geometry;
  ck_tap taps[CK_MAXIMUM_TAPS];
  tap_offset offsets[4 * CK_MAXIMUM_TAPS];
  int count = ck_phase_taps(job->conv, g, 0, 0, taps);
  for (int channel = 0; channel < g->in_channels; ++channel) {
    for (int t = 0; t < count; ++t) {
      size_t row = (size_t)taps[t].row * (size_t)g->column_phases + (size_t)taps[t].column_phase;
      offsets[channel * count + t].input = (size_t)channel * ck_packed_positions(g) + row * (size_t)g->packed_columns + (size_t)taps[t].column;
    }
  }
  job->taps = offsets;
  job->parts = ck_parts(job->n, ck_ceil_divide(g->out_blocks, PIECE_BLOCKS), ck_pool_threads(job->pool));
  ck_pool_run(job->pool, job->n * job->parts, stem_unit, job);
}
