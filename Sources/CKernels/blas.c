// The only calls to OpenBLAS: products on instruction sets without kernels of their own, and the other side of benchmarks.
//
// OpenBLAS runs with one thread; parallelism belongs to the worker pool. Which of its kernels it picks is the environment's business.
#include <cblas.h>
#include <pthread.h>
#include <string.h>

#include "blas.h"
#include "ckernels.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void use_one_thread(void) { openblas_set_num_threads(1); }

const char *ck_blas_core_name(void) { return openblas_get_corename(); }

void ck_blas_gemm(ck_orientation a_orientation, ck_orientation b_orientation, size_t m, size_t n, size_t k, const float *a, size_t lda,
                  const float *b, size_t ldb, float *c, size_t ldc, const float *bias, bool accumulate) {
  pthread_once(&once, use_one_thread);
  if (m == 0 || n == 0) return;
  for (size_t i = 0; i < m; ++i) {
    float *row = c + i * ldc;
    if (!accumulate && bias) memcpy(row, bias, n * sizeof(float));
    if (!accumulate && !bias) memset(row, 0, n * sizeof(float));
    if (accumulate && bias)
      for (size_t j = 0; j < n; ++j) row[j] += bias[j];
  }
  if (k == 0) return;
  cblas_sgemm(CblasRowMajor, a_orientation == CK_NORMAL ? CblasNoTrans : CblasTrans, b_orientation == CK_NORMAL ? CblasNoTrans : CblasTrans,
              (blasint)m, (blasint)n, (blasint)k, 1, a, (blasint)lda, b, (blasint)ldb, accumulate || bias ? 1 : 0, c, (blasint)ldc);
}

typedef struct {
  ck_orientation a_orientation, b_orientation;
  size_t m, n, k, lda, ldb, ldc;
  const float *a, *b, *bias;
  float *c;
  bool accumulate;
} blas_job;

/// Rows per unit: fixed, so that a result does not depend on the number of threads.
enum { BLAS_ROWS = 128 };

static void blas_unit(void *context, int unit, int worker) {
  const blas_job *job = context;
  (void)worker;
  size_t first = (size_t)unit * BLAS_ROWS, rows = job->m - first < BLAS_ROWS ? job->m - first : BLAS_ROWS;
  const float *a = job->a + (job->a_orientation == CK_NORMAL ? first * job->lda : first);
  ck_blas_gemm(job->a_orientation, job->b_orientation, rows, job->n, job->k, a, job->lda, job->b, job->ldb, job->c + first * job->ldc, job->ldc,
               job->bias, job->accumulate);
}

void ck_blas_gemm_on_pool(ck_pool *pool, ck_orientation a_orientation, ck_orientation b_orientation, size_t m, size_t n, size_t k,
                          const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc, const float *bias, bool accumulate) {
  blas_job job = {a_orientation, b_orientation, m, n, k, lda, ldb, ldc, a, b, bias, c, accumulate};
  int units = (int)((m + BLAS_ROWS - 1) / BLAS_ROWS);
  if (pool) {
    ck_pool_run(pool, units, blas_unit, &job);
  } else {
    for (int unit = 0; unit < units; ++unit) blas_unit(&job, unit, 0);
  }
}
