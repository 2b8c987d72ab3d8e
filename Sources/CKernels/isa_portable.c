// The kernels for any machine, without a fused multiply-add. Correct first; ck_gemm goes to OpenBLAS.
//
// A vector of 16 floats is four registers. Of the 16 of SSE2, 2 positions × 1 block take 8, their weights 4 and a broadcast 1.
#include "template_includes.h"

#define CK_FUSED 0
#define PIECE_SIZES(ITEM) ITEM(2) ITEM(1)
#define RAW_SIZES_1 PIECE_SIZES
#define CHANNELS_UNROLLED _Pragma("clang loop unroll_count(2)")
#define OUTER_SIZES(ITEM) ITEM(2)
#define OUTER_SINGLES 2
#define TRANSFORM_LANES 4
#define TILE_ROWS_TOGETHER 1
#define PIECE_BLOCKS 1
#define GEMM_PANELS 1
#define GEMM_ROWS 2
#define GEMM_UNROLLED 2
#define GEMM_ROW_SIZES(ITEM) ITEM(2) ITEM(1)
#define HAS_BFLOAT16_PAIRS 0
#define GEMM_USES_BLAS 1
#define PEAK_CHAINS 3
#define KERNEL_TABLE ck_table_portable

#include "templates/all_kernels.h"
