// CKernels, measuring: the yardsticks that benchmarks hold kernels against.
#ifndef CKERNELS_BENCHMARK_H
#define CKERNELS_BENCHMARK_H
#include "ckernels.h"

/// GF/s that a loop of independent fused multiply-adds reaches on all workers with the instruction set in use (best of several runs).
double ck_measure_peak_gflops(ck_pool *pool);
/// GB/s, bytes read and written, that scaling one array of `bytes` into another reaches on all workers (best of several runs);
/// 0 when memory is short.
double ck_measure_bandwidth(ck_pool *pool, size_t bytes);

#endif
