// Stand-in for the header of OpenBLAS where there is no such library for the processor that the kernels are tested for.
#ifndef KERNEL_TEST_CBLAS_H
#define KERNEL_TEST_CBLAS_H

typedef int blasint;
typedef enum { CblasRowMajor = 101 } cblas_layout;
typedef enum { CblasNoTrans = 111, CblasTrans = 112 } cblas_transpose;

void openblas_set_num_threads(int threads);
char *openblas_get_corename(void);
void cblas_sgemm(cblas_layout layout, cblas_transpose a_transpose, cblas_transpose b_transpose, blasint m, blasint n, blasint k, float alpha,
                 const float *a, blasint lda, const float *b, blasint ldb, float beta, float *c, blasint ldc);

#endif
