// Choice of the instruction set, and the public functions that depend on it.
//
// The best set of the machine is taken when the library is loaded; TTA_ISA lowers it; ck_select_isa takes another one for the calling thread.
#include <stdlib.h>
#include <string.h>

#include "gemm_plan.h"
#include "kernel_table.h"
#include "thread_isa.h"
#include "pooling_plan.h"

static const char *const names[] = {"portable", "avx2", "avx512", "neon"};
static ck_isa best = CK_ISA_PORTABLE;
// What this thread selected, or -1 for the best.
static _Thread_local int selected = -1;
static bool request_valid = true;

static bool machine_has(ck_isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  if (isa == CK_ISA_AVX2) return avx2;
  if (isa == CK_ISA_AVX512)
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw");
#elif defined(__aarch64__)
  // Part of the base instruction set.
  if (isa == CK_ISA_NEON) return true;
#endif
  return isa == CK_ISA_PORTABLE;
}

bool ck_pairs_of_bfloat16_pay(void) {
#if defined(__x86_64__)
  // Intel's processors begin the instruction every second cycle (measured on Emerald Rapids: 48 % of what floats reach), AMD's as often as a
  // multiply-add of floats.
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_is("amd");
#else
  return false;
#endif
}

bool ck_select_isa(ck_isa isa) {
  if (!machine_has(isa)) return false;
  selected = (int)isa;
  return true;
}
void ck_adopt_isa(ck_isa isa) { selected = (int)isa; }

__attribute__((constructor)) static void select_at_load(void) {
  for (int isa = CK_ISA_PORTABLE; isa <= CK_ISA_NEON; ++isa)
    if (machine_has((ck_isa)isa)) best = (ck_isa)isa;
  const char *request = getenv("TTA_ISA");
  if (request && request[0] != '\0') {
    request_valid = false;
    for (int isa = CK_ISA_PORTABLE; isa <= CK_ISA_NEON; ++isa) {
      if (strcmp(request, names[isa]) != 0 || !machine_has((ck_isa)isa)) continue;
      best = (ck_isa)isa;
      request_valid = true;
    }
  }
}

ck_isa ck_current_isa(void) { return selected < 0 ? best : (ck_isa)selected; }
const char *ck_isa_name(ck_isa isa) { return names[isa]; }
bool ck_isa_request_valid(void) { return request_valid; }

static const ck_kernel_table *kernels(void) {
#if defined(__x86_64__)
  ck_isa isa = ck_current_isa();
  if (isa == CK_ISA_AVX512) return &ck_table_avx512;
  if (isa == CK_ISA_AVX2) return &ck_table_avx2;
#elif defined(__aarch64__)
  if (ck_current_isa() == CK_ISA_NEON) return &ck_table_neon;
#endif
  return &ck_table_portable;
}

// MARK: - Dense products

void ck_gemm(ck_pool *pool, ck_orientation a_orientation, ck_orientation b_orientation, size_t m, size_t n, size_t k, const float *a,
             size_t lda, const float *b, size_t ldb, float *c, size_t ldc, const float *bias, bool accumulate) {
  kernels()->gemm(pool, a_orientation, b_orientation, m, n, k, a, lda, b, ldb, c, ldc, bias, accumulate);
}

void ck_gemm_packed(ck_pool *pool, ck_orientation a_orientation, size_t m, size_t n, size_t k, const float *a, size_t lda,
                    const float *packed_b, size_t first_column, float *c, size_t ldc, const float *bias, bool accumulate) {
  kernels()->gemm_packed(pool, a_orientation, m, n, k, a, lda, packed_b, first_column, c, ldc, bias, accumulate);
}

size_t ck_gemm_packed_count(size_t n, size_t k) { return gemm_panels(n) * k * CK_LANES; }

void ck_gemm_pack_b(ck_pool *pool, ck_orientation b_orientation, size_t n, size_t k, const float *b, size_t ldb, float *packed_b) {
  kernels()->gemm_pack_b(pool, b_orientation, n, k, b, ldb, packed_b);
}

void ck_gemm_pack_transpose(ck_pool *pool, size_t n, size_t k, const float *packed_b, float *packed_transpose) {
  kernels()->gemm_pack_transpose(pool, n, k, packed_b, packed_transpose);
}

void ck_linear(ck_pool *pool, size_t m, size_t n, size_t k, const float *a, const float *packed_b, float *c,
               const ck_product_epilogue *epilogue) {
  kernels()->linear(pool, m, n, k, a, packed_b, c, epilogue);
}

void ck_row_values(ck_row_function function, const float *x, float *values, size_t count) {
  kernels()->row_values(function, x, values, count);
}

void ck_gemm_pack_b_bfloat16(ck_pool *pool, ck_orientation b_orientation, size_t n, size_t k, const float *b, size_t ldb, float *packed_b) {
  kernels()->gemm_pack_b_bfloat16(pool, b_orientation, n, k, b, ldb, packed_b);
}

void ck_linear_bfloat16(ck_pool *pool, size_t m, size_t n, size_t k, const float *a, const float *packed_b, float *c,
                        const ck_product_epilogue *epilogue) {
  kernels()->linear_bfloat16(pool, m, n, k, a, packed_b, c, epilogue);
}

bool ck_bfloat16_is_fast(void) {
#if defined(__x86_64__)
  return ck_current_isa() == CK_ISA_AVX512 && ck_pairs_of_bfloat16_pay();
#else
  return false;
#endif
}

size_t ck_linear_scratch_bytes(void) { return gemm_a_floats() * sizeof(float); }

size_t ck_gemm_scratch_bytes(size_t m, size_t n, size_t k) {
  (void)m;
  return (gemm_a_floats() + gemm_b_floats(n, k)) * sizeof(float);
}

