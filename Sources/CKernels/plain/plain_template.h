// The kernels of ckernels_plain.h. Compiled once per instruction set: the including file defines CK_NAME and the target attributes.
#include "plain_table.h"
#include "functions.h"
#include <string.h>

#pragma clang fp reassociate(on) contract(fast)

static void CK_NAME(interpolate)(float *restrict x, const float *restrict y, float weight, size_t n) {
  float keep = 1 - weight;
  for (size_t i = 0; i < n; i++) x[i] = keep * x[i] + weight * y[i];
}
static void CK_NAME(add_scaled)(float *restrict x, const float *restrict y, float factor, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] += factor * y[i];
}
static void CK_NAME(add)(const float *x, const float *y, float *out, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = x[i] + y[i];
}
static void CK_NAME(multiply)(const float *x, const float *y, float *out, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = x[i] * y[i];
}
static double CK_NAME(sum_of_squares)(const float *x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
  return sum;
}
static double CK_NAME(squared_distance)(const float *x, const float *y, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    float d = x[i] - y[i];
    sum += (double)d * d;
  }
  return sum;
}
static void CK_NAME(unit_rows)(const float *restrict x, float *restrict y, size_t rows, size_t width) {
  for (size_t r = 0; r < rows; r++, x += width, y += width) {
    double norm = sqrt(CK_NAME(sum_of_squares)(x, width));
    float divisor = (float)(norm > 1e-12 ? norm : 1e-12);
    for (size_t i = 0; i < width; i++) y[i] = x[i] / divisor;
  }
}
static int CK_NAME(all_finite)(const float *x, size_t n) {
  uint32_t worst = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, 4);
    bits &= 0x7f800000u;
    worst = bits > worst ? bits : worst;
  }
  return worst != 0x7f800000u;
}
static void CK_NAME(bytes_to_unit)(const uint8_t *restrict bytes, float *restrict out, size_t n) {
#pragma clang fp reassociate(off) contract(off)
  for (size_t i = 0; i < n; i++) out[i] = (float)bytes[i] / 255.0f;
}

#define CK_EACH(expression)             \
  for (size_t i = 0; i < n; i++) {      \
    float v = x[i];                     \
    y[i] = (expression);                \
  }                                     \
  break

static void CK_NAME(function_forward)(ck_function f, float slope, const float *restrict x, float *restrict y, size_t n) {
  switch (f) {
    case CK_RELU: CK_EACH(v > 0 ? v : 0);
    case CK_RELU6: CK_EACH(v < 0 ? 0 : (v > 6 ? 6 : v));
    case CK_LEAKY_RELU: CK_EACH(v > 0 ? v : slope * v);
    case CK_GELU: CK_EACH(0.5f * v * (1 + ck_erf(v * 0.707106781f)));
    case CK_GELU_TANH: CK_EACH(0.5f * v * (1 + ck_tanh(0.797884561f * (v + 0.044715f * v * v * v))));
    case CK_SILU: CK_EACH(v * ck_sigmoid(v));
    case CK_HARDSWISH: CK_EACH(v <= -3 ? 0 : (v >= 3 ? v : v * (v + 3) * (1.0f / 6)));
    case CK_SIGMOID: CK_EACH(ck_sigmoid(v));
    case CK_HARDSIGMOID: CK_EACH(v <= -3 ? 0 : (v >= 3 ? 1 : v * (1.0f / 6) + 0.5f));
    case CK_TANH: CK_EACH(ck_tanh(v));
    case CK_SOFTPLUS:
      for (size_t i = 0; i < n; i++) y[i] = x[i] > 20 ? x[i] : log1pf(expf(x[i]));
      break;
  }
}
#undef CK_EACH

#define CK_EACH(derivative)             \
  for (size_t i = 0; i < n; i++) {      \
    float v = x[i];                     \
    gx[i] = gy[i] * (derivative);       \
  }                                     \
  break

