// The plain kernels for any processor; on 64-bit ARM compilers turn them into NEON code.
#define CK_NAME(name) ck_portable_##name
#include "plain_template.h"
