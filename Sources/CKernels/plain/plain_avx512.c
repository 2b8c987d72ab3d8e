// The plain kernels for AVX-512.
#if defined(__x86_64__)
#include <math.h>
#include <string.h>
#include "plain_table.h"
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"))), apply_to = function)
#define CK_NAME(name) ck_avx512_##name
#include "plain_template.h"
#pragma clang attribute pop
#endif
