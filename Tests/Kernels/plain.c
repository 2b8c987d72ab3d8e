// The kernels of plain values against their definitions: runs of values, functions and their derivatives, norms, windows.
#include <math.h>
#include <string.h>

#include "support.h"

enum { LENGTHS = 5 };
static const size_t lengths[LENGTHS] = {0, 1, 15, 64, 1037};

static void check_runs(size_t n) {
  float *x = random_floats(n), *y = random_floats(n), *got = floats(n);
  uint8_t *bytes = buffer(n);
  double *mixed = doubles(n), *scaled = doubles(n), *sum = doubles(n), *product = doubles(n), *unit = doubles(n), squares = 0, distance = 0;
  for (size_t i = 0; i < n; ++i) {
    bytes[i] = (uint8_t)(i * 7);
    mixed[i] = 0.75 * (double)x[i] + 0.25 * (double)y[i];
    scaled[i] = (double)x[i] - 1.5 * (double)y[i];
    sum[i] = (double)x[i] + (double)y[i];
    product[i] = (double)x[i] * (double)y[i];
    unit[i] = bytes[i] / 255.0;
    squares += (double)x[i] * (double)x[i];
    distance += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
  }
  EACH_SET(set) {
    const char *name = set_name(set);
    memcpy(got, x, n * sizeof(float));
    ck_interpolate(got, y, 0.25f, n);
    expect_close(compare_floats(got, mixed, n), 2e-7, "%s interpolation of %zu", name, n);
    memcpy(got, x, n * sizeof(float));
    ck_add_scaled(got, y, -1.5f, n);
    expect_close(compare_floats(got, scaled, n), 2e-7, "%s scaled sum of %zu", name, n);
    ck_add(x, y, got, n);
    expect_close(compare_floats(got, sum, n), 2e-7, "%s sum of %zu", name, n);
    ck_multiply(x, y, got, n);
    expect_close(compare_floats(got, product, n), 2e-7, "%s product of %zu", name, n);
    ck_bytes_to_unit(bytes, got, n);
    expect_close(compare_floats(got, unit, n), 1e-7, "%s bytes, %zu", name, n);
    double total = ck_sum_of_squares(x, n);
    expect_close(compare_doubles(&total, &squares, 1), 1e-12, "%s sum of %zu squares", name, n);
    total = ck_squared_distance(x, y, n);
    expect_close(compare_doubles(&total, &distance, 1), 1e-7, "%s squared distance of %zu", name, n);
    expect(ck_all_finite(x, n) == 1, "%s %zu finite values", name, n);
    memcpy(got, x, n * sizeof(float));
    if (n > 0) got[n / 2] = n % 2 ? INFINITY : NAN;
    expect(ck_all_finite(got, n) == (n == 0), "%s one value of %zu that is not finite", name, n);
  }
  release_buffers();
}

