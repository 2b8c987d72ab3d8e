// The kernels for AVX-512: a vector of 16 floats is one register of 32.
//
// 14 × 2 accumulators, 2 weights and a broadcast use 31 registers; 14 also divides the widths 14, 28, 56 of common networks. Winograd's products
// with one output block take up to 28 tiles.
#if defined(__x86_64__)
#include "template_includes.h"

#define CK_FUSED 1
#define TRANSFORM_LANES 16
#define TILE_ROWS_TOGETHER 4
#define PIECE_BLOCKS 2
#define PIECE_SIZES(ITEM) ITEM(14) ITEM(8) ITEM(7) ITEM(4) ITEM(2) ITEM(1)
#define RAW_SIZES_1(ITEM) ITEM(28) ITEM(16) ITEM(8) ITEM(7) ITEM(4) ITEM(2) ITEM(1)
#define CHANNELS_UNROLLED _Pragma("clang loop unroll_count(2)")
#define OUTER_SIZES(ITEM) ITEM(16)
#define OUTER_SINGLES 16
#define GEMM_PANELS 2
#define GEMM_ROWS 14
#define GEMM_UNROLLED 2
#define GEMM_ROW_SIZES(ITEM) ITEM(14) ITEM(8) ITEM(4) ITEM(2) ITEM(1)
#define HAS_BFLOAT16_PAIRS 1
#define GEMM_USES_BLAS 0
#define PEAK_CHAINS 16
#define KERNEL_TABLE ck_table_avx512

#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi,bmi2"))), apply_to = function)
#include "templates/all_kernels.h"
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512bf16,avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi,bmi2"))), apply_to = function)
#include "templates/pairs.h"
#pragma clang attribute pop
#endif
