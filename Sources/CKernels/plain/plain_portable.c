// The plain kernels for any processor.
#define CK_NAME(name) ck_portable_##name
#include "plain_template.h"