/// Philox4x32-10 (Salmon et al., SC 2011): one word.
static uint32_t philox_word(uint64_t key, uint64_t low, uint64_t high, int word) {
  uint32_t c[4] = {(uint32_t)low, (uint32_t)(low >> 32), (uint32_t)high, (uint32_t)(high >> 32)}, k[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
  for (int round = 0; round < 10; ++round) {
    uint64_t p0 = (uint64_t)c[0] * 0xD2511F53u, p1 = (uint64_t)c[2] * 0xCD9E8D57u;
    uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k[0], (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c[3] ^ k[1], (uint32_t)p0};
    memcpy(c, next, sizeof c);
    k[0] += 0x9E3779B9u, k[1] += 0xBB67AE85u;
  }
  return c[word];
}

static void check_restore(size_t n) {
  float *x = random_floats(n), *source = random_floats(n), *got = floats(n);
  double *expected = doubles(n);
  const uint64_t key = 0x123456789ABCDEFu, low = 0xFFFFFFFFFFu, high = 5;
  for (size_t i = 0; i < n; ++i)
    expected[i] = (philox_word(key, low + i / 4, high, (int)(i % 4)) >> 8) / 16777216.0 < 0.3125 ? (double)source[i] : (double)x[i];
  EACH_SET(set) {
    memcpy(got, x, n * sizeof(float));
    ck_restore(got, source, 0.3125f, key, low, high, n);
    expect_close(compare_floats(got, expected, n), 1e-12, "%s restored values, %zu", set_name(set), n);
  }
  release_buffers();
}

static double sigmoid(double v) { return 1 / (1 + exp(-v)); }
static double density(double v) { return exp(-v * v / 2) / sqrt(2 * M_PI); }
static double gelu_inner(double v) { return sqrt(2 / M_PI) * (v + 0.044715 * v * v * v); }

static double function_value(ck_function f, double v) {
  switch (f) {
    case CK_RELU: return fmax(0, v);
    case CK_RELU6: return fmin(6, fmax(0, v));
    case CK_LEAKY_RELU: return v > 0 ? v : 0.125 * v;
    case CK_GELU: return v * 0.5 * erfc(-v / sqrt(2));
    case CK_GELU_TANH: return 0.5 * v * (1 + tanh(gelu_inner(v)));
    case CK_SILU: return v * sigmoid(v);
    case CK_HARDSWISH: return v * fmin(6, fmax(0, v + 3)) / 6;
    case CK_SIGMOID: return sigmoid(v);
    case CK_HARDSIGMOID: return fmin(6, fmax(0, v + 3)) / 6;
    case CK_TANH: return tanh(v);
    case CK_SOFTPLUS: return log1p(exp(v));
  }
  return NAN;
}
static double function_slope(ck_function f, double v) {
  double t = tanh(gelu_inner(v)), s = sigmoid(v);
  switch (f) {
    case CK_RELU: return v > 0;
    case CK_RELU6: return v > 0 && v < 6;
    case CK_LEAKY_RELU: return v > 0 ? 1 : 0.125;
    case CK_GELU: return 0.5 * erfc(-v / sqrt(2)) + v * density(v);
    case CK_GELU_TANH: return 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * v * v);
    case CK_SILU: return s * (1 + v * (1 - s));
    case CK_HARDSWISH: return v <= -3 ? 0 : v >= 3 ? 1 : v / 3 + 0.5;
    case CK_SIGMOID: return s * (1 - s);
    case CK_HARDSIGMOID: return v > -3 && v < 3 ? 1.0 / 6 : 0;
    case CK_TANH: return 1 - tanh(v) * tanh(v);
    case CK_SOFTPLUS: return s;
  }
  return NAN;
}

static void check_functions(size_t n) {
  float *x = random_floats(n), *gradient = random_floats(n), *got = floats(n);
  double *values = doubles(n), *slopes = doubles(n);
  // Both sides of every kink, the kinks themselves included.
  for (size_t i = 0; i < n; ++i) x[i] = i < 19 ? (float)i - 9 : x[i] * (i % 2 ? 12 : 1);
  for (int f = CK_RELU; f <= CK_SOFTPLUS; ++f) {
    for (size_t i = 0; i < n; ++i) {
      values[i] = function_value((ck_function)f, (double)x[i]);
      slopes[i] = (double)gradient[i] * function_slope((ck_function)f, (double)x[i]);
    }
    EACH_SET(set) {
      ck_function_forward((ck_function)f, 0.125f, x, got, n);
      expect_close(compare_floats(got, values, n), 1e-6, "%s function %d of %zu", set_name(set), f, n);
      ck_function_backward((ck_function)f, 0.125f, x, gradient, got, n);
      expect_close(compare_floats(got, slopes, n), 2e-6, "%s function %d of %zu: slope", set_name(set), f, n);
    }
  }
  release_buffers();
}

