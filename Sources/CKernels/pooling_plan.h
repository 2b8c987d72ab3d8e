// Sizes of pooling that do not depend on the instruction set.
#ifndef CK_POOLING_PLAN_H
#define CK_POOLING_PLAN_H
#include "kernel_table.h"

/// Rows that are alive at a time: those of a window, or of the gap between windows.
static inline int ck_pooling_ring(const ck_pool_shape *shape) { return ck_maximum(shape->kernel_height, shape->stride_height); }

#endif
