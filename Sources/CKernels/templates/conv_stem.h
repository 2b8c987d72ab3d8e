// Stem convolution: a plain picture of at most 4 channels → blocked. Each (channel, kernel row, kernel column) is a tap of single floats.
//
// The picture is normalised while it is copied into planes with zero borders; columns are dealt out by their remainder modulo the stride,
// so that neighbouring results read neighbouring floats.

/// count values of a row, `step` apart, normalised. The constant steps become shuffles.
INLINE void deal_columns(const float *row, int count, int step, float scale, float shift, float *target) {
  for (int i = 0; i < count; ++i) target[i] = row[i * step] * scale + shift;
}

/// One normalised channel → planes [row][column phase][column].
static void pack_stem_channel(const conv_job *job, size_t image, int channel, float *packed) {
  const ck_conv_geometry *g = &job->geometry;
  const ck_affine *affine = &job->operand->affine;
  size_t set = image * affine->image_stride + (size_t)channel;
  float scale = affine->scale ? affine->scale[set] : 1, shift = affine->shift ? affine->shift[set] : 0;
  const float *plane = job->operand->x + (image * (size_t)g->in_channels + (size_t)channel) * (size_t)g->in_height * (size_t)g->in_width;
  int phases = g->column_phases;
  for (int r = 0; r < g->packed_rows; ++r) {
    memset(packed, 0, (size_t)phases * (size_t)g->packed_columns * sizeof(float));
    int y = r - g->border_top;
    for (int phase = 0; phase < phases; ++phase, packed += g->packed_columns) {
      int zeros = phase < g->border_left ? ck_minimum(g->packed_columns, ck_ceil_divide(g->border_left - phase, phases)) : 0;
      int x = zeros * phases + phase - g->border_left;
      if (y < 0 || y >= g->in_height || x >= g->in_width) continue;
      int count = ck_minimum(ck_ceil_divide(g->in_width - x, phases), g->packed_columns - zeros);
      const float *row = plane + (size_t)y * (size_t)g->in_width + x;
      switch (phases) {
        case 1: deal_columns(row, count, 1, scale, shift, packed + zeros); break;
        case 2: deal_columns(row, count, 2, scale, shift, packed + zeros); break;
        case 4: deal_columns(row, count, 4, scale, shift, packed + zeros); break;
        default: deal_columns(row, count, phases, scale, shift, packed + zeros); break;
      }
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
