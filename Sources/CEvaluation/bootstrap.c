// Resampling with replacement.
#include "cevaluation.h"

static uint64_t next(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

void ce_bootstrap(const int32_t *differences, long count, long resamples, uint64_t seed, long *at_most_zero, long *at_least_zero) {
  *at_most_zero = *at_least_zero = 0;
  uint64_t state = seed;
  for (long resample = 0; resample < resamples; resample++) {
    int64_t sum = 0;
    for (long i = 0; i < count; i++) sum += differences[(next(&state) >> 32) * (uint64_t)count >> 32];
    *at_most_zero += sum <= 0;
    *at_least_zero += sum >= 0;
  }
}
