// The gradient of a convolution's weights and bias: for each tap, products of inputs with the gradients they led to, summed over positions.
//
// Dense: as many input channels as OUTER_SIZES has × one block of 16 filters stay in registers while a group of images (or a band of rows)
// passes by; each position loads its 16 gradients once and broadcasts its inputs. AVX-512: 16 sums, 1 gradient, broadcasts from memory.
// Depthwise: lanes are channels, OUTER_TAPS taps at a time. Stem: inputs are single floats, a tap is (channel, kernel row, kernel column).
// Inputs and gradients are evaluated once per unit into scratch (GROUP_BYTES), so that norms and masks are applied while they are read.
//
// Partial sums of an image block: dense [output block][input block][tap][16 inputs][16 filters], stem [output block][channel · tap][16],
// depthwise [block][tap][16]; then doubles [output block][16] of the bias.

enum { OUTER_TAPS = 3 };

typedef struct {
  ck_weight_gradient_plan plan;
  const ck_conv *conv;
  ck_pool *pool;
  const ck_operand *input, *gradient;
  float *partial, *weights, *bias;
  int n, tap_count;
  const size_t *taps;  // floats from a result's position to the input; stem: of all channels
} weight_gradient_job;

/// A group of images, or a band of rows, as evaluated in scratch.
typedef struct {
  int first_image, images, first_row, rows;
  const float *inputs, *gradients;             // of the first image
  size_t input_block, gradient_block;          // floats from a block to the next
  size_t input_image, gradient_image;          // floats from an image to the next
  size_t packed_row;                           // floats from a padded input row to the next
  size_t input_row, gradient_row, input_step;  // floats from a row of results, from a position to the next
  bool adds;                                   // to sums of earlier groups
} gradient_group;

INLINE void keep_sum(float *target, v16 sum, bool adds) { store(target, adds ? load(target) + sum : sum); }

/// outer_N: sums of N inputs that follow each other.
#define DEFINE_OUTER(N)                                                                                                                  \
  static __attribute__((noinline)) void outer_##N(const gradient_group *group, const float *input, const float *gradient, int columns,  \
                                                  float *target) {                                                                       \
    v16 sum[N];                                                                                                                          \
    UNROLLED for (int j = 0; j < N; ++j) sum[j] = splat(0);                                                                              \
    for (int image = 0; image < group->images; ++image, input += group->input_image, gradient += group->gradient_image) {                \
      const float *input_row = input, *gradient_row = gradient;                                                                          \
      for (int y = 0; y < group->rows; ++y, input_row += group->input_row, gradient_row += group->gradient_row) {                        \
        const float *x = input_row, *g = gradient_row;                                                                                   \
        HOT_LOOP(4) for (int i = 0; i < columns; ++i, x += CK_LANES, g += CK_LANES) {                                                    \
          v16 slope = load(g);                                                                                                           \
          UNROLLED for (int j = 0; j < N; ++j) sum[j] = multiply_add(splat(x[j]), slope, sum[j]);                                        \
        }                                                                                                                                \
      }                                                                                                                                  \
    }                                                                                                                                    \
    UNROLLED for (int j = 0; j < N; ++j) keep_sum(target + j * CK_LANES, sum[j], group->adds);                                           \
  }
typedef void (*outer_function)(const gradient_group *group, const float *input, const float *gradient, int columns, float *target);

#define OUTER_ENTRY(N) outer_##N,
OUTER_SIZES(DEFINE_OUTER)
static const outer_function outer_functions[] = {OUTER_SIZES(OUTER_ENTRY)};
static const int outer_sizes[] = {OUTER_SIZES(SIZE_ENTRY)};

/// sums of `count` taps at any offsets: splats of single floats (stem) or whole vectors (depthwise).
INLINE void outer_taps(const gradient_group *group, const float *input, const float *gradient, int columns, const size_t *taps, int tap_count,
                       int count, bool vectors, float *target) {
  for (int first = 0; first < tap_count; first += count) {
    v16 sum[OUTER_SINGLES > OUTER_TAPS ? OUTER_SINGLES : OUTER_TAPS];
    const float *from[OUTER_SINGLES > OUTER_TAPS ? OUTER_SINGLES : OUTER_TAPS];
    // Beyond the last tap the first one is computed again and dropped.
    UNROLLED for (int j = 0; j < count; ++j) {
      sum[j] = splat(0);
      from[j] = input + taps[first + j < tap_count ? first + j : 0];
    }
    for (int image = 0; image < group->images; ++image) {
      for (int y = 0; y < group->rows; ++y) {
        size_t offset = (size_t)image * group->input_image + (size_t)y * group->input_row;
        const float *g = gradient + (size_t)image * group->gradient_image + (size_t)y * group->gradient_row;
        for (int i = 0; i < columns; ++i, offset += group->input_step, g += CK_LANES) {
          v16 slope = load(g);
          UNROLLED for (int j = 0; j < count; ++j)
            sum[j] = multiply_add(vectors ? load(from[j] + offset) : splat(from[j][offset]), slope, sum[j]);
        }
      }
    }
    UNROLLED for (int j = 0; j < count; ++j)
      if (first + j < tap_count) keep_sum(target + (size_t)(first + j) * CK_LANES, sum[j], group->adds);
  }
}

