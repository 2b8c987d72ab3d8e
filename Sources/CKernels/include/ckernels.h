// CKernels: every loop over elements that the engine runs hot, with run-time choice of the instruction set.
//
// Two layouts exist.
//   plain    float [image][channel][row][column]: what operators of the readable path use.
//   blocked  float [image][channel / 16][row][column][16]: what fused convolution networks use. The channels are padded with
//            zeros up to a multiple of 16 ("blocks" = ceil(channels / 16)); padded lanes of every blocked buffer hold 0.
//
// All functions are deterministic: the result does not depend on the number of worker threads. Sums over many elements are kept per
// image in fixed order, as doubles. Buffers are 64-byte aligned. Functions return nothing: arguments are checked by the caller.
// A pool is NULL only where that is said.
#ifndef CKERNELS_H
#define CKERNELS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// MARK: - Instruction set

/// Instruction sets in ascending order; NEON is that of 64-bit ARM, where the others but PORTABLE do not exist. The best one of the machine is
/// taken unless TTA_ISA=portable|avx2|avx512|neon lowers it.
typedef enum { CK_ISA_PORTABLE = 0, CK_ISA_AVX2 = 1, CK_ISA_AVX512 = 2, CK_ISA_NEON = 3 } ck_isa;
/// The instruction set that the calling thread uses.
ck_isa ck_current_isa(void);
/// Its name: "portable", "avx2", "avx512", "neon".
const char *ck_isa_name(ck_isa isa);
/// The calling thread, and the workers of the pools it runs, take another instruction set from now on (tests, benchmarks); false and no
/// change where the machine lacks it. Other threads keep theirs.
bool ck_select_isa(ck_isa isa);
/// False where TTA_ISA was set to a name that is unknown or that the machine lacks: the caller reports it.
bool ck_isa_request_valid(void);

// MARK: - Workers

/// A fixed pool of threads. Thread 0 is the caller; the others spin shortly, then sleep.
typedef struct ck_pool ck_pool;
/// A pool of `threads` workers (1 or more), the caller included; NULL when threads cannot be made.
ck_pool *ck_pool_create(int threads);
void ck_pool_destroy(ck_pool *pool);
int ck_pool_threads(const ck_pool *pool);
/// Makes sure that each worker has `bytes` of 64-byte aligned scratch, kept until the pool is destroyed.
/// Called while plans are made; false when memory is short.
bool ck_pool_reserve(ck_pool *pool, size_t bytes);
/// The scratch of a worker.
void *ck_pool_scratch(const ck_pool *pool, int worker);
/// Runs `body` for units 0 ..< units, each exactly once, on all workers, and waits. Units are handed out dynamically:
/// a body must not depend on which worker runs it. Not re-entrant.
void ck_pool_run(ck_pool *pool, int units, void (*body)(void *context, int unit, int worker), void *context);

// MARK: - Dense products

/// How a matrix operand of ck_gemm is stored.
typedef enum { CK_NORMAL, CK_TRANSPOSED } ck_orientation;
/// C[m][n] = (accumulate ? C : 0) + A · B (+ bias[n] where bias is not NULL). Row-major; lda, ldb, ldc are row strides in floats.
/// A is m × k (CK_NORMAL) or stored k × m (CK_TRANSPOSED); B is k × n or stored n × k. Any sizes, including 0.
/// Uses the whole pool: rows and columns are split over workers, never the sum over k. pool may be NULL: the caller's thread only,
/// with scratch allocated by the function in its own thread-local buffer.
void ck_gemm(ck_pool *pool, ck_orientation a_orientation, ck_orientation b_orientation, size_t m, size_t n, size_t k, const float *a,
             size_t lda, const float *b, size_t ldb, float *c, size_t ldc, const float *bias, bool accumulate);
/// The same with B packed beforehand by ck_gemm_pack_b under the instruction set that is still in use, for its columns first_column ..< n: C and
/// bias begin with the first of these, which is a multiple of 16.
void ck_gemm_packed(ck_pool *pool, ck_orientation a_orientation, size_t m, size_t n, size_t k, const float *a, size_t lda,
                    const float *packed_b, size_t first_column, float *c, size_t ldc, const float *bias, bool accumulate);
