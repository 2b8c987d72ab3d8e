// Compiles the loops once per instruction set and chooses at run time.
#include "cvision.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"

// Each operation is rounded on its own, so that all variants agree to the bit.
#pragma STDC FP_CONTRACT OFF

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define LOCAL(name) JOIN(name, VARIANT)

// Positions and types that all variants share.
#include "loops/borders.h"

#define VARIANT portable
#include "loops/all.h"
#undef VARIANT

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define VARIANT avx2
#include "loops/all.h"
#undef VARIANT
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq"))), apply_to = function)
#define VARIANT avx512
#include "loops/all.h"
#undef VARIANT
#pragma clang attribute pop
#endif

// Every loop by name.
#define LOOPS(USE)                                                                                                                    \
  USE(uniforms) USE(normals) USE(integers) USE(sample_table) USE(sample_impulses) USE(add_noise) USE(counts) USE(add_impulses)        \
  USE(correlate) USE(gaussian_blur) USE(glass) USE(motion) USE(zoom_blur) USE(snow) USE(blend) USE(plasma) USE(fog)                   \
  USE(recolor) USE(contrast) USE(pixelate) USE(elastic) USE(spatter) USE(frost_texture) USE(take_part) USE(every_fifth)

#define FIELD(name) __typeof__(cvision_##name) *name;
typedef struct {
  LOOPS(FIELD)
} loops;

#define PORTABLE(name) name##_portable,
static const loops portable = {LOOPS(PORTABLE)};
#if defined(__x86_64__)
#define AVX2(name) name##_avx2,
#define AVX512(name) name##_avx512,
static const loops avx2 = {LOOPS(AVX2)};
static const loops avx512 = {LOOPS(AVX512)};
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

static _Thread_local const loops *chosen;

static const loops *current(void) {
  if (!chosen) chosen = choose(CVISION_FASTEST);
  return chosen;
}

int cvision_use(cvision_variant variant) {
  const loops *found = choose(variant);
  if (found) chosen = found;
  return found != NULL;
}

void cvision_uniforms(cvision_words words, float *out, size_t count) { current()->uniforms(words, out, count); }

void cvision_normals(cvision_words words, float *out, size_t count) { current()->normals(words, out, count); }

void cvision_integers(cvision_words words, int32_t low, uint32_t span, int32_t *out, size_t count) {
  current()->integers(words, low, span, out, count);
}

void cvision_sample_table(cvision_words words, const uint32_t *table, const uint8_t *samples, uint8_t *out, size_t count) {
  current()->sample_table(words, table, samples, out, count);
}

void cvision_sample_impulses(cvision_words words, uint32_t high, uint32_t both, const uint8_t *samples, uint8_t *out, size_t count) {
  current()->sample_impulses(words, high, both, samples, out, count);
}

void cvision_add_noise(const uint8_t *samples, const float *normals, double deviation, int scaled, uint8_t *out, size_t count) {
  current()->add_noise(samples, normals, deviation, scaled, out, count);
}

void cvision_counts(const float *counts, double rate, uint8_t *out, size_t count) { current()->counts(counts, rate, out, count); }

void cvision_add_impulses(const uint8_t *samples, const float *hits, const float *sides, double share, uint8_t *out, size_t count) {
  current()->add_impulses(samples, hits, sides, share, out, count);
}

void cvision_correlate(const uint8_t *samples, cvision_size size, const float *weights, size_t reach, size_t even, uint8_t *out) {
  current()->correlate(samples, size, weights, reach, even, out);
}

void cvision_gaussian_blur(const uint8_t *samples, cvision_size size, cvision_gaussian gaussian, uint8_t *out) {
  current()->gaussian_blur(samples, size, gaussian, out);
}

void cvision_glass(const uint8_t *samples, cvision_size size, cvision_gaussian gaussian, size_t distance, size_t rounds,
                   const int32_t *steps, uint8_t *out) {
  current()->glass(samples, size, gaussian, distance, rounds, steps, out);
}

void cvision_motion(const uint8_t *samples, cvision_size size, cvision_motion_taps taps, uint8_t *out) {
  current()->motion(samples, size, taps, out);
}

void cvision_zoom_blur(const uint8_t *samples, cvision_size size, double step, size_t count, uint8_t *out) {
  current()->zoom_blur(samples, size, step, count, out);
}

void cvision_snow(const uint8_t *samples, cvision_size size, const float *normals, cvision_snowfall snow, cvision_motion_taps taps,
                  uint8_t *out) {
  current()->snow(samples, size, normals, snow, taps, out);
}

void cvision_blend(const uint8_t *samples, const uint8_t *texture, double own, double other, uint8_t *out, size_t count) {
  current()->blend(samples, texture, own, other, out, count);
}

void cvision_plasma(const float *uniforms, size_t side, double decay, double *map) { current()->plasma(uniforms, side, decay, map); }

void cvision_fog(const uint8_t *samples, cvision_size size, const double *map, size_t side, double strength, uint8_t *out) {
  current()->fog(samples, size, map, side, strength, out);
}

void cvision_recolor(const uint8_t *samples, double scale, double shift, double rise, uint8_t *out, size_t pixels) {
  current()->recolor(samples, scale, shift, rise, out, pixels);
}

void cvision_contrast(const uint8_t *samples, double factor, uint8_t *out, size_t pixels) {
  current()->contrast(samples, factor, out, pixels);
}

void cvision_pixelate(const uint8_t *samples, cvision_size size, cvision_size small, uint8_t *out) {
  current()->pixelate(samples, size, small, out);
}

void cvision_elastic(const uint8_t *samples, cvision_size size, const double inverse[6], const float *columns, const float *rows,
                     cvision_gaussian gaussian, double strength, uint8_t *out) {
  current()->elastic(samples, size, inverse, columns, rows, gaussian, strength, out);
}

void cvision_spatter(const uint8_t *samples, cvision_size size, const float *normals, cvision_splash splash, uint8_t *out) {
  current()->spatter(samples, size, normals, splash, out);
}

void cvision_frost_texture(const float *normals, size_t side, cvision_frost frost, uint8_t *out) {
  current()->frost_texture(normals, side, frost, out);
}

void cvision_take_part(const uint8_t *texture, cvision_size whole, size_t left, size_t top, int repeats, cvision_size part, uint8_t *out) {
  current()->take_part(texture, whole, left, top, repeats, part, out);
}

void cvision_every_fifth(const uint8_t *samples, cvision_size size, uint8_t *out) { current()->every_fifth(samples, size, out); }