static __attribute__((noinline)) void outer_single(const gradient_group *group, const float *input, const float *gradient, int columns,
                                                   const size_t *taps, int tap_count, float *target) {
  outer_taps(group, input, gradient, columns, taps, tap_count, OUTER_SINGLES, false, target);
}
static __attribute__((noinline)) void outer_lanes(const gradient_group *group, const float *input, const float *gradient, int columns,
                                                  const size_t *taps, int tap_count, float *target) {
  outer_taps(group, input, gradient, columns, taps, tap_count, OUTER_TAPS, true, target);
}

/// Input block → scratch, for all images of the group.
static void pack_group_inputs(const weight_gradient_job *job, const gradient_group *group, int block, float *target) {
  const ck_conv_geometry *g = &job->plan.geometry;
  int rows = ck_band_input_rows(&job->plan, job->conv->shape.kernel_height, group->rows);
  for (int image = 0; image < group->images; ++image) {
    block_operand view = operand_block(job->input, (size_t)(group->first_image + image), block, g->in_blocks,
                                       (size_t)g->in_height * (size_t)g->in_width, false);
    float *packed = target + (size_t)image * group->input_image;
    for (int r = 0; r < rows; ++r) pack_row(&view, g, group->first_row * g->row_step + r, packed + (size_t)r * group->packed_row);
  }
}

/// Gradients of an output block → scratch, for all images of the group; their sums are added to `bias`.
static void pack_group_gradients(const weight_gradient_job *job, const gradient_group *group, int block, float *target, double *bias) {
  const ck_conv_geometry *g = &job->plan.geometry;
  int count = group->rows * g->out_width;
  for (int image = 0; image < group->images; ++image) {
    block_operand view = operand_block(job->gradient, (size_t)(group->first_image + image), block, g->out_blocks,
                                       (size_t)g->out_height * (size_t)g->out_width, false);
    float *values = target + (size_t)image * group->gradient_image;
    evaluate_run(&view, (size_t)group->first_row * (size_t)g->out_width * CK_LANES, CK_LANES, count, values);
    for (int i = 0; bias && i < count; i += REGION_POSITIONS) {
      v16 sum = splat(0);
      for (int j = i; j < ck_minimum(count, i + REGION_POSITIONS); ++j) sum += load(values + (size_t)j * CK_LANES);
      add_to_doubles(bias, sum);
    }
  }
}

/// Output blocks begin ..< end of a group whose inputs and gradients are in scratch.
static void dense_group(const weight_gradient_job *job, const gradient_group *group, int out_begin, int out_end, int in_begin, int in_end,
                        float *partial) {
  const ck_conv_geometry *g = &job->plan.geometry;
  gradient_group flat = *group;
  int columns = g->out_width;
  if (flat.input_row == flat.gradient_row) columns *= flat.rows, flat.rows = 1;
  size_t tap_floats = CK_LANES * CK_LANES;
  for (int out = out_begin; out < out_end; ++out) {
    const float *gradients = flat.gradients + (size_t)(out - out_begin) * flat.gradient_block;
    for (int in = in_begin; in < in_end; ++in) {
      const float *inputs = flat.inputs + (size_t)(in - in_begin) * flat.input_block;
      float *target = partial + ((size_t)out * (size_t)g->in_blocks + (size_t)in) * (size_t)job->tap_count * tap_floats;
      for (int t = 0; t < job->tap_count; ++t, target += tap_floats)
        for (int channel = 0, i = 0; channel < CK_LANES; channel += outer_sizes[i]) {
          while (outer_sizes[i] > CK_LANES - channel) ++i;
          outer_functions[i](&flat, inputs + job->taps[t] + channel, gradients, columns, target + channel * CK_LANES);
        }
    }
  }
}