/// Floats that a packed B of k × n takes.
size_t ck_gemm_packed_count(size_t n, size_t k);
/// Packs on the pool where it is not NULL.
void ck_gemm_pack_b(ck_pool *pool, ck_orientation b_orientation, size_t n, size_t k, const float *b, size_t ldb, float *packed_b);
/// Packs the transpose of a B of k × n that ck_gemm_pack_b packed, as ck_gemm_pack_b packs it from where B came from: n rows, k columns.
void ck_gemm_pack_transpose(ck_pool *pool, size_t n, size_t k, const float *packed_b, float *packed_transpose);
/// Scratch per worker for ck_gemm and ck_gemm_packed of these sizes, for ck_pool_reserve.
size_t ck_gemm_scratch_bytes(size_t m, size_t n, size_t k);
/// Functions of one value that an epilogue knows; GELU is the exact one.
typedef enum { CK_ROW_NONE, CK_ROW_RELU, CK_ROW_GELU } ck_row_function;
/// What happens to the results C[m][n] of ck_linear while they are in the cache. NULL where something is not wanted; all rows have n floats.
typedef struct {
  const float *bias;         // [n], added first
  const float *addend;       // [m][n], added next
  ck_row_function function;  // f, with one of the following
  float *values;             // [m][n] ← f(C), or C itself: then nothing else is left in C
  const float *slopes;       // [m][n]: C ← C · f′(slopes)
} ck_product_epilogue;
/// C[m][n] = A[m][k] · B and its epilogue. B is packed by ck_gemm_pack_b; scratch of ck_linear_scratch_bytes must have been reserved.
/// A row's results are the same bits whatever m is.
void ck_linear(ck_pool *pool, size_t m, size_t n, size_t k, const float *a, const float *packed_b, float *c,
               const ck_product_epilogue *epilogue);
size_t ck_linear_scratch_bytes(void);
/// values ← f(x), to the same bits as in an epilogue of ck_linear. On the calling thread.
void ck_row_values(ck_row_function function, const float *x, float *values, size_t count);
/// The same with A and B rounded to bfloat16 and their products summed in floats. Everywhere the same rounding; only where the processor multiplies
/// pairs of bfloat16 (ck_bfloat16_is_fast) is it worth something. B is packed by ck_gemm_pack_b_bfloat16, and takes no more memory than
/// ck_gemm_packed_count.
void ck_linear_bfloat16(ck_pool *pool, size_t m, size_t n, size_t k, const float *a, const float *packed_b, float *c,
                        const ck_product_epilogue *epilogue);
void ck_gemm_pack_b_bfloat16(ck_pool *pool, ck_orientation b_orientation, size_t n, size_t k, const float *b, size_t ldb, float *packed_b);
/// True where the calling thread's instruction set has it in hardware, at about twice the speed of floats.
bool ck_bfloat16_is_fast(void);
/// The same as ck_gemm on the calling thread through OpenBLAS: what it does not beat, and benchmarks side by side.
void ck_blas_gemm(ck_orientation a_orientation, ck_orientation b_orientation, size_t m, size_t n, size_t k, const float *a, size_t lda,
                  const float *b, size_t ldb, float *c, size_t ldc, const float *bias, bool accumulate);
/// The name of the kernels that OpenBLAS picked, e.g. "Cooperlake".
const char *ck_blas_core_name(void);

// MARK: - Attention

/// Attention over tokens, from queries first_query ..< first_query + queries only.
typedef struct {
  int tokens, heads, depth, first_query, queries;
} ck_attention_shape;
/// softmax(Q Kᵀ / √depth) V of each head: x [n][tokens][query, key, value][heads][depth] → output [n][queries][heads][depth].
/// Scratch must have been reserved.
void ck_attention(ck_pool *pool, int n, const ck_attention_shape *shape, const float *x, float *output);
/// The gradient of x from the gradient of the output; that of other queries is 0.
void ck_attention_backward(ck_pool *pool, int n, const ck_attention_shape *shape, const float *x, const float *gradient,
                           float *input_gradient);
/// Scratch per worker for both.
size_t ck_attention_scratch_bytes(int tokens, int depth);

// MARK: - Operands and epilogues of fused steps (blocked layout)

typedef enum { CK_ACTIVATION_NONE, CK_ACTIVATION_RELU, CK_ACTIVATION_RELU6, CK_ACTIVATION_SILU } ck_activation;

/// scale[channel] and shift[channel], padded to whole blocks; one set for all images (image_stride 0), or one per image
/// (image_stride = floats from one image's set to the next: group norms). scale NULL stands for 1, shift NULL for 0.
typedef struct {
  const float *scale, *shift;
  size_t image_stride;
} ck_affine;

