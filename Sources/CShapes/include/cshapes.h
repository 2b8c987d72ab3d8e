// The renderer of the built-in picture set "shapes": ten classes of 32x32 RGB pictures drawn by formulas.
#ifndef CSHAPES_H
#define CSHAPES_H

#include <stddef.h>
#include <stdint.h>

/// Side of a picture in pixels.
#define CSHAPES_SIDE 32

/// Ways of drawing; they differ in speed only.
typedef enum { CSHAPES_FASTEST = 0, CSHAPES_PORTABLE = 1, CSHAPES_AVX2 = 2, CSHAPES_AVX512 = 3 } cshapes_variant;

/// Draws the pictures `first ..< first + count` of the sequence `seed`: 3072 bytes (rows of R G B) and one label 0...9 each. A picture
/// depends on its number and the seed only; the bytes are the same on every machine. Returns 0, with nothing written, when this processor does not have the variant.
int cshapes_render(cshapes_variant variant, uint8_t *pixels, int32_t *labels, uint64_t seed, uint64_t first, size_t count);

#endif
