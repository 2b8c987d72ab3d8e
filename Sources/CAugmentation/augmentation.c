// Compiles the loops once per instruction set and chooses at run time.
#include "caugmentation.h"

#include <math.h>
#include <string.h>

#define VARIANT portable
#include "loops.inc"
#undef VARIANT

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define VARIANT avx2
#include "loops.inc"
#undef VARIANT
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,fma"))), apply_to = function)
#define VARIANT avx512
#include "loops.inc"
#undef VARIANT
#pragma clang attribute pop
#endif

typedef struct {
  void (*apply)(const caugmentation_parameters *, const float *, size_t, const float *, float *, float *);
  void (*colour)(const caugmentation_parameters *, float *, size_t);
} loops;

static const loops portable = {apply_portable, colour_portable};
#if defined(__x86_64__)
static const loops avx2 = {apply_avx2, colour_avx2};
static const loops avx512 = {apply_avx512, colour_avx512};
#endif

static const loops *choose(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq"))
    return &avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &avx2;
#endif
  return &portable;
}

size_t caugmentation_scratch_count(size_t side) { return 3 * side * side + 2 * 3 * (side + 4) * (side + 4); }

void caugmentation_apply(const caugmentation_parameters *parameters, const float *image, size_t side, const float *noise, float *out,
                         float *scratch) {
  choose()->apply(parameters, image, side, noise, out, scratch);
}

void caugmentation_colour(const caugmentation_parameters *parameters, float *image, size_t area) {
  choose()->colour(parameters, image, area);
}
