// Loops over samples for the corruptions of Vision, compiled once per instruction set; every variant writes the same bits.
//
// Pictures are rows of R G B bytes. Results are clipped and truncated to bytes where nothing else is said. Working memory belongs to the
// calling thread and is kept for its next picture; a process without memory for a picture stops.
#ifndef CVISION_H
#define CVISION_H

#include <stddef.h>
#include <stdint.h>

/// Ways of computing; they differ in speed only.
typedef enum { CVISION_FASTEST = 0, CVISION_PORTABLE = 1, CVISION_AVX2 = 2, CVISION_AVX512 = 3 } cvision_variant;

/// Chooses the variant of the calling thread. Returns 0, and changes nothing, when this processor does not have it.
int cvision_use(cvision_variant variant);

/// A sequence of 32-bit words: word j is lane j mod 4 of Philox4x32-10 with the key `seed` at the counter (j / 4, tag, picture).
typedef struct {
  uint64_t seed;
  uint32_t tag;
  uint64_t picture;
} cvision_words;

/// A picture's size in pixels.
typedef struct {
  size_t width, height;
} cvision_size;

/// A Gaussian: `weights[d]` at the distances 0 ... radius.
typedef struct {
  const double *weights;
  size_t radius;
} cvision_gaussian;

/// Taps of a motion: tap i reads the pixel `columns[i]` to the right and `rows[i]` below, with `weights[i]`; the border is replicated.
typedef struct {
  const double *weights;
  const int32_t *columns, *rows;
  size_t count;
} cvision_motion_taps;

/// Words 0 ... count-1 as numbers in [0, 1) with 24 bits.
void cvision_uniforms(cvision_words words, float *out, size_t count);

/// The same words as draws of the standard normal law: the quantile of (word + 1/2) / 2^32.
void cvision_normals(cvision_words words, float *out, size_t count);

/// The same words as integers: low + floor(word span / 2^32).
void cvision_integers(cvision_words words, int32_t low, uint32_t span, int32_t *out, size_t count);

/// Replaces every sample by a draw from the row of its value in a table of 256 rows of 256 alias entries: a word's upper 8 bits choose
/// the entry k, which gives k where the lower 24 bits are below its upper 24 bits, else its lower 8 bits.
void cvision_sample_table(cvision_words words, const uint32_t *table, const uint8_t *samples, uint8_t *out, size_t count);

/// Samples whose word is below `high` become 255, from there to below `both` 0; the others stay.
void cvision_sample_impulses(cvision_words words, uint32_t high, uint32_t both, const uint8_t *samples, uint8_t *out, size_t count);

/// samples + 255 deviation normals, in double; multiplied by the sample (unit range) where `scaled`.
void cvision_add_noise(const uint8_t *samples, const float *normals, double deviation, int scaled, uint8_t *out, size_t count);

/// counts / rate, in the unit range.
void cvision_counts(const float *counts, double rate, uint8_t *out, size_t count);

/// Samples whose hit is at most `share` become 255 where their side is at most a half, else 0; the others stay.
void cvision_add_impulses(const uint8_t *samples, const float *hits, const float *sides, double share, uint8_t *out, size_t count);

/// Correlates with a kernel that is symmetric in both axes, the border reflected without repeating its edge. `weights` holds the weight
/// at (|dy|, |dx|), `reach + 1` squared. `even` = 1: the kernel has no middle; the weights lie at the offsets d and -(d + 1).
void cvision_correlate(const uint8_t *samples, cvision_size size, const float *weights, size_t reach, size_t even, uint8_t *out);

/// A Gaussian blur in double, the border replicated.
void cvision_gaussian_blur(const uint8_t *samples, cvision_size size, cvision_gaussian gaussian, uint8_t *out);

/// Glass: a Gaussian blur, `rounds` passes in which every pixel from the bottom right on, but the outermost `distance` or more, takes
/// over the one at the next two of `steps` (columns, rows), and the blur again.
void cvision_glass(const uint8_t *samples, cvision_size size, cvision_gaussian gaussian, size_t distance, size_t rounds,
                   const int32_t *steps, uint8_t *out);