/// A value that is evaluated while it is read:  gate · activation( affine(x) + second_affine(second) + third ).
/// Forward: x is a raw convolution output with its norm, second a shortcut with or without a norm.
/// Backward: x the gradient that arrives (scale A, shift C), second the raw output of the norm (scale B), third a further gradient.
/// gate: one factor per image and channel (squeeze and excitation), channels a multiple of 16; not together with second, third or store.
/// store overlaps neither the operand's inputs nor the output. signs are what the mask of a RELU or RELU6 needs later, in a 32nd of the memory.
typedef struct {
  const float *x;
  ck_affine affine;
  const float *second;  // NULL: none
  ck_affine second_affine;
  const float *third;  // NULL: none
  ck_activation activation;
  const float *gate;  // [image][channel], or NULL: 1
  size_t gate_stride;  // floats from one image's factors to the next
  float *store;     // where the evaluated value is kept as well (blocked, unpadded in space), or NULL
  uint16_t *signs;  // [image][channel / 16][row][column], or NULL: RELU (RELU6): a bit for each of 16 channels where it is > 0 (and < 6)
} ck_operand;

/// Which derivative a result v is multiplied by: that of the activation at `source` through `affine`. For RELU and RELU6 it is a mask, 1 where the
/// source is > 0 (and < 6), and a stored activation value serves as source with the identity affine as well, or the signs that an operand left;
/// for SILU neither does.
typedef struct {
  ck_activation activation;  // NONE: no mask
  const float *source;
  ck_affine affine;
  const uint16_t *signs;  // instead of source, or NULL
} ck_mask;

/// Sums over one image's positions, per channel, written to sums[image][channel][2], channels padded to whole blocks:
///   sums[..][0] = Σ (v − center)      sums[..][1] = Σ (v − center)²          when source is NULL (moments of v)
///   sums[..][0] = Σ v                 sums[..][1] = Σ v · (source − center)   else (reductions of a norm's backward)
/// center[channel] is padded to whole blocks, NULL stands for 0; center_stride: floats between images, 0 when shared.
/// Padded lanes are written as 0 or anything finite.
typedef struct {
  double *sums;  // NULL: nothing is summed
  const float *source;
  const float *center;
  size_t center_stride;
} ck_sums;

/// What happens to each result v before it is stored: v += bias; v += addend; v = mask(v); then the sums; then the store.
typedef struct {
  float *output;        // blocked
  const float *bias;    // per channel, padded to whole blocks, or NULL
  const float *addend;  // blocked, the same shape as output (may be output itself), or NULL
  ck_mask mask;
  ck_sums sums, more_sums;  // more_sums: a second norm that reads the same gradient (downsampling shortcuts)
} ck_epilogue;

// MARK: - Convolutions (blocked layout)

typedef struct {
  int channels, filters;      // of the input and of the output of the forward direction
  int height, width;          // input of the forward direction
  int out_height, out_width;  // output of the forward direction
  int kernel_height, kernel_width, stride_height, stride_width;
  int pad_top, pad_left;  // the pads below and to the right follow from the output size
  bool depthwise;         // channels == filters == groups; else groups == 1
} ck_conv_shape;

typedef enum { CK_FORWARD, CK_BACKWARD_DATA } ck_direction;
typedef enum {
  CK_CONV_DIRECT,     // any kernel, stride and padding
  CK_CONV_POINTWISE,  // 1×1, any stride, no padding
  CK_CONV_WINOGRAD,   // 3×3, stride 1, padding 1 on all sides: F(4×4, 3×3)
  CK_CONV_DEPTHWISE,
  CK_CONV_STEM,  // forward only, at most 4 input channels: x of the operand is PLAIN [image][channel][row][column]
} ck_conv_algorithm;

/// A convolution ready to run in one direction: plain values, copied freely.
typedef struct {
  ck_conv_shape shape;
  ck_direction direction;
  ck_conv_algorithm algorithm;
  int tile_block;  // Winograd: tiles that go through the products together; chosen by ck_conv_make
  bool bfloat16;   // direct and pointwise: factors rounded to bfloat16, as by ck_linear_bfloat16; false from ck_conv_make
} ck_conv;

/// True where the algorithm can do the shape in the direction.
bool ck_conv_supports(const ck_conv_shape *shape, ck_direction direction, ck_conv_algorithm algorithm);
/// The choice for speed: depthwise and stem (at most 4 channels, forward: its input is plain) where they apply, then Winograd unless `exact`
/// or the picture is smaller than a tile's results, then pointwise, direct. A single image also takes the direct way where reading Winograd's
/// weights would take longer than the products that they save.
ck_conv_algorithm ck_conv_choose(const ck_conv_shape *shape, ck_direction direction, bool exact, bool single_image);
ck_conv ck_conv_make(const ck_conv_shape *shape, ck_direction direction, ck_conv_algorithm algorithm);
/// Floats of packed weights, bytes of scratch per worker, floating-point operations per image (direct counting).
size_t ck_conv_packed_count(const ck_conv *conv);
size_t ck_conv_scratch_bytes(const ck_conv *conv);
double ck_conv_flops(const ck_conv *conv);
/// Packs weights from [filter][channel / groups][row][column]; transposes and flips for CK_BACKWARD_DATA. Runs on the pool where not NULL.
void ck_conv_pack(const ck_conv *conv, ck_pool *pool, const float *weights, float *packed);
/// Runs on n images; scratch must have been reserved. CK_FORWARD: operand [n][channels…height…width], epilogue [n][filters…out_height…out_width];
/// CK_BACKWARD_DATA: operand [n][filters…out_height…out_width], epilogue [n][channels…height…width].
void ck_conv_run(const ck_conv *conv, ck_pool *pool, int n, const float *packed, const ck_operand *operand, const ck_epilogue *epilogue);

