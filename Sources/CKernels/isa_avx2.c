// The kernels for AVX2: a vector of 16 floats is two registers of 16.
//
// 6 positions × 1 block are 12 accumulators, 2 weights and a broadcast: 15 registers; 6 inputs of a weight gradient the same.
#if defined(__x86_64__)
#include "template_includes.h"

#define CK_FUSED 1
#define TRANSFORM_LANES 8
#define TILE_ROWS_TOGETHER 1
#define PIECE_BLOCKS 1
#define PIECE_SIZES(ITEM) ITEM(6) ITEM(5) ITEM(4) ITEM(3) ITEM(2) ITEM(1)
#define RAW_SIZES_1 PIECE_SIZES
#define CHANNELS_UNROLLED UNROLLED
#define OUTER_SIZES(ITEM) ITEM(6) ITEM(4)
#define OUTER_SINGLES 6
#define GEMM_PANELS 1
#define GEMM_ROWS 6
#define GEMM_UNROLLED 4
#define GEMM_ROW_SIZES(ITEM) ITEM(6) ITEM(4) ITEM(2) ITEM(1)
#define HAS_BFLOAT16_PAIRS 0
#define GEMM_USES_BLAS 0
#define PEAK_CHAINS 6
#define KERNEL_TABLE ck_table_avx2

#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2"))), apply_to = function)
#include "templates/all_kernels.h"
#pragma clang attribute pop
#endif
