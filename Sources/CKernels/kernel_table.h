// The table of kernels that each instruction set exports, and the small functions that all of them share.
//
// Every template under templates/ is compiled once per instruction set (isa_*.c); dispatch.c picks a table and forwards the public
// functions to it. The signatures are those of ckernels.h.
#ifndef CK_KERNEL_TABLE_H
#define CK_KERNEL_TABLE_H
#include "ckernels.h"
#include "ckernels_benchmark.h"
#include "ckernels_neighbours.h"

typedef struct {
  void (*gemm)(ck_pool *, ck_orientation, ck_orientation, size_t, size_t, size_t, const float *, size_t, const float *, size_t, float *, size_t,
               const float *, bool);
  void (*gemm_packed)(ck_pool *, ck_orientation, size_t, size_t, size_t, const float *, size_t, const float *, size_t, float *, size_t,
                      const float *, bool);
  void (*gemm_pack_b)(ck_pool *, ck_orientation, size_t, size_t, const float *, size_t, float *);
  void (*gemm_pack_transpose)(ck_pool *, size_t, size_t, const float *, float *);
  void (*linear)(ck_pool *, size_t, size_t, size_t, const float *, const float *, float *, const ck_product_epilogue *);
  void (*row_values)(ck_row_function, const float *, float *, size_t);
  void (*gemm_pack_b_bfloat16)(ck_pool *, ck_orientation, size_t, size_t, const float *, size_t, float *);
  void (*linear_bfloat16)(ck_pool *, size_t, size_t, size_t, const float *, const float *, float *, const ck_product_epilogue *);
  void (*conv_pack)(const ck_conv *, ck_pool *, const float *, float *);
  void (*conv_run)(const ck_conv *, ck_pool *, int, const float *, const ck_operand *, const ck_epilogue *);
  void (*conv_weight_gradient)(const ck_conv *, ck_pool *, int, const ck_operand *, const ck_operand *, float *, float *, float *);
  void (*attention)(ck_pool *, int, const ck_attention_shape *, const float *, float *);
  void (*attention_backward)(ck_pool *, int, const ck_attention_shape *, const float *, const float *, float *);
  void (*elementwise)(ck_pool *, int, int, int, int, const ck_operand *, const ck_epilogue *);
  void (*to_blocked)(ck_pool *, int, int, int, int, const float *, float *);
  void (*from_blocked)(ck_pool *, int, int, int, int, const ck_operand *, float *);
  void (*global_average)(ck_pool *, int, int, int, int, const ck_operand *, float *);
  void (*global_average_backward)(ck_pool *, int, int, int, int, const float *, const ck_epilogue *);
  void (*channel_products)(ck_pool *, int, int, int, int, const ck_operand *, const float *, float *);
  void (*pooling)(ck_pool *, int, const ck_pool_shape *, const ck_operand *, const ck_epilogue *);
  void (*pooling_backward)(ck_pool *, int, const ck_pool_shape *, const ck_operand *, const float *, const ck_epilogue *);
  void (*shortcut)(ck_pool *, int, int, int, int, int, int, int, const float *, float *);
  void (*shortcut_backward)(ck_pool *, int, int, int, int, int, int, int, const float *, float *);
  void (*rank_row)(const ck_rankings *, size_t, const float *, size_t, size_t);
  void (*rank_columns)(const ck_rankings *, size_t, size_t, const float *, size_t, size_t, size_t);
  void (*log_rows)(const float *, float *, size_t, size_t);
  void (*neighbour_softmax)(const ck_neighbours *, const float *, const float *, const float *, float *, double *, size_t, size_t, size_t);
  double (*peak)(ck_pool *);
  double (*bandwidth)(ck_pool *, size_t);
} ck_kernel_table;

extern const ck_kernel_table ck_table_portable;
#if defined(__x86_64__)
extern const ck_kernel_table ck_table_avx2, ck_table_avx512;
#elif defined(__aarch64__)
extern const ck_kernel_table ck_table_neon;
#endif

/// Lanes of a channel block.
enum { CK_LANES = 16 };

static inline int ck_blocks(int channels) { return (channels + CK_LANES - 1) / CK_LANES; }
static inline int ck_ceil_divide(int value, int divisor) { return (value + divisor - 1) / divisor; }
static inline int ck_minimum(int a, int b) { return a < b ? a : b; }
static inline int ck_maximum(int a, int b) { return a > b ? a : b; }
static inline size_t ck_round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

/// Into how many ranges of channel blocks each of `images` work units is split so that all workers are busy. The result of a channel
/// does not depend on the split, so it may depend on the number of workers. Where the images come out even, a split would only repeat work;
/// for the same reason one image is split no further than once per worker where the blocks come out even.
static inline int ck_parts(int images, int blocks, int threads) {
  if (images <= 0 || images >= threads * 2 || images % threads == 0) return 1;
  if (images == 1 && blocks % threads == 0) return threads;
  return ck_minimum(blocks, ck_ceil_divide(threads * 2, images));
}

/// True where the processor multiplies pairs of bfloat16 and adds them up in floats (AVX512-BF16), faster than it multiplies floats.
bool ck_pairs_of_bfloat16_pay(void);

/// A buffer of the calling thread, for products without a pool: grows, and is freed with the thread.
float *ck_thread_buffer(size_t bytes);

#endif