CK_INLINE float CK_NAME(gelu_tanh_slope)(float v) {
  float t = ck_tanh(0.797884561f * (v + 0.044715f * v * v * v));
  return 0.5f * (1 + t) + 0.5f * v * (1 - t * t) * 0.797884561f * (1 + 3 * 0.044715f * v * v);
}
static void CK_NAME(function_backward)(ck_function f, float slope, const float *restrict x, const float *restrict gy, float *restrict gx,
                                       size_t n) {
  switch (f) {
    case CK_RELU: CK_EACH(v > 0 ? 1.0f : 0.0f);
    case CK_RELU6: CK_EACH(v > 0 && v < 6 ? 1.0f : 0.0f);
    case CK_LEAKY_RELU: CK_EACH(v > 0 ? 1.0f : slope);
    case CK_GELU: CK_EACH(ck_gelu_slope(v));
    case CK_GELU_TANH: CK_EACH(CK_NAME(gelu_tanh_slope)(v));
    case CK_SILU: CK_EACH(ck_sigmoid(v) * (1 + v * (1 - ck_sigmoid(v))));
    case CK_HARDSWISH: CK_EACH(v <= -3 ? 0.0f : (v >= 3 ? 1.0f : v * (1.0f / 3) + 0.5f));
    case CK_SIGMOID: CK_EACH(ck_sigmoid(v) * (1 - ck_sigmoid(v)));
    case CK_HARDSIGMOID: CK_EACH(v > -3 && v < 3 ? 1.0f / 6 : 0.0f);
    case CK_TANH: CK_EACH(1 - ck_tanh(v) * ck_tanh(v));
    case CK_SOFTPLUS: CK_EACH(v > 20 ? 1.0f : ck_sigmoid(v));
  }
}
#undef CK_EACH

static void CK_NAME(plain_affine)(const float *x, const float *scale, const float *shift, float *y, size_t channels, size_t area) {
  for (size_t c = 0; c < channels; c++) {
    float s = scale[c], t = shift[c];
    for (size_t i = 0; i < area; i++) y[c * area + i] = x[c * area + i] * s + t;
  }
}
static void CK_NAME(plain_normalize)(const float *x, const float *mean, const float *scale, const float *shift, float *y, size_t channels,
                                     size_t area) {
  for (size_t c = 0; c < channels; c++) {
    float m = mean[c], s = scale[c], t = shift[c];
    for (size_t i = 0; i < area; i++) {
#pragma clang fp reassociate(off)
      y[c * area + i] = (x[c * area + i] - m) * s + t;
    }
  }
}
static void CK_NAME(plain_sums)(const float *x, double *sums, size_t channels, size_t area) {
  for (size_t c = 0; c < channels; c++) {
    double sum = 0;
    for (size_t i = 0; i < area; i++) sum += x[c * area + i];
    sums[c] += sum;
  }
}
static void CK_NAME(plain_square_sums)(const float *x, const float *mean, double *sums, size_t channels, size_t area) {
  for (size_t c = 0; c < channels; c++) {
    float m = mean[c];
    double sum = 0;
    for (size_t i = 0; i < area; i++) {
      float d = x[c * area + i] - m;
      sum += (double)d * d;
    }
    sums[c] += sum;
  }
}
static void CK_NAME(plain_norm_reduce)(const float *x, const float *gy, const float *mean, double *sums, size_t channels, size_t area) {
  for (size_t c = 0; c < channels; c++) {
    float m = mean[c];
    double plain = 0, product = 0;
    for (size_t i = 0; i < area; i++) {
      plain += gy[c * area + i];
      product += (double)gy[c * area + i] * (x[c * area + i] - m);
    }
    sums[2 * c] += plain;
    sums[2 * c + 1] += product;
  }
}
static void CK_NAME(plain_norm_gradient)(const float *x, const float *gy, const float *mean, const float *a, const float *b, const float *c,
                                         float *gx, size_t channels, size_t area) {
  for (size_t k = 0; k < channels; k++) {
    float m = mean[k], ak = a[k], bk = b[k], ck = c[k];
    for (size_t i = 0; i < area; i++) gx[k * area + i] = ak * gy[k * area + i] + bk * (x[k * area + i] - m) + ck;
  }
}

