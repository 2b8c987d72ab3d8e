// Shortcuts without weights: every stride-th position, channels moved up by `channels_before`, zeros elsewhere; and the transpose.

/// 16 lanes of a block whose channels begin `shift` lanes into `low` and go on in `high`; NULL stands for zeros.
INLINE v16 shifted_lanes(const float *low, const float *high, int shift) {
  v16 a = low ? load(low) : splat(0), b = high ? load(high) : splat(0);
  if (shift == 0) return a;
  if (shift == 8) return __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23);
  _Alignas(64) float both[2 * CK_LANES];
  store(both, a);
  store(both + CK_LANES, b);
  return load_unaligned(both + shift);
}

typedef struct {
  int channels, height, width, stride, channels_before, out_channels, out_height, out_width;
  const float *source;
  float *output;
} shortcut_job;

/// Output channel o is source channel o − offset: the source block in which a block's channels begin (rounded down) and the lane.
INLINE void shifted_source(int block, int offset, int *source_block, int *shift) {
  int channel = block * CK_LANES - offset;
  *shift = ((channel % CK_LANES) + CK_LANES) % CK_LANES;
  *source_block = (channel - *shift) / CK_LANES;
}

static void clear_lanes_from(float *vector, int lane) {
  for (; lane < CK_LANES; ++lane) vector[lane] = 0;
}

static void shortcut_unit(void *context, int unit, int worker) {
  const shortcut_job *job = context;
  (void)worker;
  int blocks = ck_blocks(job->channels), out_blocks = ck_blocks(job->out_channels);
  size_t plane = (size_t)job->height * (size_t)job->width * CK_LANES;
  const float *image = job->source + (size_t)unit * (size_t)blocks * plane;
  float *output = job->output + (size_t)unit * (size_t)out_blocks * (size_t)job->out_height * (size_t)job->out_width * CK_LANES;
  for (int block = 0; block < out_blocks; ++block) {
    int source_block, shift, lanes = ck_minimum(CK_LANES, job->out_channels - block * CK_LANES);
    shifted_source(block, job->channels_before, &source_block, &shift);
    const float *low = source_block >= 0 && source_block < blocks ? image + (size_t)source_block * plane : NULL;
    const float *high = source_block + 1 >= 0 && source_block + 1 < blocks ? image + (size_t)(source_block + 1) * plane : NULL;
    for (int y = 0; y < job->out_height; ++y) {
      for (int x = 0; x < job->out_width; ++x, output += CK_LANES) {
        size_t offset = ((size_t)(y * job->stride) * (size_t)job->width + (size_t)(x * job->stride)) * CK_LANES;
        store(output, shifted_lanes(low ? low + offset : NULL, high ? high + offset : NULL, shift));
        if (lanes < CK_LANES) clear_lanes_from(output, lanes);
      }
    }
  }
}

static void shortcut_backward_unit(void *context, int unit, int worker) {
  const shortcut_job *job = context;
  (void)worker;
  int blocks = ck_blocks(job->channels), out_blocks = ck_blocks(job->out_channels);
  size_t plane = (size_t)job->out_height * (size_t)job->out_width * CK_LANES;
  const float *gradient = job->source + (size_t)unit * (size_t)out_blocks * plane;
  float *output = job->output + (size_t)unit * (size_t)blocks * (size_t)job->height * (size_t)job->width * CK_LANES;
  for (int block = 0; block < blocks; ++block) {
    int source_block, shift, lanes = ck_minimum(CK_LANES, job->channels - block * CK_LANES);
    shifted_source(block, -job->channels_before, &source_block, &shift);
    const float *low = source_block < out_blocks ? gradient + (size_t)source_block * plane : NULL;
    const float *high = source_block + 1 < out_blocks ? gradient + (size_t)(source_block + 1) * plane : NULL;
    for (int y = 0; y < job->height; ++y) {
      for (int x = 0; x < job->width; ++x, output += CK_LANES) {
        if (y % job->stride != 0 || x % job->stride != 0) {
          store(output, splat(0));
          continue;
        }
        size_t offset = ((size_t)(y / job->stride) * (size_t)job->out_width + (size_t)(x / job->stride)) * CK_LANES;
        store(output, shifted_lanes(low ? low + offset : NULL, high ? high + offset : NULL, shift));
        if (lanes < CK_LANES) clear_lanes_from(output, lanes);
      }
    }
  }
}

static void shortcut(ck_pool *pool, int n, int channels, int height, int width, int stride, int channels_before, int out_channels,
                     const float *x, float *output) {
  shortcut_job job = {channels, height, width, stride, channels_before, out_channels, ck_ceil_divide(height, stride), ck_ceil_divide(width, stride),
                      x, output};
  ck_pool_run(pool, n, shortcut_unit, &job);
}

static void shortcut_backward(ck_pool *pool, int n, int channels, int height, int width, int stride, int channels_before, int out_channels,
                              const float *gradient, float *output) {
  shortcut_job job = {channels, height, width, stride, channels_before, out_channels, ck_ceil_divide(height, stride), ck_ceil_divide(width, stride),
                      gradient, output};
  ck_pool_run(pool, n, shortcut_backward_unit, &job);
}
