// Compiles the loops once per instruction set and chooses at run time.
#include "cvision.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Each operation is rounded on its own, so that all variants agree to the bit.
#pragma STDC FP_CONTRACT OFF

#define VARIANT portable
#include "correlate.inc"
#include "draws.inc"
#undef VARIANT

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define VARIANT avx2
#include "correlate.inc"
#include "draws.inc"
#undef VARIANT
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq"))), apply_to = function)
#define VARIANT avx512
#include "correlate.inc"
#include "draws.inc"
#undef VARIANT
#pragma clang attribute pop
#endif

typedef struct {
  void (*uniforms)(cvision_words, float *, size_t);
  void (*normals)(cvision_words, float *, size_t);
  void (*add_noise)(const uint8_t *, const float *, double, uint8_t *, size_t);
  void (*add_impulses)(const uint8_t *, const float *, const float *, double, uint8_t *, size_t);
  int (*correlate)(const uint8_t *, size_t, size_t, const float *, size_t, uint8_t *);
} loops;

#define LOOPS(variant) {uniforms_##variant, normals_##variant, add_noise_##variant, add_impulses_##variant, correlate_##variant}
static const loops portable = LOOPS(portable);
#if defined(__x86_64__)
static const loops avx2 = LOOPS(avx2);
static const loops avx512 = LOOPS(avx512);
#endif

static const loops *choose(cvision_variant variant) {
#if defined(__x86_64__)
  int has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq");
  if (has_avx512 && (variant == CVISION_AVX512 || variant == CVISION_FASTEST)) return &avx512;
  if (__builtin_cpu_supports("avx2") && (variant == CVISION_AVX2 || variant == CVISION_FASTEST)) return &avx2;
#endif
  return variant == CVISION_PORTABLE || variant == CVISION_FASTEST ? &portable : NULL;
}

int cvision_uniforms(cvision_variant variant, cvision_words words, float *out, size_t count) {
  const loops *l = choose(variant);
  if (l) l->uniforms(words, out, count);
  return l != NULL;
}

int cvision_normals(cvision_variant variant, cvision_words words, float *out, size_t count) {
  const loops *l = choose(variant);
  if (l) l->normals(words, out, count);
  return l != NULL;
}

int cvision_add_noise(cvision_variant variant, const uint8_t *samples, const float *normals, double deviation, uint8_t *out,
                      size_t count) {
  const loops *l = choose(variant);
  if (l) l->add_noise(samples, normals, deviation, out, count);
  return l != NULL;
}

int cvision_add_impulses(cvision_variant variant, const uint8_t *samples, const float *hits, const float *sides, double share,
                         uint8_t *out, size_t count) {
  const loops *l = choose(variant);
  if (l) l->add_impulses(samples, hits, sides, share, out, count);
  return l != NULL;
}

int cvision_correlate(cvision_variant variant, const uint8_t *samples, size_t width, size_t height, const float *weights, size_t reach,
                      uint8_t *out) {
  const loops *l = choose(variant);
  return l && l->correlate(samples, width, height, weights, reach, out);
}