/// One group of a unit: evaluates what it reads, then sums.
static void weight_gradient_group(const weight_gradient_job *job, gradient_group *group, int out_begin, int out_end, int in_begin, int in_end,
                                  float *partial, float *scratch) {
  const ck_weight_gradient_plan *plan = &job->plan;
  const ck_conv_geometry *g = &plan->geometry;
  bool stem = job->conv->algorithm == CK_CONV_STEM, depthwise = job->conv->algorithm == CK_CONV_DEPTHWISE;
  float *inputs = scratch, *gradients = scratch + (size_t)plan->group_images * (size_t)plan->in_tile * plan->input_floats;
  double *bias = job->bias && in_begin == 0 ? (double *)(partial + plan->weight_floats) : NULL;
  group->inputs = inputs;
  group->gradients = gradients;
  if (stem) {
    // The picture is packed whole, with its first band.
    conv_job pack = {.geometry = *g, .operand = job->input};
    for (int channel = 0; channel < g->in_channels && group->first_row == 0; ++channel)
      for (int image = 0; image < group->images; ++image)
        pack_stem_channel(&pack, (size_t)(group->first_image + image), channel,
                          inputs + (size_t)image * group->input_image + (size_t)channel * ck_packed_positions(g));
    group->inputs += (size_t)group->first_row * group->input_row;
  }
  for (int in = in_begin; !stem && !depthwise && in < in_end; ++in)
    pack_group_inputs(job, group, in, inputs + (size_t)(in - in_begin) * group->input_block);
  for (int out = out_begin; out < out_end; ++out) {
    float *target = partial + (size_t)out * (size_t)job->tap_count * CK_LANES;
    float *own = depthwise ? gradients : gradients + (size_t)(out - out_begin) * group->gradient_block;
    pack_group_gradients(job, group, out, own, bias ? bias + out * CK_LANES : NULL);
    if (!job->weights) continue;
    if (stem) outer_single(group, group->inputs, own, g->out_width, job->taps, job->tap_count, target);
    if (depthwise) {
      pack_group_inputs(job, group, out, inputs);
      outer_lanes(group, inputs, own, g->out_width, job->taps, job->tap_count, target);
    }
  }
  if (!stem && !depthwise && job->weights) dense_group(job, group, out_begin, out_end, in_begin, in_end, partial);
}

static void weight_gradient_unit(void *context, int unit, int worker) {
  const weight_gradient_job *job = context;
  const ck_weight_gradient_plan *plan = &job->plan;
  const ck_conv_geometry *g = &plan->geometry;
  bool stem = job->conv->algorithm == CK_CONV_STEM, depthwise = job->conv->algorithm == CK_CONV_DEPTHWISE;
  int in_tile = unit % plan->in_tiles, out_tile = unit / plan->in_tiles % plan->out_tiles;
  int image_block = unit / (plan->in_tiles * plan->out_tiles);
  int out_begin = out_tile * plan->out_tile, out_end = ck_minimum(g->out_blocks, out_begin + plan->out_tile);
  int in_begin = in_tile * plan->in_tile, in_end = ck_minimum(g->in_blocks, in_begin + plan->in_tile);
  float *partial = job->partial + (size_t)image_block * plan->partial_floats;
  if (job->bias && in_begin == 0) {
    double *bias = (double *)(partial + plan->weight_floats);
    for (int i = out_begin * CK_LANES; i < out_end * CK_LANES; ++i) bias[i] = 0;
  }
  size_t row = (size_t)g->column_phases * (size_t)g->packed_columns * (stem ? 1 : CK_LANES);
  gradient_group group = {.input_block = plan->input_floats,
                          .gradient_block = plan->gradient_floats,
                          .input_image = (size_t)plan->in_tile * plan->input_floats,
                          .gradient_image = (size_t)(depthwise ? 1 : plan->out_tile) * plan->gradient_floats,
                          .packed_row = row,
                          .input_row = (size_t)g->row_step * row,
                          .gradient_row = (size_t)g->out_width * CK_LANES,
                          .input_step = stem ? 1 : CK_LANES};
  int begin = (int)((long)job->n * image_block / plan->image_blocks), end = (int)((long)job->n * (image_block + 1) / plan->image_blocks);
  for (group.first_image = begin; group.first_image < end; group.first_image += plan->group_images) {
    group.images = ck_minimum(plan->group_images, end - group.first_image);
    for (group.first_row = 0; group.first_row < g->out_height; group.first_row += plan->band_rows) {
      group.rows = ck_minimum(plan->band_rows, g->out_height - group.first_row);
      weight_gradient_group(job, &group, out_begin, out_end, in_begin, in_end, partial, ck_pool_scratch(job->pool, worker));
      group.adds = true;
    }
  }
}

