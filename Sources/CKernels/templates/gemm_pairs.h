// The kernels of a product over pairs of bfloat16: twice the multiplications of an instruction on floats.
//
// Included behind all_kernels.h with a target that has the instruction; gemm.h takes these kernels where the machine has it as well.

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
