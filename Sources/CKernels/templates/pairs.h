// The kernels of dense products and of convolutions over pairs of bfloat16: twice the multiplications of an instruction on floats.
//
// Included behind all_kernels.h with a target that has the instruction; the other templates take these kernels where the machine has it as well.

typedef __bf16 v32_bfloat16 __attribute__((vector_size(64)));
typedef float v16_plain __attribute__((vector_size(64)));

INLINE v16 multiply_add_pairs(v16 a, v16 b, v16 c) {
  return (v16)__builtin_ia32_dpbf16ps_512((v16_plain)c, (v32_bfloat16)a, (v32_bfloat16)b);
}

#define DEFINE_PAIR_KERNELS_1(R) DEFINE_GEMM_KERNEL(gemm_pair_kernel, multiply_add_pairs, R, 1)
#define PAIR_ENTRY_1(R) gemm_pair_kernel_##R##_1,
GEMM_ROW_SIZES(DEFINE_PAIR_KERNELS_1)
#define DEFINE_PAIR_KERNELS_2(R) DEFINE_GEMM_KERNEL(gemm_pair_kernel, multiply_add_pairs, R, 2)
#define PAIR_ENTRY_2(R) gemm_pair_kernel_##R##_2,
GEMM_ROW_SIZES(DEFINE_PAIR_KERNELS_2)
static const gemm_kernel gemm_pair_kernels[GEMM_PANELS][GEMM_SIZE_COUNT] = {{GEMM_ROW_SIZES(PAIR_ENTRY_1)}, {GEMM_ROW_SIZES(PAIR_ENTRY_2)}};

/// As `accumulate`, on pairs of neighbouring channels: 8 words a position, 8 rows of weights an input block.
INLINE void accumulate_pairs(const float *input, const float *weights, size_t output_block_stride, int channels, int positions, int blocks,
                             v16 *sum) {
  _Pragma("clang loop unroll_count(2)") for (int pair = 0; pair < (channels + 1) / 2; ++pair) {
    v16 w[2];
    UNROLLED for (int b = 0; b < blocks; ++b) w[b] = load(weights + (size_t)b * output_block_stride + (size_t)pair * CK_LANES);
    UNROLLED for (int p = 0; p < positions; ++p) {
      v16 x = splat(input[p * (CK_LANES / 2) + pair]);
      UNROLLED for (int b = 0; b < blocks; ++b) sum[p * blocks + b] = multiply_add_pairs(x, w[b], sum[p * blocks + b]);
    }
  }
}
DEFINE_PRODUCT(pair_product, accumulate_pairs)
#define DEFINE_PAIR_PIECES_1(P) DEFINE_PRODUCT_PIECE(pair_product, P, 1)
#define PAIR_PIECE_1(P) pair_product_##P##_1,
PIECE_SIZES(DEFINE_PAIR_PIECES_1)
#define DEFINE_PAIR_PIECES_2(P) DEFINE_PRODUCT_PIECE(pair_product, P, 2)
#define PAIR_PIECE_2(P) pair_product_##P##_2,
PIECE_SIZES(DEFINE_PAIR_PIECES_2)
static const product_piece product_pair_pieces[PIECE_BLOCKS][PIECE_COUNT] = {{PIECE_SIZES(PAIR_PIECE_1)}, {PIECE_SIZES(PAIR_PIECE_2)}};
