// libFuzzer target: PNG decoding.
#include "cimagecodecs.h"

#include <stdlib.h>
#include <string.h>

static uint32_t crc32_of(const uint8_t *bytes, size_t count) {
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < count; i++) {
    crc ^= bytes[i];
    for (int k = 0; k < 8; k++) crc = crc & 1 ? 0xedb88320u ^ (crc >> 1) : crc >> 1;
  }
  return ~crc;
}

// Every chunk gets its right checksum, so that mutations reach the code behind the check.
static void repair(uint8_t *bytes, size_t size) {
  size_t at = 8;
  while (at + 12 <= size) {
    size_t length = (size_t)bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
    if (length > size - at - 12) return;
    uint32_t crc = crc32_of(bytes + at + 4, length + 4);
    for (int k = 0; k < 4; k++) bytes[at + 8 + length + k] = (uint8_t)(crc >> (24 - 8 * k));
    at += length + 12;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  uint8_t *bytes = malloc(size);
  memcpy(bytes, data, size);
  if (bytes[size - 1] & 1) repair(bytes, size);
  cic_image image;
  char message[CIC_MESSAGE_SIZE] = "";
  cic_status status = cic_png_decode(bytes, size, 1 << 16, &image, message);
  if ((status == CIC_OK) != (image.pixels != NULL)) abort();
  if (status != CIC_OK && !message[0]) abort();
  cic_free(image.pixels);
  free(bytes);
  return 0;
}
