// Stand-in for OpenBLAS: one product in row-major order, by its definition.
#include "cblas.h"

void openblas_set_num_threads(int threads) { (void)threads; }
char *openblas_get_corename(void) { return "stand-in"; }

void cblas_sgemm(cblas_layout layout, cblas_transpose a_transpose, cblas_transpose b_transpose, blasint m, blasint n, blasint k, float alpha,
                 const float *a, blasint lda, const float *b, blasint ldb, float beta, float *c, blasint ldc) {
  (void)layout;
  for (long i = 0; i < m; ++i) {
    for (long j = 0; j < n; ++j) {
      float sum = 0;
      for (long l = 0; l < k; ++l)
        sum += (a_transpose == CblasNoTrans ? a[i * lda + l] : a[l * lda + i]) * (b_transpose == CblasNoTrans ? b[l * ldb + j] : b[j * ldb + l]);
      float before = c[i * ldc + j];
      c[i * ldc + j] = alpha * sum + (beta == 0 ? 0 : beta * before);
    }
  }
}
