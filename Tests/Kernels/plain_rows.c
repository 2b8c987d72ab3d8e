// The kernels of rows against their definitions: softmax, layer norm, sums of columns; and the optimisers.
#include <math.h>
#include <string.h>

#include "support.h"

static void check_softmax(size_t rows, size_t width) {
  size_t n = rows * width;
  float *x = random_floats(n), *gy = random_floats(n), *y = floats(n), *got = floats(n);
  double *soft = doubles(n), *logs = doubles(n), *back = doubles(n);
  for (size_t i = 0; i < n; ++i) x[i] *= 8;
  for (size_t r = 0; r < rows; ++r) {
    const float *row = x + r * width;
    double largest = -INFINITY, total = 0, product = 0;
    for (size_t i = 0; i < width; ++i) largest = fmax(largest, (double)row[i]);
    for (size_t i = 0; i < width; ++i) total += exp((double)row[i] - largest);
    for (size_t i = r * width; i < (r + 1) * width; ++i) {
      logs[i] = (double)x[i] - largest - log(total);
      soft[i] = exp(logs[i]);
      y[i] = (float)soft[i];
      product += (double)gy[i] * (double)y[i];
    }
    for (size_t i = r * width; i < (r + 1) * width; ++i) back[i] = (double)y[i] * ((double)gy[i] - product);
  }
  EACH_SET(set) {
    const char *name = set_name(set);
    ck_softmax_rows(x, got, rows, width);
    expect_close(compare_floats(got, soft, n), 1e-6, "%s softmax %zu × %zu", name, rows, width);
    ck_log_softmax_rows(x, got, rows, width);
    expect_close(compare_floats(got, logs, n), 1e-6, "%s logarithm of softmax %zu × %zu", name, rows, width);
    ck_softmax_rows_backward(y, gy, got, rows, width);
    expect_close(compare_floats(got, back, n), 2e-6, "%s gradient of softmax %zu × %zu", name, rows, width);
  }
  release_buffers();
}

static void check_layer_norm(size_t rows, size_t width) {
  size_t n = rows * width;
  float *x = random_floats(n), *gy = random_floats(n), *got = floats(n), *statistics = floats(2 * rows);
  float *scale = random_floats(width), *shift = random_floats(width);
  double *y = doubles(n), *back = doubles(n), *reduced = zeros(2 * width), *columns = zeros(width), *sums = doubles(2 * width);
  for (size_t r = 0; r < rows; ++r) {
    double mean = 0, variance = 0, plain = 0, product = 0;
    const float *row = x + r * width, *slope = gy + r * width;
    for (size_t i = 0; i < width; ++i) mean += (double)row[i] / (double)width;
    for (size_t i = 0; i < width; ++i) variance += ((double)row[i] - mean) * ((double)row[i] - mean) / (double)width;
    double rstd = 1 / sqrt(variance + 1e-3);
    for (size_t i = 0; i < width; ++i) {
      double normal = ((double)row[i] - mean) * rstd, g = (double)slope[i] * (double)scale[i];
      y[r * width + i] = normal * (double)scale[i] + (double)shift[i];
      plain += g / (double)width;
      product += g * normal / (double)width;
      reduced[i] += (double)slope[i] * normal;
      reduced[width + i] += (double)slope[i];
      columns[i] += (double)row[i];
    }
    for (size_t i = 0; i < width; ++i)
      back[r * width + i] = rstd * ((double)slope[i] * (double)scale[i] - plain - ((double)row[i] - mean) * rstd * product);
  }
  EACH_SET(set) {
    const char *name = set_name(set);
    ck_layer_norm(x, scale, shift, 1e-3f, got, statistics, rows, width);
    expect_close(compare_floats(got, y, n), 1e-6, "%s layer norm %zu × %zu", name, rows, width);
    ck_layer_norm_backward(x, scale, statistics, gy, got, rows, width);
    expect_close(compare_floats(got, back, n), 2e-6, "%s gradient of layer norm %zu × %zu", name, rows, width);
    memset(sums, 0, 2 * width * sizeof(double));
    ck_layer_norm_reduce(x, statistics, gy, sums, rows, width);
    expect_close(compare_doubles(sums, reduced, 2 * width), 2e-6, "%s sums of layer norm %zu × %zu", name, rows, width);
    memset(sums, 0, 2 * width * sizeof(double));
    ck_column_sums(x, sums, rows, width);
    expect_close(compare_doubles(sums, columns, width), 1e-12, "%s sums of columns %zu × %zu", name, rows, width);
  }
  release_buffers();
}

