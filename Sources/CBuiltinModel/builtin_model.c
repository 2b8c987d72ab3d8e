// Embeds the built-in classifier, so that the binary is one file. `make builtin-model` trains it again.
#include "builtin_model.h"

static const _Alignas(64) unsigned char bytes[] = {
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wc23-extensions"
#embed "shapes.safetensors"
#pragma clang diagnostic pop
};

const unsigned char *builtin_model_bytes(void) { return bytes; }
size_t builtin_model_byte_count(void) { return sizeof bytes; }