static void CK_NAME(image_to_columns)(const ck_window *w, const float *image, float *columns) {
  size_t area = w->out_height * w->out_width;
  for (size_t c = 0; c < w->channels; c++)
    for (size_t kr = 0; kr < w->kernel_height; kr++)
      for (size_t kc = 0; kc < w->kernel_width; kc++, columns += area)
        for (size_t r = 0; r < w->out_height; r++) {
          float *out = columns + r * w->out_width;
          long row = (long)(r * w->stride_height + kr * w->dilation_height) - w->pad_top;
          if (row < 0 || row >= (long)w->height) {
            memset(out, 0, w->out_width * sizeof(float));
            continue;
          }
          const float *in = image + (c * w->height + (size_t)row) * w->width;
          long column = (long)(kc * w->dilation_width) - w->pad_left;
          for (size_t q = 0; q < w->out_width; q++, column += (long)w->stride_width)
            out[q] = column >= 0 && column < (long)w->width ? in[column] : 0;
        }
}
static void CK_NAME(columns_to_image)(const ck_window *w, const float *columns, float *image) {
  size_t area = w->out_height * w->out_width;
  for (size_t c = 0; c < w->channels; c++)
    for (size_t kr = 0; kr < w->kernel_height; kr++)
      for (size_t kc = 0; kc < w->kernel_width; kc++, columns += area)
        for (size_t r = 0; r < w->out_height; r++) {
          long row = (long)(r * w->stride_height + kr * w->dilation_height) - w->pad_top;
          if (row < 0 || row >= (long)w->height) continue;
          float *out = image + (c * w->height + (size_t)row) * w->width;
          const float *in = columns + r * w->out_width;
          long column = (long)(kc * w->dilation_width) - w->pad_left;
          for (size_t q = 0; q < w->out_width; q++, column += (long)w->stride_width)
            if (column >= 0 && column < (long)w->width) out[column] += in[q];
        }
}
static void CK_NAME(plain_max_pool)(const ck_window *w, const float *image, float *out, int32_t *positions) {
  for (size_t c = 0; c < w->channels; c++)
    for (size_t r = 0; r < w->out_height; r++)
      for (size_t q = 0; q < w->out_width; q++, out++, positions++) {
        const float *plane = image + c * w->height * w->width;
        float best = -INFINITY;
        int32_t where = -1;
        for (size_t kr = 0; kr < w->kernel_height; kr++)
          for (size_t kc = 0; kc < w->kernel_width; kc++) {
            long row = (long)(r * w->stride_height + kr * w->dilation_height) - w->pad_top;
            long column = (long)(q * w->stride_width + kc * w->dilation_width) - w->pad_left;
            if (row < 0 || column < 0 || row >= (long)w->height || column >= (long)w->width) continue;
            float v = plane[row * (long)w->width + column];
            if (where < 0 || v > best) {
              best = v;
              where = (int32_t)(row * (long)w->width + column);
            }
          }
        *out = best;
        *positions = where;
      }
}
// Bounds of one window inside the picture, and the divisor of its mean.
CK_INLINE float CK_NAME(average_bounds)(const ck_window *w, int include_padding, size_t r, size_t q, long *rows, long *columns) {
  long top = (long)(r * w->stride_height) - w->pad_top, left = (long)(q * w->stride_width) - w->pad_left;
  rows[0] = top < 0 ? 0 : top;
  columns[0] = left < 0 ? 0 : left;
  rows[1] = top + (long)w->kernel_height < (long)w->height ? top + (long)w->kernel_height : (long)w->height;
  columns[1] = left + (long)w->kernel_width < (long)w->width ? left + (long)w->kernel_width : (long)w->width;
  if (include_padding) return (float)(w->kernel_height * w->kernel_width);
  return (float)((rows[1] - rows[0]) * (columns[1] - columns[0]));
}
static void CK_NAME(plain_average_pool)(const ck_window *w, int include_padding, const float *image, float *out) {
  long rows[2], columns[2];
  for (size_t c = 0; c < w->channels; c++)
    for (size_t r = 0; r < w->out_height; r++)
      for (size_t q = 0; q < w->out_width; q++) {
        float divisor = CK_NAME(average_bounds)(w, include_padding, r, q, rows, columns), sum = 0;
        for (long i = rows[0]; i < rows[1]; i++)
          for (long j = columns[0]; j < columns[1]; j++) sum += image[(c * w->height + (size_t)i) * w->width + (size_t)j];
        *out++ = sum / divisor;
      }
}
static void CK_NAME(plain_average_pool_backward)(const ck_window *w, int include_padding, const float *out_gradient, float *gradient) {
  long rows[2], columns[2];
  for (size_t c = 0; c < w->channels; c++)
    for (size_t r = 0; r < w->out_height; r++)
      for (size_t q = 0; q < w->out_width; q++) {
        float share = *out_gradient++ / CK_NAME(average_bounds)(w, include_padding, r, q, rows, columns);
        for (long i = rows[0]; i < rows[1]; i++)
          for (long j = columns[0]; j < columns[1]; j++) gradient[(c * w->height + (size_t)i) * w->width + (size_t)j] += share;
      }
}

