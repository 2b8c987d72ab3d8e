// Working memory of the calling thread.
#ifndef CVISION_SCRATCH_H
#define CVISION_SCRATCH_H

#include <stddef.h>

/// At least `bytes`, aligned to 64; the content is lost at the next call. Stops the process where there is no memory.
void *cvision_scratch(size_t bytes);

/// Pieces of one block of memory.
typedef struct {
  char *next;
} scratch_pieces;

/// The next `bytes`, aligned to 64.
static inline void *scratch_take(scratch_pieces *pieces, size_t bytes) {
  void *piece = pieces->next;
  pieces->next += (bytes + 63) / 64 * 64;
  return piece;
}

#endif
