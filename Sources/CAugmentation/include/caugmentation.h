// Random views of images for methods that average or compare them: colour, geometry, blur, flip, noise. One image per call, channels × side × side
// in 0…1. Compiled once per instruction set.
#ifndef CAUGMENTATION_H
#define CAUGMENTATION_H

#include <stddef.h>
#include <stdint.h>

/// One set of parameters, as torchvision's functions take them.
typedef struct {
  /// Colour steps in this order: 0 brightness, 1 contrast, 2 saturation, 3 hue, 4 gamma.
  int32_t order[5];
  float brightness, contrast, saturation, hue, gamma;
  /// Degrees, clockwise; pixels right and down; zoom. About the centre of the image padded by half its side.
  float angle;
  int32_t shift_right, shift_down;
  float scale;
  /// Of a 5 × 5 Gaussian; 0 for none.
  float sigma;
  /// Padding: edge repeated, or reflected without repeating it.
  int32_t reflects;
  int32_t flip;
  /// Standard deviation of the noise.
  float noise;
} caugmentation_parameters;

/// Floats of scratch that one call needs.
size_t caugmentation_scratch_count(size_t side);
/// Writes the view of an image of 3 × side × side. `normals` holds as many standard normal draws, or is NULL for no noise.
void caugmentation_apply(const caugmentation_parameters *parameters, const float *image, size_t side, const float *normals, float *out,
                         float *scratch);
/// The colour steps alone, in place.
void caugmentation_colour(const caugmentation_parameters *parameters, float *image, size_t area);

#endif