// The largest value of a row and the sum of e^(x − largest).
CK_INLINE float CK_NAME(row_maximum)(const float *x, size_t width) {
  float largest = x[0];
  for (size_t i = 1; i < width; i++) largest = x[i] > largest ? x[i] : largest;
  return largest;
}
static void CK_NAME(softmax_rows)(const float *x, float *y, size_t rows, size_t width) {
  for (size_t r = 0; r < rows; r++, x += width, y += width) {
    float largest = CK_NAME(row_maximum)(x, width), sum = 0;
    // x and y may be the same row, never shifted ones: without this a check of their distance chooses between two orders of the sum.
#pragma clang loop vectorize(assume_safety)
    for (size_t i = 0; i < width; i++) sum += y[i] = ck_exp(x[i] - largest);
    float inverse = 1 / sum;
    for (size_t i = 0; i < width; i++) y[i] *= inverse;
  }
}
static void CK_NAME(log_softmax_rows)(const float *x, float *y, size_t rows, size_t width) {
  for (size_t r = 0; r < rows; r++, x += width, y += width) {
    float largest = CK_NAME(row_maximum)(x, width), sum = 0;
    for (size_t i = 0; i < width; i++) sum += ck_exp(x[i] - largest);
    float level = logf(sum);
    for (size_t i = 0; i < width; i++) {
#pragma clang fp reassociate(off)
      y[i] = (x[i] - largest) - level;
    }
  }
}
static void CK_NAME(softmax_rows_backward)(const float *y, const float *gy, float *gx, size_t rows, size_t width) {
  for (size_t r = 0; r < rows; r++, y += width, gy += width, gx += width) {
    float product = 0;
    for (size_t i = 0; i < width; i++) product += gy[i] * y[i];
    for (size_t i = 0; i < width; i++) gx[i] = y[i] * (gy[i] - product);
  }
}
static void CK_NAME(layer_norm)(const float *x, const float *scale, const float *shift, float epsilon, float *y, float *statistics,
                                size_t rows, size_t width) {
  for (size_t r = 0; r < rows; r++, x += width, y += width) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < width; i++) sum += x[i];
    float mean = (float)(sum / (double)width);
    for (size_t i = 0; i < width; i++) {
      float d = x[i] - mean;
      squares += (double)d * d;
    }
    float rstd = (float)(1 / sqrt(squares / (double)width + (double)epsilon));
    statistics[2 * r] = mean;
    statistics[2 * r + 1] = rstd;
    for (size_t i = 0; i < width; i++) {
#pragma clang fp reassociate(off)
      y[i] = ((x[i] - mean) * rstd) * scale[i] + shift[i];
    }
  }
}
static void CK_NAME(layer_norm_backward)(const float *x, const float *scale, const float *statistics, const float *gy, float *gx,
                                         size_t rows, size_t width) {
  for (size_t r = 0; r < rows; r++, x += width, gy += width, gx += width) {
    float mean = statistics[2 * r], rstd = statistics[2 * r + 1];
    double plain = 0, product = 0;
    for (size_t i = 0; i < width; i++) {
      float g = gy[i] * scale[i];
      plain += g;
      product += (double)g * ((x[i] - mean) * rstd);
    }
    float a = (float)(plain / (double)width), b = (float)(product / (double)width);
    for (size_t i = 0; i < width; i++) gx[i] = rstd * (gy[i] * scale[i] - a - (x[i] - mean) * rstd * b);
  }
}
static void CK_NAME(layer_norm_reduce)(const float *x, const float *statistics, const float *gy, double *sums, size_t rows, size_t width) {
  for (size_t r = 0; r < rows; r++, x += width, gy += width) {
    float mean = statistics[2 * r], rstd = statistics[2 * r + 1];
    for (size_t i = 0; i < width; i++) {
      sums[i] += (double)gy[i] * ((x[i] - mean) * rstd);
      sums[width + i] += gy[i];
    }
  }
}
static void CK_NAME(column_sums)(const float *x, double *sums, size_t rows, size_t width) {
  for (size_t r = 0; r < rows; r++, x += width)
    for (size_t i = 0; i < width; i++) sums[i] += x[i];
}

// The optimisers follow PyTorch's order of operations; no reassociation, so that all instruction sets agree closely.
static void CK_NAME(adam)(const ck_adam_settings *s, float *restrict x, const float *restrict gradient, float *restrict first,
                          float *restrict second, size_t n) {
#pragma clang fp reassociate(off)
  double correction1 = 1 - pow((double)s->beta1, (double)s->step), correction2 = 1 - pow((double)s->beta2, (double)s->step);
  float step = (float)((double)s->learning_rate / correction1), root = (float)sqrt(correction2);
  float coupled = s->decoupled ? 0 : s->weight_decay, decay = s->decoupled ? 1 - s->learning_rate * s->weight_decay : 1;
  float beta2 = s->beta2, rest1 = 1 - s->beta1, rest2 = 1 - s->beta2, epsilon = s->epsilon;
  for (size_t i = 0; i < n; i++) {
    float value = x[i] * decay, g = gradient[i] + coupled * value;
    float m = first[i] + (g - first[i]) * rest1, v = second[i] * beta2 + g * g * rest2;
    first[i] = m;
    second[i] = v;
    x[i] = value - step * (m / (sqrtf(v) / root + epsilon));
  }
}
static void CK_NAME(sgd)(const ck_sgd_settings *s, float *restrict x, const float *restrict gradient, float *restrict velocity, size_t n) {
#pragma clang fp reassociate(off)
  float rate = s->learning_rate, decay = s->weight_decay, momentum = s->momentum, gain = 1 - s->dampening;
  for (size_t i = 0; i < n; i++) {
    float g = gradient[i] + decay * x[i];
    if (momentum != 0) {
      float v = s->first ? g : momentum * velocity[i] + gain * g;
      velocity[i] = v;
      g = s->nesterov ? g + momentum * v : v;
    }
    x[i] -= rate * g;
  }
}


