// The kernels for 64-bit ARM: a vector of 16 floats is four NEON registers of 32.
//
// 6 positions × 1 block are 24 accumulators, 4 weights and a broadcast: 29 registers. 4 input channels of a weight gradient are 16 sums,
// 4 registers of gradients and 4 of inputs.
#if defined(__aarch64__)
#include "template_includes.h"

#define CK_FUSED 1
#define TRANSFORM_LANES 4
#define TILE_ROWS_TOGETHER 1
#define PIECE_BLOCKS 1
#define PIECE_SIZES(ITEM) ITEM(6) ITEM(5) ITEM(4) ITEM(3) ITEM(2) ITEM(1)
#define RAW_SIZES_1 PIECE_SIZES
#define CHANNELS_UNROLLED _Pragma("clang loop unroll_count(2)")
#define OUTER_SIZES(ITEM) ITEM(4)
#define OUTER_SINGLES 4
#define GEMM_PANELS 1
#define GEMM_ROWS 6
#define GEMM_UNROLLED 2
#define GEMM_ROW_SIZES(ITEM) ITEM(6) ITEM(4) ITEM(2) ITEM(1)
#define HAS_BFLOAT16_PAIRS 0
#define GEMM_USES_BLAS 0
#define PEAK_CHAINS 6
#define KERNEL_TABLE ck_table_neon

#include "templates/all_kernels.h"
#endif