static void check_channels(size_t channels, size_t area) {
  size_t n = channels * area;
  float *x = random_floats(n), *gy = random_floats(n), *got = floats(n);
  float *mean = random_floats(channels), *a = random_floats(channels), *b = random_floats(channels), *c = random_floats(channels);
  double *affine = doubles(n), *normal = doubles(n), *gradient = doubles(n);
  // Sums are added to what was there: 1 everywhere.
  double *sums = doubles(channels), *squares = doubles(channels), *pairs = doubles(2 * channels), *sum = doubles(2 * channels);
  for (size_t k = 0; k < channels; ++k) {
    sums[k] = squares[k] = pairs[2 * k] = pairs[2 * k + 1] = 1;
    for (size_t i = k * area; i < (k + 1) * area; ++i) {
      double centered = (double)x[i] - (double)mean[k];
      affine[i] = (double)x[i] * (double)a[k] + (double)b[k];
      normal[i] = centered * (double)a[k] + (double)b[k];
      gradient[i] = (double)a[k] * (double)gy[i] + (double)b[k] * centered + (double)c[k];
      sums[k] += (double)x[i];
      squares[k] += centered * centered;
      pairs[2 * k] += (double)gy[i];
      pairs[2 * k + 1] += (double)gy[i] * centered;
    }
  }
  EACH_SET(set) {
    const char *name = set_name(set);
    ck_plain_affine(x, a, b, got, channels, area);
    expect_close(compare_floats(got, affine, n), 2e-7, "%s affine, %zu × %zu", name, channels, area);
    ck_plain_normalize(x, mean, a, b, got, channels, area);
    expect_close(compare_floats(got, normal, n), 2e-7, "%s norm, %zu × %zu", name, channels, area);
    ck_plain_norm_gradient(x, gy, mean, a, b, c, got, channels, area);
    expect_close(compare_floats(got, gradient, n), 3e-7, "%s gradient of a norm, %zu × %zu", name, channels, area);
    for (size_t k = 0; k < 2 * channels; ++k) sum[k] = 1;
    ck_plain_sums(x, sum, channels, area);
    expect_close(compare_doubles(sum, sums, channels), 1e-12, "%s sums, %zu × %zu", name, channels, area);
    for (size_t k = 0; k < 2 * channels; ++k) sum[k] = 1;
    ck_plain_square_sums(x, mean, sum, channels, area);
    expect_close(compare_doubles(sum, squares, channels), 2e-7, "%s sums of squares, %zu × %zu", name, channels, area);
    for (size_t k = 0; k < 2 * channels; ++k) sum[k] = 1;
    ck_plain_norm_reduce(x, gy, mean, sum, channels, area);
    expect_close(compare_doubles(sum, pairs, 2 * channels), 2e-7, "%s sums of a norm, %zu × %zu", name, channels, area);
  }
  release_buffers();
}

/// Where a tap of a window lies in its channel, or −1.
static long tap_position(const ck_window *w, size_t result, size_t tap) {
  long row = (long)(result / w->out_width * w->stride_height + tap / w->kernel_width * w->dilation_height) - w->pad_top;
  long column = (long)(result % w->out_width * w->stride_width + tap % w->kernel_width * w->dilation_width) - w->pad_left;
  return row < 0 || column < 0 || row >= (long)w->height || column >= (long)w->width ? -1 : row * (long)w->width + column;
}