/// The gradients of weights [filter][channel / groups][row][column] and bias [filter] of a forward convolution, summed over n images; NULL where
/// one is not wanted. input is the forward's operand, gradient [n][filters…out_height…out_width]; their store is ignored. partial: sums of
/// image blocks, combined in order. Scratch must have been reserved. Any algorithm but the choice of layout (CK_CONV_STEM: plain input) is the same.
void ck_conv_weight_gradient(const ck_conv *conv, ck_pool *pool, int n, const ck_operand *input, const ck_operand *gradient, void *partial,
                             float *weights, float *bias);
/// Bytes that partial takes for n images or fewer; never more than for any larger n.
size_t ck_conv_weight_gradient_partial_bytes(const ck_conv *conv, int n);
/// Scratch per worker for any number of images.
size_t ck_conv_weight_gradient_scratch_bytes(const ck_conv *conv);

// MARK: - Other fused steps (blocked layout)

/// Evaluates an operand into an epilogue, element by element: materialises values, joins gradients, takes moments.
/// epilogue->output may be NULL (sums only), or one of the operand's inputs.
void ck_elementwise(ck_pool *pool, int n, int channels, int height, int width, const ck_operand *operand, const ck_epilogue *epilogue);
/// plain → blocked, padded lanes zero.
void ck_to_blocked(ck_pool *pool, int n, int channels, int height, int width, const float *plain, float *blocked);
/// Evaluates an operand and writes it as plain.
void ck_from_blocked(ck_pool *pool, int n, int channels, int height, int width, const ck_operand *operand, float *plain);
/// Mean over all positions: operand → plain [n][channels].
void ck_global_average(ck_pool *pool, int n, int channels, int height, int width, const ck_operand *operand, float *plain);
/// The gradient of that mean: each position of a channel gets gradient[n][channel] / (height · width), then the epilogue.
void ck_global_average_backward(ck_pool *pool, int n, int channels, int height, int width, const float *gradient, const ck_epilogue *epilogue);
/// Sums of products over all positions, Σ operand · gradient → plain [n][channels]: the gradient of a gate.
void ck_channel_products(ck_pool *pool, int n, int channels, int height, int width, const ck_operand *operand, const float *gradient, float *plain);

typedef struct {
  int channels, height, width, out_height, out_width;
  int kernel_height, kernel_width, stride_height, stride_width, pad_top, pad_left;
  bool maximum;             // else average
  bool count_include_pad;   // average: divide by the kernel size, else by the positions inside the picture
} ck_pool_shape;
/// Scratch per worker for ck_pooling and ck_pooling_backward, for ck_pool_reserve.
size_t ck_pooling_scratch_bytes(const ck_pool_shape *shape);
/// Pools the operand; padding counts as −∞ for maxima. epilogue as for convolutions (mask NONE).
void ck_pooling(ck_pool *pool, int n, const ck_pool_shape *shape, const ck_operand *operand, const ck_epilogue *epilogue);
/// Gradient with respect to the pooled operand (after its activation), then the epilogue (addend, mask, sums). `operand` is the one of the forward
/// (maxima are found again; ties: the first in row-major order takes the gradient). gradient is blocked [n][channels][out_height][out_width].
void ck_pooling_backward(ck_pool *pool, int n, const ck_pool_shape *shape, const ck_operand *operand, const float *gradient,
                         const ck_epilogue *epilogue);

/// Shortcut without weights: takes every stride-th position and puts channel c of `channels` at c + channels_before of out_channels, zero elsewhere.
void ck_shortcut(ck_pool *pool, int n, int channels, int height, int width, int stride, int channels_before, int out_channels,
                 const float *x, float *output);
/// Its transpose: output [n][channels][height][width] from gradient [n][out_channels][ceil(height / stride)][ceil(width / stride)].
void ck_shortcut_backward(ck_pool *pool, int n, int channels, int height, int width, int stride, int channels_before, int out_channels,
                          const float *gradient, float *output);

#endif