static void check_unit_rows(size_t rows, size_t width) {
  float *x = random_floats(rows * width), *got = floats(rows * width);
  double *unit = doubles(rows * width);
  // A row of zeros stays one.
  memset(x + width, 0, width * sizeof(float));
  for (size_t r = 0; r < rows; ++r) {
    double square = 0;
    for (size_t i = 0; i < width; ++i) square += (double)x[r * width + i] * (double)x[r * width + i];
    for (size_t i = 0; i < width; ++i) unit[r * width + i] = (double)x[r * width + i] / fmax(sqrt(square), 1e-12);
  }
  EACH_SET(set) {
    ck_unit_rows(x, got, rows, width);
    expect_close(compare_floats(got, unit, rows * width), 2e-7, "%s unit rows %zu × %zu", set_name(set), rows, width);
  }
  release_buffers();
}

static void check_adam(size_t n, int decoupled, long step) {
  ck_adam_settings s = {.learning_rate = 0.01f, .beta1 = 0.9f, .beta2 = 0.99f, .epsilon = 1e-3f, .weight_decay = 0.05f, .decoupled = decoupled, .step = step};
  float *x = random_floats(n), *gradient = random_floats(n), *first = random_floats(n), *second = random_floats(n);
  float *got = floats(n), *got_first = floats(n), *got_second = floats(n);
  double *expected = doubles(n), *expected_first = doubles(n), *expected_second = doubles(n);
  double beta1 = (double)s.beta1, beta2 = (double)s.beta2, rate = (double)s.learning_rate, weight_decay = (double)s.weight_decay;
  for (size_t i = 0; i < n; ++i) {
    second[i] = fabsf(second[i]) + 0.1f;
    double value = (double)x[i] * (decoupled ? 1 - rate * weight_decay : 1), g = (double)gradient[i] + (decoupled ? 0 : weight_decay * value);
    expected_first[i] = beta1 * (double)first[i] + (1 - beta1) * g;
    expected_second[i] = beta2 * (double)second[i] + (1 - beta2) * g * g;
    double root = sqrt(expected_second[i] / (1 - pow(beta2, (double)step))) + (double)s.epsilon;
    expected[i] = value - rate * expected_first[i] / (1 - pow(beta1, (double)step)) / root;
  }
  EACH_SET(set) {
    memcpy(got, x, n * sizeof(float));
    memcpy(got_first, first, n * sizeof(float));
    memcpy(got_second, second, n * sizeof(float));
    ck_adam(&s, got, gradient, got_first, got_second, n);
    expect_close(compare_floats(got, expected, n), 1e-6, "%s Adam %d, step %ld", set_name(set), decoupled, step);
    expect_close(compare_floats(got_first, expected_first, n), 1e-6, "%s Adam %d, step %ld: first moment", set_name(set), decoupled, step);
    expect_close(compare_floats(got_second, expected_second, n), 1e-6, "%s Adam %d, step %ld: second moment", set_name(set), decoupled, step);
  }
  release_buffers();
}

static void check_sgd(size_t n, float momentum, int nesterov, int is_first) {
  ck_sgd_settings s = {.learning_rate = 0.1f, .momentum = momentum, .dampening = 0.25f, .weight_decay = 0.05f, .nesterov = nesterov, .first = is_first};
  float *x = random_floats(n), *gradient = random_floats(n), *velocity = random_floats(n), *got = floats(n), *got_velocity = floats(n);
  double *expected = doubles(n), *expected_velocity = doubles(n);
  for (size_t i = 0; i < n; ++i) {
    double g = (double)gradient[i] + (double)s.weight_decay * (double)x[i], v = (double)velocity[i];
    if (momentum != 0) {
      v = is_first ? g : (double)momentum * v + 0.75 * g;
      g = nesterov ? g + (double)momentum * v : v;
    }
    expected_velocity[i] = v;
    expected[i] = (double)x[i] - (double)s.learning_rate * g;
  }
  EACH_SET(set) {
    memcpy(got, x, n * sizeof(float));
    memcpy(got_velocity, velocity, n * sizeof(float));
    ck_sgd(&s, got, gradient, got_velocity, n);
    expect_close(compare_floats(got, expected, n), 1e-6, "%s SGD, momentum %g", set_name(set), (double)momentum);
    expect_close(compare_floats(got_velocity, expected_velocity, n), 1e-6, "%s SGD, momentum %g: velocity", set_name(set), (double)momentum);
  }
  release_buffers();
}

void test_plain_rows(void) {
  begin_group("rows, optimisers");
  static const size_t widths[] = {1, 10, 64, 100, 197};
  for (size_t i = 0; i < sizeof widths / sizeof widths[0]; ++i) {
    seed((unsigned)i);
    check_softmax(7, widths[i]);
    check_layer_norm(5, widths[i]);
    check_unit_rows(4, widths[i]);
  }
  check_adam(77, 0, 1);
  check_adam(77, 1, 3);
  check_sgd(77, 0, 0, 0);
  check_sgd(77, 0.9f, 0, 1);
  check_sgd(77, 0.9f, 1, 0);
}
