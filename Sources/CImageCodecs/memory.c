// The memory that decoders and encoders hand out.
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cic_say(char *message, const char *text) { snprintf(message, CIC_MESSAGE_SIZE, "%s", text); }

int cic_append(cic_bytes *out, size_t *capacity, const void *bytes, size_t count) {
  if (count > SIZE_MAX / 2 - out->size) return 0;
  size_t needed = out->size + count;
  if (needed > *capacity) {
    size_t grown = needed + needed / 2 + 4096;
    uint8_t *memory = realloc(out->bytes, grown);
    if (!memory) return 0;
    out->bytes = memory;
    *capacity = grown;
  }
  memcpy(out->bytes + out->size, bytes, count);
  out->size = needed;
  return 1;
}

cic_status cic_allocate(cic_image *out, uint64_t max_pixels, char *message) {
  uint64_t pixels = (uint64_t)out->width * out->height;
  if (pixels > max_pixels || pixels > SIZE_MAX / 4) {
    snprintf(message, CIC_MESSAGE_SIZE, "%u\u00d7%u pixels, at most %llu are allowed", out->width, out->height,
             (unsigned long long)max_pixels);
    return CIC_TOO_LARGE;
  }
  out->pixels = malloc(pixels ? (size_t)pixels * 3 : 1);
  if (out->pixels) return CIC_OK;
  cic_say(message, "no memory for the picture");
  return CIC_NO_MEMORY;
}

void cic_free(void *memory) { free(memory); }
