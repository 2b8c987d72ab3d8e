// Packing of convolution weights into the order in which the kernels read them, zeros in padded lanes.
//
//   direct, pointwise  [output block][phase][input block][tap of the phase][16 inputs][16 outputs]: what a phase reads is one stream
//                      of bfloat16: the first half of each 16 × 16 holds pairs of inputs, or all of it rounded floats
//   Winograd           [matrix of 36][output block][input channel][16 outputs], transformed in double
//   depthwise          [block][tap][16]
//   stem               [output block][input channel · tap][16 outputs]
// For backward data, inputs and outputs change places; Winograd's kernels are turned by 180° as well (direct ones are not: their taps do it).

typedef struct {
  const ck_conv *conv;
  ck_conv_geometry geometry;
  const float *weights;
  float *packed;
} weight_job;

/// The kernel that leads from an input channel to an output channel of the direction.
INLINE const float *kernel_of(const weight_job *job, int output, int input) {
  size_t channels = (size_t)job->conv->shape.channels;
  size_t index = job->conv->direction == CK_FORWARD ? (size_t)output * channels + (size_t)input : (size_t)input * channels + (size_t)output;
  return job->weights + index * (size_t)job->geometry.kernel_area;
}

/// One phase of one output block; returns where the next one goes.
static float *pack_phase_weights(const weight_job *job, int block, const ck_tap *taps, int tap_count, float *packed) {
  const ck_conv_geometry *g = &job->geometry;
  size_t block_floats = (size_t)tap_count * CK_LANES * CK_LANES;
  memset(packed, 0, (size_t)g->in_blocks * block_floats * sizeof(float));
  for (int lane = 0; lane < ck_minimum(CK_LANES, g->out_channels - block * CK_LANES); ++lane) {
    for (int input = 0; input < g->in_channels; ++input) {
      const float *kernel = kernel_of(job, block * CK_LANES + lane, input);
      float *target = packed + (size_t)(input / CK_LANES) * block_floats + (size_t)(input % CK_LANES) * CK_LANES + (size_t)lane;
      for (int t = 0; t < tap_count; ++t) target[(size_t)t * CK_LANES * CK_LANES] = kernel[taps[t].weight];
    }
  }
  return packed + (size_t)g->in_blocks * block_floats;
}

static void pack_direct_weights(const weight_job *job, int block) {
  const ck_conv_geometry *g = &job->geometry;
  ck_tap taps[CK_MAXIMUM_TAPS];
  float *packed = job->packed + (size_t)block * (size_t)g->in_blocks * (size_t)g->kernel_area * CK_LANES * CK_LANES;
  for (int row = 0; row < g->phase_stride_rows; ++row)
    for (int column = 0; column < g->phase_stride_columns; ++column)
      packed = pack_phase_weights(job, block, taps, ck_phase_taps(job->conv, g, row, column, taps), packed);
}

/// The words that products of bfloat16 read, in place: rows of two input channels in one where pairs are multiplied.
static void round_direct_weights(const weight_job *job, int block) {
  const ck_conv_geometry *g = &job->geometry;
  size_t floats = (size_t)g->in_blocks * (size_t)g->kernel_area * CK_LANES * CK_LANES;
  float *packed = job->packed + (size_t)block * floats;
  if (bfloat16_words() == WORDS_ROUNDED_FLOATS) {
    round_bfloat16(packed, floats, packed);
    return;
  }
  for (size_t tap = 0; tap < floats; tap += CK_LANES * CK_LANES)
    for (size_t pair = 0; pair < CK_LANES / 2; ++pair)
      store(packed + tap + pair * CK_LANES,
            pair_lanes(load(packed + tap + 2 * pair * CK_LANES), load(packed + tap + (2 * pair + 1) * CK_LANES)));
}

static void pack_depthwise_weights(const weight_job *job, int block) {
  const ck_conv_geometry *g = &job->geometry;
  size_t area = (size_t)g->kernel_area;
  float *packed = job->packed + (size_t)block * area * CK_LANES;
  memset(packed, 0, area * CK_LANES * sizeof(float));
  for (int lane = 0; lane < ck_minimum(CK_LANES, g->out_channels - block * CK_LANES); ++lane)
    for (size_t t = 0; t < area; ++t) packed[t * CK_LANES + (size_t)lane] = job->weights[(size_t)(block * CK_LANES + lane) * area + t];
}

