// Yardsticks: the peak of fused multiply-adds and the bandwidth of a scaling copy, on all workers at once.

static double measure_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { PEAK_ITERATIONS = 400000, MEASURE_ROUNDS = 8 };

/// PEAK_CHAINS independent sums hide the latency of a multiply-add; the result is stored so that the loop stays.
static void peak_unit(void *context, int unit, int worker) {
  (void)worker;
  v16 sum[PEAK_CHAINS], factor = splat(0.999999f), addend = splat(1e-9f);
  UNROLLED for (int i = 0; i < PEAK_CHAINS; ++i) sum[i] = splat((float)i);
  for (int k = 0; k < PEAK_ITERATIONS; ++k) {
    UNROLLED for (int i = 0; i < PEAK_CHAINS; ++i) sum[i] = multiply_add(sum[i], factor, addend);
  }
  UNROLLED for (int i = 1; i < PEAK_CHAINS; ++i) sum[0] += sum[i];
  ((float *)context)[unit * CK_LANES] = sum[0][0];
}

static double peak(ck_pool *pool) {
  int units = ck_pool_threads(pool);
  float *results = calloc((size_t)units * CK_LANES, sizeof *results);
  double best = 0;
  for (int round = 0; results && round < MEASURE_ROUNDS; ++round) {
    double start = measure_seconds();
    ck_pool_run(pool, units, peak_unit, results);
    double rate = 2.0 * CK_LANES * PEAK_CHAINS * PEAK_ITERATIONS * units / (measure_seconds() - start) * 1e-9;
    if (rate > best) best = rate;
  }
  free(results);
  return best;
}

typedef struct {
  const float *source;
  float *target;
  size_t vectors;
  int units;
} bandwidth_job;

static void bandwidth_unit(void *context, int unit, int worker) {
  const bandwidth_job *job = context;
  (void)worker;
  size_t begin = job->vectors * (size_t)unit / (size_t)job->units, end = job->vectors * ((size_t)unit + 1) / (size_t)job->units;
  for (size_t i = begin; i < end; ++i) store(job->target + i * CK_LANES, load(job->source + i * CK_LANES) * splat(2));
}

static double bandwidth(ck_pool *pool, size_t bytes) {
  size_t vectors = bytes / (CK_LANES * sizeof(float)), rounded = ck_round_up(bytes, 4096);
  float *source = aligned_alloc(4096, rounded), *target = aligned_alloc(4096, rounded);
  double best = 0;
  if (source && target) {
    memset(source, 0, rounded);
    memset(target, 0, rounded);
    bandwidth_job job = {source, target, vectors, ck_pool_threads(pool)};
    for (int round = 0; round < MEASURE_ROUNDS; ++round) {
      double start = measure_seconds();
      ck_pool_run(pool, job.units, bandwidth_unit, &job);
      double rate = 2.0 * (double)vectors * CK_LANES * sizeof(float) / (measure_seconds() - start) * 1e-9;
      if (rate > best) best = rate;
    }
  }
  free(source);
  free(target);
  return best;
}
