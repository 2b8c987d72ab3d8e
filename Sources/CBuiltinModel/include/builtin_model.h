// The built-in classifier as a safetensors file inside the binary.
#ifndef BUILTIN_MODEL_H
#define BUILTIN_MODEL_H
#include <stddef.h>

/// The bytes of the file; they live as long as the process.
const unsigned char *builtin_model_bytes(void);
size_t builtin_model_byte_count(void);

#endif
