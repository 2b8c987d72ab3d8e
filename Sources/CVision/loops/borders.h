// Where positions outside a picture lie, vectors of eight numbers, and the last step to a byte; the same for all variants.
#ifndef CVISION_BORDERS_H
#define CVISION_BORDERS_H

// Eight numbers at any address.
typedef double doubles8 __attribute__((vector_size(64), aligned(8), may_alias));
typedef uint8_t bytes8 __attribute__((vector_size(8), aligned(1), may_alias));

// Samples that a block of a row holds: rows of working planes are padded to a multiple of it.
enum { BLOCK = 32 };

static inline size_t whole_blocks(size_t count) { return (count + BLOCK - 1) / BLOCK * BLOCK; }

// How a line goes on beyond its ends.
typedef enum { EDGE, MIRROR } border;

// Folded back in at the borders, whose edge is not repeated.
static inline size_t reflected(ptrdiff_t position, ptrdiff_t count) {
  if (count == 1) return 0;
  while (position < 0 || position >= count) position = position < 0 ? -position : 2 * (count - 1) - position;
  return (size_t)position;
}

// Folded back in at the borders, whose edge is repeated.
static inline size_t mirrored(ptrdiff_t position, ptrdiff_t count) {
  while (position < 0 || position >= count) position = position < 0 ? -position - 1 : 2 * count - 1 - position;
  return (size_t)position;
}

static inline size_t clamped(ptrdiff_t position, ptrdiff_t count) {
  return (size_t)(position < 0 ? 0 : position < count ? position : count - 1);
}

static inline size_t beyond(border kind, ptrdiff_t position, ptrdiff_t count) {
  return kind == EDGE ? clamped(position, count) : mirrored(position, count);
}

// A value of the unit range as a byte: clipped, then truncated.
#define UNIT_BYTE(value)                                                                                                               \
  ({                                                                                                                                   \
    __typeof__(value) unit_ = (value);                                                                                                 \
    unit_ = unit_ > 0 ? unit_ : 0;                                                                                                     \
    unit_ = unit_ < 1 ? unit_ : 1;                                                                                                     \
    (uint8_t)(int32_t)(unit_ * 255);                                                                                                   \
  })

#endif
