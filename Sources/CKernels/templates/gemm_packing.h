// Right sides of products, packed for later runs.

/// For OpenBLAS, packed means row-major: it packs by itself.
static void gemm_pack_b(ck_pool *pool, ck_orientation b_orientation, size_t n, size_t k, const float *b, size_t ldb, float *packed_b) {
  if (GEMM_USES_BLAS) {
    for (size_t i = 0; i < k; ++i)
      for (size_t j = 0; j < n; ++j) packed_b[i * n + j] = b_orientation == CK_NORMAL ? b[i * ldb + j] : b[j * ldb + i];
    return;
  }
  gemm_job whole = {.b_orientation = b_orientation, .n = n, .k = k, .ldb = ldb, .b = b};
  gemm_pack_job pack = {&whole, 0, k, 0, packed_b};
  if (pool) {
    ck_pool_run(pool, (int)gemm_panels(n), gemm_pack_unit, &pack);
  } else {
    for (size_t panel = 0; panel < gemm_panels(n); ++panel) gemm_pack_unit(&pack, (int)panel, 0);
  }
}

typedef struct {
  size_t n, k;  // of B
  const float *packed;
  float *target;
} gemm_turn_job;

/// One panel of the transpose: 16 rows of B are its columns.
static void gemm_turn_unit(void *context, int unit, int worker) {
  const gemm_turn_job *job = context;
  (void)worker;
  size_t row = (size_t)unit * CK_LANES, rows = job->k - row < CK_LANES ? job->k - row : CK_LANES;
  float *panel = job->target + row * job->n;
  for (size_t column = 0; column < job->n; column += CK_LANES) {
    const float *block = job->packed + column * job->k + row * CK_LANES;
    float *target = panel + column * CK_LANES;
    size_t columns = job->n - column < CK_LANES ? job->n - column : CK_LANES;
    if (rows == CK_LANES && columns == CK_LANES) {
      transpose16(block, CK_LANES, target, CK_LANES);
      continue;
    }
    for (size_t j = 0; j < columns; ++j)
      for (size_t i = 0; i < CK_LANES; ++i) target[j * CK_LANES + i] = i < rows ? block[i * CK_LANES + j] : 0;
  }
}

static void gemm_pack_transpose(ck_pool *pool, size_t n, size_t k, const float *packed_b, float *packed_transpose) {
  if (GEMM_USES_BLAS) {
    for (size_t i = 0; i < k; ++i)
      for (size_t j = 0; j < n; ++j) packed_transpose[j * k + i] = packed_b[i * n + j];
    return;
  }
  gemm_turn_job job = {n, k, packed_b, packed_transpose};
  if (pool) {
    ck_pool_run(pool, (int)gemm_panels(k), gemm_turn_unit, &job);
  } else {
    for (size_t panel = 0; panel < gemm_panels(k); ++panel) gemm_turn_unit(&job, (int)panel, 0);
  }
}
