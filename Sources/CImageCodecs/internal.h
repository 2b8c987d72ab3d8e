// What the codecs share: a growing output buffer and the message of an error.
#ifndef CIC_INTERNAL_H
#define CIC_INTERNAL_H

#include "cimagecodecs.h"

/// Copies a text into the caller's message buffer, cut to its size.
void cic_say(char *message, const char *text);

/// Appends to `out`, whose memory holds `capacity` bytes; returns 0 when there is no memory.
int cic_append(cic_bytes *out, size_t *capacity, const void *bytes, size_t count);

/// Memory for a picture of `out`'s width and height within `max_pixels`; says in `message` why not.
cic_status cic_allocate(cic_image *out, uint64_t max_pixels, char *message);

#endif
