// Calls the plain kernels of the instruction set in use.
#include "ckernels.h"
#include "plain_table.h"

static const ck_plain_table *table(void) {
#if defined(__x86_64__)
  switch (ck_current_isa()) {
    case CK_ISA_AVX512: return &ck_avx512_plain_table;
    case CK_ISA_AVX2: return &ck_avx2_plain_table;
    case CK_ISA_PORTABLE:
    case CK_ISA_NEON: break;
  }
#endif
  return &ck_portable_plain_table;
}

void ck_interpolate(float *x, const float *y, float weight, size_t n) { table()->interpolate(x, y, weight, n); }
void ck_add_scaled(float *x, const float *y, float factor, size_t n) { table()->add_scaled(x, y, factor, n); }
void ck_add(const float *x, const float *y, float *out, size_t n) { table()->add(x, y, out, n); }
void ck_multiply(const float *x, const float *y, float *out, size_t n) { table()->multiply(x, y, out, n); }
double ck_sum_of_squares(const float *x, size_t n) { return table()->sum_of_squares(x, n); }
double ck_squared_distance(const float *x, const float *y, size_t n) { return table()->squared_distance(x, y, n); }
void ck_unit_rows(const float *x, float *y, size_t rows, size_t width) { table()->unit_rows(x, y, rows, width); }
int ck_all_finite(const float *x, size_t n) { return table()->all_finite(x, n); }
void ck_bytes_to_unit(const uint8_t *bytes, float *out, size_t n) { table()->bytes_to_unit(bytes, out, n); }
void ck_function_forward(ck_function f, float slope, const float *x, float *y, size_t n) { table()->function_forward(f, slope, x, y, n); }
void ck_function_backward(ck_function f, float slope, const float *x, const float *gy, float *gx, size_t n) {
  table()->function_backward(f, slope, x, gy, gx, n);
}
void ck_plain_affine(const float *x, const float *scale, const float *shift, float *y, size_t channels, size_t area) {
  table()->plain_affine(x, scale, shift, y, channels, area);
}
void ck_plain_normalize(const float *x, const float *mean, const float *scale, const float *shift, float *y, size_t channels, size_t area) {
  table()->plain_normalize(x, mean, scale, shift, y, channels, area);
}
void ck_plain_sums(const float *x, double *sums, size_t channels, size_t area) { table()->plain_sums(x, sums, channels, area); }
void ck_plain_square_sums(const float *x, const float *mean, double *sums, size_t channels, size_t area) {
  table()->plain_square_sums(x, mean, sums, channels, area);
}
void ck_plain_norm_reduce(const float *x, const float *gy, const float *mean, double *sums, size_t channels, size_t area) {
  table()->plain_norm_reduce(x, gy, mean, sums, channels, area);
}
void ck_plain_norm_gradient(const float *x, const float *gy, const float *mean, const float *a, const float *b, const float *c, float *gx, size_t channels, size_t area) {
  table()->plain_norm_gradient(x, gy, mean, a, b, c, gx, channels, area);
}
void ck_image_to_columns(const ck_window *window, const float *image, float *columns) {
  table()->image_to_columns(window, image, columns);
}
void ck_columns_to_image(const ck_window *window, const float *columns, float *image) {
  table()->columns_to_image(window, columns, image);
}
void ck_plain_max_pool(const ck_window *window, const float *image, float *out, int32_t *positions) {
  table()->plain_max_pool(window, image, out, positions);
}
void ck_plain_average_pool(const ck_window *window, int include_padding, const float *image, float *out) {
  table()->plain_average_pool(window, include_padding, image, out);
}
void ck_plain_average_pool_backward(const ck_window *window, int include_padding, const float *out_gradient, float *gradient) {
  table()->plain_average_pool_backward(window, include_padding, out_gradient, gradient);
}
void ck_softmax_rows(const float *x, float *y, size_t rows, size_t width) { table()->softmax_rows(x, y, rows, width); }
void ck_log_softmax_rows(const float *x, float *y, size_t rows, size_t width) { table()->log_softmax_rows(x, y, rows, width); }
void ck_softmax_rows_backward(const float *y, const float *gy, float *gx, size_t rows, size_t width) {
  table()->softmax_rows_backward(y, gy, gx, rows, width);
}
void ck_layer_norm(const float *x, const float *scale, const float *shift, float epsilon, float *y, float *statistics, size_t rows, size_t width) {
  table()->layer_norm(x, scale, shift, epsilon, y, statistics, rows, width);
}
void ck_layer_norm_backward(const float *x, const float *scale, const float *statistics, const float *gy, float *gx, size_t rows, size_t width) {
  table()->layer_norm_backward(x, scale, statistics, gy, gx, rows, width);
}
void ck_layer_norm_reduce(const float *x, const float *statistics, const float *gy, double *sums, size_t rows, size_t width) {
  table()->layer_norm_reduce(x, statistics, gy, sums, rows, width);
}
void ck_column_sums(const float *x, double *sums, size_t rows, size_t width) { table()->column_sums(x, sums, rows, width); }
void ck_restore(float *x, const float *source, float fraction, uint64_t seed, uint64_t low, uint64_t high, size_t n) {
  table()->restore(x, source, fraction, seed, low, high, n);
}
void ck_adam(const ck_adam_settings *settings, float *x, const float *gradient, float *first, float *second, size_t n) {
  table()->adam(settings, x, gradient, first, second, n);
}
void ck_sgd(const ck_sgd_settings *settings, float *x, const float *gradient, float *velocity, size_t n) {
  table()->sgd(settings, x, gradient, velocity, n);
}
