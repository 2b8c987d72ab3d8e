// Checksums of bytes.
#include "cevaluation.h"

uint64_t ce_digest(const void *bytes, long count, uint64_t hash) {
  const uint8_t *values = bytes;
  for (long i = 0; i < count; i++) hash = (hash ^ values[i]) * 0x100000001b3u;
  return hash;
}

uint32_t ce_crc32c(const void *bytes, long count) {
  const uint8_t *values = bytes;
  uint32_t crc = 0xFFFFFFFFu;
  for (long i = 0; i < count; i++) {
    crc ^= values[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0);
  }
  return ~crc;
}
