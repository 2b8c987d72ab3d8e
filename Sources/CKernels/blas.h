// Products through OpenBLAS on the worker pool: what ck_gemm is on instruction sets without a product of their own.
#ifndef CK_BLAS_H
#define CK_BLAS_H
#include "ckernels.h"

void ck_blas_gemm_on_pool(ck_pool *pool, ck_orientation a_orientation, ck_orientation b_orientation, size_t m, size_t n, size_t k,
                          const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc, const float *bias, bool accumulate);

#endif