static void pack_stem_weights(const weight_job *job, int block) {
  const ck_conv_geometry *g = &job->geometry;
  size_t taps = (size_t)g->in_channels * (size_t)g->kernel_area;
  float *packed = job->packed + (size_t)block * taps * CK_LANES;
  memset(packed, 0, taps * CK_LANES * sizeof(float));
  for (int lane = 0; lane < ck_minimum(CK_LANES, g->out_channels - block * CK_LANES); ++lane) {
    const float *kernel = kernel_of(job, block * CK_LANES + lane, 0);
    for (size_t t = 0; t < taps; ++t) packed[t * CK_LANES + (size_t)lane] = kernel[t];
  }
}

/// G over three values into six, `stride` apart.
INLINE void weight_transform(d8 a, d8 b, d8 c, d8 *result, int stride) {
  d8 sum = (a + c) * (1.0 / 6), outer = a * (1.0 / 24) + c * (1.0 / 6), middle = b * (1.0 / 6), half = b * (1.0 / 12);
  result[0] = a * 0.25;
  result[stride] = -sum - middle;
  result[2 * stride] = middle - sum;
  result[3 * stride] = outer + half;
  result[4 * stride] = outer - half;
  result[5 * stride] = c;
}

static void pack_winograd_weights(const weight_job *job, int block) {
  const ck_conv_geometry *g = &job->geometry;
  size_t matrix = (size_t)g->out_blocks * (size_t)g->in_blocks * CK_LANES * CK_LANES;
  bool turned = job->conv->direction == CK_BACKWARD_DATA;
  int lanes = ck_minimum(CK_LANES, g->out_channels - block * CK_LANES);
  for (int input = 0; input < g->in_blocks * CK_LANES; ++input) {
    double kernels[9][CK_LANES] = {{0}};
    for (int lane = 0; lane < lanes && input < g->in_channels; ++lane) {
      const float *kernel = kernel_of(job, block * CK_LANES + lane, input);
      for (int t = 0; t < 9; ++t) kernels[turned ? 8 - t : t][lane] = kernel[t];
    }
    float *target = job->packed + ((size_t)block * (size_t)g->in_blocks * CK_LANES + (size_t)input) * CK_LANES;
    for (int half = 0; half < CK_LANES; half += 8) {
      d8 rows[18], result[36];
      UNROLLED for (int j = 0; j < 3; ++j)
        weight_transform(*(d8 *)&kernels[j][half], *(d8 *)&kernels[3 + j][half], *(d8 *)&kernels[6 + j][half], rows + j, 3);
      UNROLLED for (int i = 0; i < 6; ++i) weight_transform(rows[i * 3], rows[i * 3 + 1], rows[i * 3 + 2], result + i * 6, 1);
      UNROLLED for (int i = 0; i < 36; ++i) {
        typedef float f8 __attribute__((ext_vector_type(8), may_alias));
        *(f8 *)(target + (size_t)i * matrix + half) = __builtin_convertvector(result[i], f8);
      }
    }
  }
}

static void pack_weights_unit(void *context, int unit, int worker) {
  const weight_job *job = context;
  (void)worker;
  switch (job->conv->algorithm) {
    case CK_CONV_WINOGRAD: pack_winograd_weights(job, unit); break;
    case CK_CONV_DEPTHWISE: pack_depthwise_weights(job, unit); break;
    case CK_CONV_STEM: pack_stem_weights(job, unit); break;
    default:
      pack_direct_weights(job, unit);
      if (job->conv->bfloat16) round_direct_weights(job, unit);
      break;
  }
}

static void conv_pack(const ck_conv *conv, ck_pool *pool, const float *weights, float *packed) {
  weight_job job = {.conv = conv, .geometry = ck_geometry(conv), .weights = weights, .packed = packed};
  if (pool) {
    ck_pool_run(pool, job.geometry.out_blocks, pack_weights_unit, &job);
  } else {
    for (int block = 0; block < job.geometry.out_blocks; ++block) pack_weights_unit(&job, block, 0);
  }
}