// Sixteen Philox4x32-10 blocks at a time: `words` gets four words of each, block after block. (Salmon et al., SC 2011.)
static void CK_NAME(philox_words)(uint64_t seed, uint64_t low, uint64_t high, uint32_t words[64]) {
  uint32_t c0[16], c1[16], c2[16], c3[16], k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int i = 0; i < 16; i++) {
    c0[i] = (uint32_t)(low + (uint64_t)i);
    c1[i] = (uint32_t)((low + (uint64_t)i) >> 32);
    c2[i] = (uint32_t)high;
    c3[i] = (uint32_t)(high >> 32);
  }
  for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
    for (int i = 0; i < 16; i++) {
      uint64_t p0 = (uint64_t)c0[i] * 0xD2511F53u, p1 = (uint64_t)c2[i] * 0xCD9E8D57u;
      c0[i] = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0;
      c2[i] = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
      c1[i] = (uint32_t)p1;
      c3[i] = (uint32_t)p0;
    }
  }
  for (int i = 0; i < 16; i++) {
    words[4 * i] = c0[i];
    words[4 * i + 1] = c1[i];
    words[4 * i + 2] = c2[i];
    words[4 * i + 3] = c3[i];
  }
}
static void CK_NAME(restore)(float *restrict x, const float *restrict source, float fraction, uint64_t seed, uint64_t low, uint64_t high,
                             size_t n) {
  // Draws are multiples of 2^−24: below the fraction means below its ceiling in those units.
  uint32_t limit = (uint32_t)ceilf(fraction * 16777216.0f), words[64];
  for (size_t first = 0; first < n; first += 64, low += 16) {
    size_t count = n - first < 64 ? n - first : 64;
    CK_NAME(philox_words)(seed, low, high, words);
    for (size_t i = 0; i < count; i++) x[first + i] = (words[i] >> 8) < limit ? source[first + i] : x[first + i];
  }
}

const ck_plain_table CK_NAME(plain_table) = {
    .interpolate = CK_NAME(interpolate), .add_scaled = CK_NAME(add_scaled), .add = CK_NAME(add), .multiply = CK_NAME(multiply),
    .sum_of_squares = CK_NAME(sum_of_squares),
    .squared_distance = CK_NAME(squared_distance), .unit_rows = CK_NAME(unit_rows), .all_finite = CK_NAME(all_finite), .bytes_to_unit = CK_NAME(bytes_to_unit),
    .function_forward = CK_NAME(function_forward), .function_backward = CK_NAME(function_backward), .plain_affine = CK_NAME(plain_affine),
    .plain_normalize = CK_NAME(plain_normalize), .plain_sums = CK_NAME(plain_sums), .plain_square_sums = CK_NAME(plain_square_sums),
    .plain_norm_reduce = CK_NAME(plain_norm_reduce), .plain_norm_gradient = CK_NAME(plain_norm_gradient),
    .image_to_columns = CK_NAME(image_to_columns), .columns_to_image = CK_NAME(columns_to_image), .plain_max_pool = CK_NAME(plain_max_pool),
    .plain_average_pool = CK_NAME(plain_average_pool), .plain_average_pool_backward = CK_NAME(plain_average_pool_backward),
    .softmax_rows = CK_NAME(softmax_rows), .log_softmax_rows = CK_NAME(log_softmax_rows),
    .softmax_rows_backward = CK_NAME(softmax_rows_backward), .layer_norm = CK_NAME(layer_norm),
    .layer_norm_backward = CK_NAME(layer_norm_backward), .layer_norm_reduce = CK_NAME(layer_norm_reduce),
    .column_sums = CK_NAME(column_sums), .restore = CK_NAME(restore), .adam = CK_NAME(adam), .sgd = CK_NAME(sgd)};
