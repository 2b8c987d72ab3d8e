// What the templates include: kept outside of them, because declarations of the system must not get a target attribute.
#ifndef CK_TEMPLATE_INCLUDES_H
#define CK_TEMPLATE_INCLUDES_H
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blas.h"
#include "conv_geometry.h"
#include "gemm_plan.h"
#include "kernel_table.h"
#include "pooling_plan.h"
#include "weight_gradient_plan.h"

#endif
