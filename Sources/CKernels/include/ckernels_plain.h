// Kernels of the readable path: plain layout, one image or one run of values per call, no threads of their own. The caller splits the work.
// Each exists once per instruction set; the one in use is chosen by ck_current_isa.
#ifndef CKERNELS_PLAIN_H
#define CKERNELS_PLAIN_H
#include <stddef.h>
#include <stdint.h>

/// Processors this process may use.
int ck_processor_count(void);
/// The git revision given at build time through -DTTA_BUILD_REVISION, or "unknown revision".
const char *ck_build_revision(void);
/// Largest resident size of this process so far.
size_t ck_peak_memory_bytes(void);
/// Standard output is written line by line, to pipes as well.
void ck_flush_lines(void);

// MARK: - Runs of n values

/// x ← (1 − weight) · x + weight · y
void ck_interpolate(float *x, const float *y, float weight, size_t n);
/// x ← x + factor · y
void ck_add_scaled(float *x, const float *y, float factor, size_t n);
/// out ← x + y
void ck_add(const float *x, const float *y, float *out, size_t n);
/// out ← x · y
void ck_multiply(const float *x, const float *y, float *out, size_t n);
/// Σ x², accumulated in double.
double ck_sum_of_squares(const float *x, size_t n);
/// Σ (x − y)², accumulated in double.
double ck_squared_distance(const float *x, const float *y, size_t n);
/// 1 where every value is finite.
int ck_all_finite(const float *x, size_t n);
/// out ← value / 255 for bytes, divided as floats.
void ck_bytes_to_unit(const uint8_t *bytes, float *out, size_t n);

/// x ← source where the element's draw is below `fraction` (0 … 1). Element i draws word i % 4 of the Philox4x32-10 block with key `seed` at the
/// counter (low + i / 4, high): its upper 24 bits as a number from 0 to 1.
void ck_restore(float *x, const float *source, float fraction, uint64_t seed, uint64_t low, uint64_t high, size_t n);

typedef enum {
  CK_RELU, CK_RELU6, CK_LEAKY_RELU, CK_GELU, CK_GELU_TANH, CK_SILU, CK_HARDSWISH, CK_SIGMOID, CK_HARDSIGMOID, CK_TANH, CK_SOFTPLUS
} ck_function;
/// y ← f(x); `slope` is read by CK_LEAKY_RELU.
void ck_function_forward(ck_function f, float slope, const float *x, float *y, size_t n);
/// gx ← f'(x) · gy, with PyTorch's conventions at kinks.
void ck_function_backward(ck_function f, float slope, const float *x, const float *gy, float *gx, size_t n);

// MARK: - One image, channels × area

/// y ← scale[channel] · x + shift[channel]
void ck_plain_affine(const float *x, const float *scale, const float *shift, float *y, size_t channels, size_t area);
/// y ← (x − mean[channel]) · scale[channel] + shift[channel]
void ck_plain_normalize(const float *x, const float *mean, const float *scale, const float *shift, float *y, size_t channels, size_t area);
/// sums[channel] += Σ x
void ck_plain_sums(const float *x, double *sums, size_t channels, size_t area);
/// sums[channel] += Σ (x − mean[channel])²
void ck_plain_square_sums(const float *x, const float *mean, double *sums, size_t channels, size_t area);
/// sums[channel][0] += Σ gy, sums[channel][1] += Σ gy · (x − mean[channel])
void ck_plain_norm_reduce(const float *x, const float *gy, const float *mean, double *sums, size_t channels, size_t area);
/// gx ← a[channel] · gy + b[channel] · (x − mean[channel]) + c[channel]
void ck_plain_norm_gradient(const float *x, const float *gy, const float *mean, const float *a, const float *b, const float *c, float *gx,
                            size_t channels, size_t area);

typedef struct {
  size_t channels, height, width, out_height, out_width;
  size_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
  long pad_top, pad_left;
} ck_window;
/// Columns of one image: [channel][kernel row][kernel column] × [out row][out column], padding 0.
void ck_image_to_columns(const ck_window *window, const float *image, float *columns);
/// Adds columns back into an image (which the caller cleared).
void ck_columns_to_image(const ck_window *window, const float *columns, float *image);
/// Maxima of windows of one image and where they were (index into the channel, −1 for an empty window).
void ck_plain_max_pool(const ck_window *window, const float *image, float *out, int32_t *positions);
/// Means of windows; padding counts in the divisor if `include_padding`.
void ck_plain_average_pool(const ck_window *window, int include_padding, const float *image, float *out);
/// The gradient of those means, added to `gradient` (cleared by the caller).
void ck_plain_average_pool_backward(const ck_window *window, int include_padding, const float *out_gradient, float *gradient);

// MARK: - Rows × width

/// y ← x divided by its length, or by 1e-12 where that is less.
void ck_unit_rows(const float *x, float *y, size_t rows, size_t width);
void ck_softmax_rows(const float *x, float *y, size_t rows, size_t width);
void ck_log_softmax_rows(const float *x, float *y, size_t rows, size_t width);
/// gx ← y · (gy − Σ gy · y), y the softmax.
void ck_softmax_rows_backward(const float *y, const float *gy, float *gx, size_t rows, size_t width);
/// y ← (x − mean) · rstd · scale + shift; statistics[row] = mean, rstd.
void ck_layer_norm(const float *x, const float *scale, const float *shift, float epsilon, float *y, float *statistics, size_t rows,
                   size_t width);
/// Gradient of the input.
void ck_layer_norm_backward(const float *x, const float *scale, const float *statistics, const float *gy, float *gx, size_t rows,
                            size_t width);
/// sums[column] += Σ gy · x̂ and sums[width + column] += Σ gy over the rows.
void ck_layer_norm_reduce(const float *x, const float *statistics, const float *gy, double *sums, size_t rows, size_t width);
/// sums[column] += Σ x over the rows.
void ck_column_sums(const float *x, double *sums, size_t rows, size_t width);

// MARK: - Optimisers, in place

typedef struct {
  float learning_rate, beta1, beta2, epsilon, weight_decay;
  int decoupled;  // AdamW
  long step;      // 1 for the first
} ck_adam_settings;
void ck_adam(const ck_adam_settings *settings, float *x, const float *gradient, float *first, float *second, size_t n);
typedef struct {
  float learning_rate, momentum, dampening, weight_decay;
  int nesterov;
  int first;  // the velocity is set, not accumulated
} ck_sgd_settings;
// Without momentum there is no velocity, and NULL will do.
void ck_sgd(const ck_sgd_settings *settings, float *x, const float *gradient, float *velocity, size_t n);

#endif