/// 16 partial sums at `offset`, combined over the image blocks in order, in double.
INLINE v16 combined_sum(const weight_gradient_job *job, size_t offset) {
  const float *partial = job->partial + offset;
  if (job->plan.image_blocks == 1) return load(partial);
  typedef float f8 __attribute__((ext_vector_type(8), may_alias));
  d8 total[2] = {0, 0};
  for (int block = 0; block < job->plan.image_blocks; ++block, partial += job->plan.partial_floats) add_to_doubles((double *)total, load(partial));
  f8 low = __builtin_convertvector(total[0], f8), high = __builtin_convertvector(total[1], f8);
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

/// The filters of one output block: partial sums → [filter][channel][tap], and the bias.
static void combine_weight_gradient_unit(void *context, int unit, int worker) {
  const weight_gradient_job *job = context;
  const ck_conv_geometry *g = &job->plan.geometry;
  (void)worker;
  int filters = ck_minimum(CK_LANES, g->out_channels - unit * CK_LANES), taps = job->tap_count;
  bool dense = job->conv->algorithm != CK_CONV_STEM && job->conv->algorithm != CK_CONV_DEPTHWISE;
  int channels = dense ? g->in_channels : 1;
  size_t filter_floats = (size_t)channels * (size_t)taps;
  float *weights = job->weights ? job->weights + (size_t)unit * CK_LANES * filter_floats : NULL;
  // 16 channels × 16 filters at a time, so that a filter's weights are written while their lines are in the cache.
  for (int first = 0; weights && first < channels; first += CK_LANES) {
    int count = ck_minimum(CK_LANES, channels - first);
    for (int t = 0; t < taps; ++t) {
      _Alignas(64) float sums[CK_LANES][CK_LANES];
      size_t row = ((size_t)unit * (size_t)(dense ? g->in_blocks : 1) + (size_t)(first / CK_LANES)) * (size_t)taps + (size_t)t;
      for (int channel = 0; channel < count; ++channel)
        store(sums[channel], combined_sum(job, (dense ? row * CK_LANES + (size_t)channel : row) * CK_LANES));
      for (int filter = 0; filter < filters; ++filter) {
        float *target = weights + (size_t)filter * filter_floats + (size_t)first * (size_t)taps + (size_t)t;
        for (int channel = 0; channel < count; ++channel) target[(size_t)channel * (size_t)taps] = sums[channel][filter];
      }
    }
  }
  for (int lane = 0; job->bias && lane < filters; ++lane) {
    double total = 0;
    for (int block = 0; block < job->plan.image_blocks; ++block)
      total += ((const double *)(job->partial + (size_t)block * job->plan.partial_floats + job->plan.weight_floats))[unit * CK_LANES + lane];
    job->bias[unit * CK_LANES + lane] = (float)total;
  }
}

static void conv_weight_gradient(const ck_conv *conv, ck_pool *pool, int n, const ck_operand *input, const ck_operand *gradient, float *partial,
                                 float *weights, float *bias) {
  if (n <= 0) return;
  weight_gradient_job job = {.plan = ck_plan_weight_gradient(conv, n), .conv = conv, .pool = pool, .input = input, .gradient = gradient,
                             .partial = partial, .weights = weights, .bias = bias, .n = n};
  const ck_conv_geometry *g = &job.plan.geometry;
  bool stem = conv->algorithm == CK_CONV_STEM;
  ck_conv forward = *conv;
  forward.direction = CK_FORWARD;
  ck_tap taps[CK_MAXIMUM_TAPS];
  size_t offsets[4 * CK_MAXIMUM_TAPS];
  int count = ck_phase_taps(&forward, g, 0, 0, taps);
  for (int channel = 0; channel < (stem ? g->in_channels : 1); ++channel) {
    for (int t = 0; t < count; ++t) {
      size_t row = (size_t)taps[t].row * (size_t)g->column_phases + (size_t)taps[t].column_phase;
      size_t position = row * (size_t)g->packed_columns + (size_t)taps[t].column;
      offsets[job.tap_count++] = stem ? (size_t)channel * ck_packed_positions(g) + position : position * CK_LANES;
    }
  }
  job.taps = offsets;
  ck_pool_run(pool, job.plan.image_blocks * job.plan.out_tiles * job.plan.in_tiles, weight_gradient_unit, &job);
  ck_pool_run(pool, g->out_blocks, combine_weight_gradient_unit, &job);
}