/// Motion blur of 8-bit samples through 16-bit ones, as ImageMagick computes it.
void cvision_motion(const uint8_t *samples, cvision_size size, cvision_motion_taps taps, uint8_t *out);

/// The mean of the picture, counted twice, and its enlargements by 1 + step, 1 + 2 step, ...: `count` with the picture itself.
void cvision_zoom_blur(const uint8_t *samples, cvision_size size, double step, size_t count, uint8_t *out);

/// What falls in a snow storm and how a picture lightens.
typedef struct {
  double mean, deviation, zoom, threshold, mix;
} cvision_snowfall;

/// Snow from one normal draw per pixel.
void cvision_snow(const uint8_t *samples, cvision_size size, const float *normals, cvision_snowfall snow, cvision_motion_taps taps,
                  uint8_t *out);

/// own samples + other texture, 0 ... 255; both have the same number of samples.
void cvision_blend(const uint8_t *samples, const uint8_t *texture, double own, double other, uint8_t *out, size_t count);

/// A plasma fractal on a torus of side x side cells, a power of two, in 0 ... 1, from side^2 - 1 uniform draws.
void cvision_plasma(const float *uniforms, size_t side, double decay, double *map);

/// Fog of a strength from the upper left of a plasma map.
void cvision_fog(const uint8_t *samples, cvision_size size, const double *map, size_t side, double strength, uint8_t *out);

/// Changes saturation and value: s = clip(s scale + shift), v = clip(v + rise).
void cvision_recolor(const uint8_t *samples, double scale, double shift, double rise, uint8_t *out, size_t pixels);

/// Draws samples towards the mean of their channel.
void cvision_contrast(const uint8_t *samples, double factor, uint8_t *out, size_t pixels);

/// Averages down to `small` pixels and repeats them, as Pillow's box filter does.
void cvision_pixelate(const uint8_t *samples, cvision_size size, cvision_size small, uint8_t *out);

/// An affine map (`inverse`: x' = m0 x + m1 y + m2, y' = m3 x + m4 y + m5 gives the source) and then displacements by smoothed uniform
/// draws of -1 ... 1 times `strength`, columns first; bilinear.
void cvision_elastic(const uint8_t *samples, cvision_size size, const double inverse[6], const float *columns, const float *rows,
                     cvision_gaussian gaussian, double strength, uint8_t *out);

/// What spatters: a Gaussian of the liquid, its threshold, and for mud its second Gaussian, for water its intensity.
typedef struct {
  double mean, deviation, threshold, intensity;
  cvision_gaussian liquid, mud;
  int is_mud;
} cvision_splash;

/// Spatter from one normal draw per pixel. A picture without a drop stays as it is.
void cvision_spatter(const uint8_t *samples, cvision_size size, const float *normals, cvision_splash splash, uint8_t *out);

/// What a picture of frost looks like: the variance of its luminance in octave bands of spatial frequency, the 17 quantiles of its
/// luminance, and slope and offset of red, green and blue as functions of it.
typedef struct {
  const double *band_edges, *band_variances, *quantiles;
  size_t bands;
  double colours[6];
} cvision_frost;

/// A texture of side x side pixels, a power of two, that looks like frost and continues at its opposite border, from side^2 normal draws.
void cvision_frost_texture(const float *normals, size_t side, cvision_frost frost, uint8_t *out);

/// The part of a texture from (left, top) on; beyond the right and lower border the texture is repeated or mirrored.
void cvision_take_part(const uint8_t *texture, cvision_size whole, size_t left, size_t top, int repeats, cvision_size part, uint8_t *out);

/// The middle pixel of every whole block of 5 x 5.
void cvision_every_fifth(const uint8_t *samples, cvision_size size, uint8_t *out);

#endif
