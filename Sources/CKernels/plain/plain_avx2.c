// The plain kernels for AVX2 with FMA.
#if defined(__x86_64__)
#include <math.h>
#include <string.h>
#include "plain_table.h"
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define CK_NAME(name) ck_avx2_##name
#include "plain_template.h"
#pragma clang attribute pop
#endif
