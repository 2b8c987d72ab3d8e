// One entry per kernel of ckernels_plain.h, without the prefix.
#ifndef CK_PLAIN_TABLE_H
#define CK_PLAIN_TABLE_H
#include "ckernels_plain.h"

typedef struct {
  void (*interpolate)(float *x, const float *y, float weight, size_t n);
  void (*add_scaled)(float *x, const float *y, float factor, size_t n);
  void (*add)(const float *x, const float *y, float *out, size_t n);
  void (*multiply)(const float *x, const float *y, float *out, size_t n);
  double (*sum_of_squares)(const float *x, size_t n);
  double (*squared_distance)(const float *x, const float *y, size_t n);
  void (*unit_rows)(const float *x, float *y, size_t rows, size_t width);
  int (*all_finite)(const float *x, size_t n);
  void (*bytes_to_unit)(const uint8_t *bytes, float *out, size_t n);
  void (*function_forward)(ck_function f, float slope, const float *x, float *y, size_t n);
  void (*function_backward)(ck_function f, float slope, const float *x, const float *gy, float *gx, size_t n);
  void (*plain_affine)(const float *x, const float *scale, const float *shift, float *y, size_t channels, size_t area);
  void (*plain_normalize)(const float *x, const float *mean, const float *scale, const float *shift, float *y, size_t channels, size_t area);
  void (*plain_sums)(const float *x, double *sums, size_t channels, size_t area);
  void (*plain_square_sums)(const float *x, const float *mean, double *sums, size_t channels, size_t area);
  void (*plain_norm_reduce)(const float *x, const float *gy, const float *mean, double *sums, size_t channels, size_t area);
  void (*plain_norm_gradient)(const float *x, const float *gy, const float *mean, const float *a, const float *b, const float *c, float *gx, size_t channels, size_t area);
  void (*image_to_columns)(const ck_window *window, const float *image, float *columns);
  void (*columns_to_image)(const ck_window *window, const float *columns, float *image);
  void (*plain_max_pool)(const ck_window *window, const float *image, float *out, int32_t *positions);
  void (*plain_average_pool)(const ck_window *window, int include_padding, const float *image, float *out);
  void (*plain_average_pool_backward)(const ck_window *window, int include_padding, const float *out_gradient, float *gradient);
  void (*softmax_rows)(const float *x, float *y, size_t rows, size_t width);
  void (*log_softmax_rows)(const float *x, float *y, size_t rows, size_t width);
  void (*softmax_rows_backward)(const float *y, const float *gy, float *gx, size_t rows, size_t width);
  void (*layer_norm)(const float *x, const float *scale, const float *shift, float epsilon, float *y, float *statistics, size_t rows, size_t width);
  void (*layer_norm_backward)(const float *x, const float *scale, const float *statistics, const float *gy, float *gx, size_t rows, size_t width);
  void (*layer_norm_reduce)(const float *x, const float *statistics, const float *gy, double *sums, size_t rows, size_t width);
  void (*column_sums)(const float *x, double *sums, size_t rows, size_t width);
  void (*restore)(float *x, const float *source, float fraction, uint64_t seed, uint64_t low, uint64_t high, size_t n);
  void (*adam)(const ck_adam_settings *settings, float *x, const float *gradient, float *first, float *second, size_t n);
  void (*sgd)(const ck_sgd_settings *settings, float *x, const float *gradient, float *velocity, size_t n);
} ck_plain_table;

extern const ck_plain_table ck_avx512_plain_table, ck_avx2_plain_table, ck_portable_plain_table;

#endif