static void check_columns(const ck_window *w) {
  size_t plane = w->height * w->width, area = w->out_height * w->out_width, taps = w->kernel_height * w->kernel_width;
  size_t count = w->channels * plane, column_count = w->channels * taps * area;
  float *image = random_floats(count), *columns = random_floats(column_count), *got = floats(count), *got_columns = floats(column_count);
  double *expected = zeros(column_count), *back = zeros(count);
  for (size_t i = 0; i < column_count; ++i) {
    long position = tap_position(w, i % area, i / area % taps);
    if (position < 0) continue;
    expected[i] = (double)image[i / (area * taps) * plane + (size_t)position];
    back[i / (area * taps) * plane + (size_t)position] += (double)columns[i];
  }
  EACH_SET(set) {
    ck_image_to_columns(w, image, got_columns);
    expect_close(compare_floats(got_columns, expected, column_count), 1e-12, "%s columns of an image", set_name(set));
    memset(got, 0, count * sizeof(float));
    ck_columns_to_image(w, columns, got);
    expect_close(compare_floats(got, back, count), 1e-6, "%s an image of columns", set_name(set));
  }
  release_buffers();
}

static void check_windows(const ck_window *w, bool averages) {
  size_t plane = w->height * w->width, area = w->out_height * w->out_width, taps = w->kernel_height * w->kernel_width;
  size_t count = w->channels * plane, results = w->channels * area;
  float *image = random_floats(count), *gradient = random_floats(results), *got = floats(results), *got_back = floats(count);
  int32_t *positions = buffer(results * sizeof(int32_t)), *expected_positions = buffer(results * sizeof(int32_t));
  double *maxima = doubles(results), *means[2] = {zeros(results), zeros(results)}, *back[2] = {zeros(count), zeros(count)};
  for (size_t i = 0; i < results; ++i) {
    const float *channel = image + i / area * plane;
    double inside = 0;
    maxima[i] = -INFINITY;
    for (size_t tap = 0; tap < taps; ++tap) {
      long position = tap_position(w, i % area, tap);
      if (position < 0) continue;
      ++inside;
      means[0][i] += (double)channel[position];
      if ((double)channel[position] > maxima[i]) maxima[i] = (double)channel[position], expected_positions[i] = (int32_t)position;
    }
    means[1][i] = means[0][i] / (double)taps;
    means[0][i] /= inside;
    for (size_t tap = 0; tap < taps; ++tap) {
      long position = tap_position(w, i % area, tap);
      if (position < 0) continue;
      back[0][i / area * plane + (size_t)position] += (double)gradient[i] / inside;
      back[1][i / area * plane + (size_t)position] += (double)gradient[i] / (double)taps;
    }
  }
  EACH_SET(set) {
    ck_plain_max_pool(w, image, got, positions);
    expect_close(compare_floats(got, maxima, results), 1e-12, "%s maxima of windows", set_name(set));
    expect(memcmp(positions, expected_positions, results * sizeof(int32_t)) == 0, "%s where maxima of windows are", set_name(set));
    for (int include = 0; include < 2 && averages; ++include) {
      ck_plain_average_pool(w, include, image, got);
      expect_close(compare_floats(got, means[include], results), 1e-6, "%s means of windows", set_name(set));
      memset(got_back, 0, count * sizeof(float));
      ck_plain_average_pool_backward(w, include, gradient, got_back);
      expect_close(compare_floats(got_back, back[include], count), 1e-6, "%s gradient of means of windows", set_name(set));
    }
  }
  release_buffers();
}

void test_plain(void) {
  static const ck_window windows[] = {{3, 9, 8, 9, 8, 3, 3, 1, 1, 1, 1, 1, 1}, {2, 11, 12, 5, 6, 3, 2, 2, 2, 1, 1, 0, 0},
                                      {2, 12, 13, 4, 5, 3, 3, 2, 2, 2, 2, 0, 0}};
  begin_group("plain values");
  for (int i = 0; i < LENGTHS; ++i) {
    seed((unsigned)i);
    check_runs(lengths[i]);
    check_restore(lengths[i]);
    check_functions(lengths[i]);
  }
  check_channels(5, 49);
  check_channels(3, 64);
  check_channels(16, 1);
  for (size_t i = 0; i < sizeof windows / sizeof windows[0]; ++i) {
    check_columns(&windows[i]);
    check_windows(&windows[i], windows[i].dilation_height == 1);
  }
}
