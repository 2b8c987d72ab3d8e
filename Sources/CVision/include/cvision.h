// Loops over samples for the corruptions of Vision, compiled once per instruction set; every variant writes the same bits.
#ifndef CVISION_H
#define CVISION_H

#include <stddef.h>
#include <stdint.h>

/// Ways of computing; they differ in speed only.
typedef enum { CVISION_FASTEST = 0, CVISION_PORTABLE = 1, CVISION_AVX2 = 2, CVISION_AVX512 = 3 } cvision_variant;

/// A sequence of 32-bit words: word j is lane j mod 4 of Philox4x32-10 with the key `seed` at the counter (j / 4, tag, picture).
typedef struct {
  uint64_t seed;
  uint32_t tag;
  uint64_t picture;
} cvision_words;

/// The first `count` words as numbers in [0, 1) with 24 bits. Returns 0 when this processor does not have the variant.
int cvision_uniforms(cvision_variant variant, cvision_words words, float *out, size_t count);

/// The first `count` words as draws of the standard normal law: the quantile of (word + 1/2) / 2^32.
int cvision_normals(cvision_variant variant, cvision_words words, float *out, size_t count);

/// samples + 255 deviation normals, clipped to 0...255 and truncated, in double.
int cvision_add_noise(cvision_variant variant, const uint8_t *samples, const float *normals, double deviation, uint8_t *out, size_t count);

/// Samples whose hit is at most `share` become 255 where their side is at most a half, else 0; the others stay.
int cvision_add_impulses(cvision_variant variant, const uint8_t *samples, const float *hits, const float *sides, double share,
                         uint8_t *out, size_t count);

/// Correlates rows of R G B with a kernel that is symmetric in both axes, the border reflected without repeating its edge; results are
/// clipped and truncated. `weights` holds the weight at (|dy|, |dx|), `reach + 1` squared. Returns 0 without memory, too.
int cvision_correlate(cvision_variant variant, const uint8_t *samples, size_t width, size_t height, const float *weights, size_t reach,
                      uint8_t *out);

#endif
