// Compiles the renderer once per instruction set and chooses at run time; every variant writes the same bytes.
#include "cshapes.h"

#include <math.h>

// Each operation is rounded on its own: contraction into fused multiply-adds would change bytes.
#pragma STDC FP_CONTRACT OFF

enum { SIDE = CSHAPES_SIDE, WORDS = 488, PICTURE_BYTES = SIDE * SIDE * 3 };
typedef float plane[SIDE][SIDE];

#define RENDER render_portable
#include "renderer.inc"
#undef RENDER

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define RENDER render_avx2
#include "renderer.inc"
#undef RENDER
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq"))), apply_to = function)
#define RENDER render_avx512
#include "renderer.inc"
#undef RENDER
#pragma clang attribute pop
#endif

typedef int32_t renderer(uint8_t *, uint64_t, uint64_t);

static renderer *choose(cshapes_variant variant) {
#if defined(__x86_64__)
  int avx2 = __builtin_cpu_supports("avx2");
  int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq");
  if (avx512 && (variant == CSHAPES_AVX512 || variant == CSHAPES_FASTEST)) return render_avx512;
  if (avx2 && (variant == CSHAPES_AVX2 || variant == CSHAPES_FASTEST)) return render_avx2;
#endif
  return variant == CSHAPES_PORTABLE || variant == CSHAPES_FASTEST ? render_portable : NULL;
}

int cshapes_render(cshapes_variant variant, uint8_t *pixels, int32_t *labels, uint64_t seed, uint64_t first, size_t count) {
  renderer *render = choose(variant);
  if (!render) return 0;
  for (size_t i = 0; i < count; i++) labels[i] = render(pixels + i * PICTURE_BYTES, seed, first + i);
  return 1;
}