// MARK: - Attention

void ck_attention(ck_pool *pool, int n, const ck_attention_shape *shape, const float *x, float *output) {
  kernels()->attention(pool, n, shape, x, output);
}

void ck_attention_backward(ck_pool *pool, int n, const ck_attention_shape *shape, const float *x, const float *gradient,
                           float *input_gradient) {
  kernels()->attention_backward(pool, n, shape, x, gradient, input_gradient);
}

size_t ck_attention_scratch_bytes(int tokens, int depth) {
  // As many rows of weights and slopes as OpenBLAS gets at once; other sets touch those of a strip.
  size_t columns = ck_round_up((size_t)tokens, CK_LANES), width = ck_round_up((size_t)depth, CK_LANES);
  size_t stride = columns > GEMM_ROW_STRIDE ? columns : GEMM_ROW_STRIDE;
  return (gemm_a_floats() + 5 * columns * width + 2 * (size_t)tokens * (width + stride)) * sizeof(float);
}

// MARK: - Convolutions

void ck_conv_pack(const ck_conv *conv, ck_pool *pool, const float *weights, float *packed) {
  kernels()->conv_pack(conv, pool, weights, packed);
}

void ck_conv_run(const ck_conv *conv, ck_pool *pool, int n, const float *packed, const ck_operand *operand, const ck_epilogue *epilogue) {
  kernels()->conv_run(conv, pool, n, packed, operand, epilogue);
}

void ck_conv_weight_gradient(const ck_conv *conv, ck_pool *pool, int n, const ck_operand *input, const ck_operand *gradient, void *partial,
                             float *weights, float *bias) {
  kernels()->conv_weight_gradient(conv, pool, n, input, gradient, partial, weights, bias);
}

// MARK: - Other fused steps

void ck_elementwise(ck_pool *pool, int n, int channels, int height, int width, const ck_operand *operand, const ck_epilogue *epilogue) {
  kernels()->elementwise(pool, n, channels, height, width, operand, epilogue);
}

void ck_to_blocked(ck_pool *pool, int n, int channels, int height, int width, const float *plain, float *blocked) {
  kernels()->to_blocked(pool, n, channels, height, width, plain, blocked);
}

void ck_from_blocked(ck_pool *pool, int n, int channels, int height, int width, const ck_operand *operand, float *plain) {
  kernels()->from_blocked(pool, n, channels, height, width, operand, plain);
}

void ck_global_average(ck_pool *pool, int n, int channels, int height, int width, const ck_operand *operand, float *plain) {
  kernels()->global_average(pool, n, channels, height, width, operand, plain);
}

void ck_global_average_backward(ck_pool *pool, int n, int channels, int height, int width, const float *gradient,
                                const ck_epilogue *epilogue) {
  kernels()->global_average_backward(pool, n, channels, height, width, gradient, epilogue);
}

void ck_channel_products(ck_pool *pool, int n, int channels, int height, int width, const ck_operand *operand, const float *gradient, float *plain) {
  kernels()->channel_products(pool, n, channels, height, width, operand, gradient, plain);
}

size_t ck_pooling_scratch_bytes(const ck_pool_shape *shape) {
  size_t rows = 2 * (size_t)ck_pooling_ring(shape), positions = rows * (size_t)shape->width + (size_t)shape->out_width;
  return positions * CK_LANES * sizeof(float);
}

void ck_pooling(ck_pool *pool, int n, const ck_pool_shape *shape, const ck_operand *operand, const ck_epilogue *epilogue) {
  kernels()->pooling(pool, n, shape, operand, epilogue);
}

void ck_pooling_backward(ck_pool *pool, int n, const ck_pool_shape *shape, const ck_operand *operand, const float *gradient,
                         const ck_epilogue *epilogue) {
  kernels()->pooling_backward(pool, n, shape, operand, gradient, epilogue);
}

void ck_shortcut(ck_pool *pool, int n, int channels, int height, int width, int stride, int channels_before, int out_channels,
                 const float *x, float *output) {
  kernels()->shortcut(pool, n, channels, height, width, stride, channels_before, out_channels, x, output);
}

void ck_shortcut_backward(ck_pool *pool, int n, int channels, int height, int width, int stride, int channels_before, int out_channels,
                          const float *gradient, float *output) {
  kernels()->shortcut_backward(pool, n, channels, height, width, stride, channels_before, out_channels, gradient, output);
}

// MARK: - Neighbours

void ck_rank_row(const ck_rankings *rankings, size_t row, const float *values, size_t first, size_t n) {
  kernels()->rank_row(rankings, row, values, first, n);
}

void ck_rank_columns(const ck_rankings *rankings, size_t first, size_t n, const float *block, size_t stride, size_t first_candidate,
                     size_t candidates) {
  kernels()->rank_columns(rankings, first, n, block, stride, first_candidate, candidates);
}

size_t ck_neighbour_stride(size_t width) { return ck_round_up(width, CK_LANES); }

void ck_log_rows(const float *probabilities, float *logarithms, size_t rows, size_t width) {
  kernels()->log_rows(probabilities, logarithms, rows, width);
}

void ck_neighbour_softmax(const ck_neighbours *neighbours, const float *logarithms, const float *pull, const float *before, float *after,
                          double *energies, size_t first, size_t rows, size_t width) {
  kernels()->neighbour_softmax(neighbours, logarithms, pull, before, after, energies, first, rows, width);
}

// MARK: - Measuring

double ck_measure_peak_gflops(ck_pool *pool) { return kernels()->peak(pool); }
double ck_measure_bandwidth(ck_pool *pool, size_t bytes) { return kernels()->bandwidth(pool, bytes); }
