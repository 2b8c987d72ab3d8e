// PNG and JPEG in memory, to and from 8-bit RGB, behind functions that return a status and a message.
//
// libpng and libjpeg report errors by longjmp; no jump leaves this target, so that Swift frames are never crossed.
#ifndef CIMAGECODECS_H
#define CIMAGECODECS_H

#include <stddef.h>
#include <stdint.h>

/// Outcome of every function.
typedef enum {
  CIC_OK = 0,
  /// The bytes are damaged, truncated or not of this format.
  CIC_CORRUPT = 1,
  /// The picture has more pixels than the caller allows.
  CIC_TOO_LARGE = 2,
  /// A valid file of a kind that is not decoded, or a picture that the format cannot hold.
  CIC_UNSUPPORTED = 3,
  /// The system has no memory left.
  CIC_NO_MEMORY = 4,
} cic_status;

/// Size of the caller's message buffer.
#define CIC_MESSAGE_SIZE 256

/// A decoded picture: rows of R G B bytes, top row first. Free `pixels` with `cic_free`.
typedef struct {
  uint8_t *pixels;
  uint32_t width;
  uint32_t height;
} cic_image;

/// An encoded file. Free `bytes` with `cic_free`.
typedef struct {
  uint8_t *bytes;
  size_t size;
} cic_bytes;

/// Decodes a PNG of any colour type, depth and interlacing: palettes and grey become RGB, 16-bit samples keep their high byte, alpha
/// and transparent colours are dropped without compositing. `message` has CIC_MESSAGE_SIZE bytes and is set when the result is not
/// CIC_OK; `out` then owns nothing.
cic_status cic_png_decode(const uint8_t *data, size_t size, uint64_t max_pixels, cic_image *out, char *message);

/// Decodes a baseline or progressive JPEG: grey is replicated, CMYK and YCCK are taken as inverted (Adobe's convention) and multiplied
/// out. A file that ends early, or whose entropy-coded data is damaged, is an error.
cic_status cic_jpeg_decode(const uint8_t *data, size_t size, uint64_t max_pixels, cic_image *out, char *message);

/// Encodes RGB rows as an 8-bit PNG at a zlib level 0...9.
cic_status cic_png_encode(const uint8_t *rgb, uint32_t width, uint32_t height, int level, cic_bytes *out, char *message);

/// Encodes RGB rows as a baseline JPEG: quality 1...100, chroma halved in both directions, standard Huffman tables or,
/// where `optimized`, those of the picture: a smaller file of the same pixels.
cic_status cic_jpeg_encode(const uint8_t *rgb, uint32_t width, uint32_t height, int quality, int optimized, cic_bytes *out,
                           char *message);

/// Frees what a decoder or an encoder handed out; NULL is allowed.
void cic_free(void *memory);

#endif
