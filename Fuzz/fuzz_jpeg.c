// libFuzzer target: JPEG decoding.
#include "cimagecodecs.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  cic_image image;
  char message[CIC_MESSAGE_SIZE] = "";
  cic_status status = cic_jpeg_decode(data, size, 1 << 16, &image, message);
  if ((status == CIC_OK) != (image.pixels != NULL)) abort();
  if (status != CIC_OK && !message[0]) abort();
  cic_free(image.pixels);
  return 0;
}
