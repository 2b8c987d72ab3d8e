// All kernels of one instruction set: included once by each isa_*.c, inside its target attribute, after it has set
//   CK_FUSED            1 where multiply-add is one instruction
//   TRANSFORM_LANES     lanes of one register
//   TILE_ROWS_TOGETHER  rows of a Winograd tile that go through the epilogue together
//   PIECE_BLOCKS, PIECE_SIZES          output blocks and positions of a convolution's product (positions × blocks accumulators)
//   RAW_SIZES_1         positions of Winograd's products with one output block
//   CHANNELS_UNROLLED   how the loop over the 16 channels of an input block is unrolled
//   OUTER_SIZES         input channels of a weight gradient that stay in registers, descending: a block of 16 is divided into the largest that still fit
//   OUTER_SINGLES       the same of a stem, whose inputs lie anywhere
//   GEMM_PANELS, GEMM_ROW_SIZES, GEMM_ROWS  the same of ck_gemm
//   GEMM_UNROLLED       how many steps of its loop over k are unrolled
//   HAS_BFLOAT16_PAIRS  1 where pairs.h is included behind this file, with a target that multiplies pairs of bfloat16
//   GEMM_USES_BLAS      1 where ck_gemm goes to OpenBLAS
//   PEAK_CHAINS         independent sums of the peak loop
//   KERNEL_TABLE        the table's name
#include "vector.h"
// Order matters from here on: each file uses the ones before it.
#include "functions.h"
#include "bfloat16.h"
#include "operand.h"
#include "epilogue.h"
#include "prefetch.h"
#include "product.h"
#include "conv_packing.h"
#include "conv_job.h"
#include "conv_direct.h"
#include "conv_pointwise.h"
#include "winograd_transforms.h"
#include "conv_winograd.h"
#include "conv_depthwise.h"
#include "conv_stem.h"
#include "conv_run.h"
#include "conv_weight_gradient.h"
#include "conv_weights.h"
#include "gemm.h"
#include "gemm_packing.h"
#include "attention.h"
#include "elementwise.h"
#include "reorder.h"
#include "shortcut.h"
#include "pooling.h"
#include "neighbours.h"
#include "measure.h"

const ck_kernel_table KERNEL_TABLE = {
    .gemm = gemm,
    .gemm_packed = gemm_packed,
    .gemm_pack_b = gemm_pack_b,
    .gemm_pack_transpose = gemm_pack_transpose,
    .linear = linear,
    .row_values = row_values,
    .gemm_pack_b_bfloat16 = gemm_pack_b_bfloat16,
    .linear_bfloat16 = linear_bfloat16,
    .conv_pack = conv_pack,
    .conv_run = conv_run,
    .conv_weight_gradient = conv_weight_gradient,
    .attention = attention,
    .attention_backward = attention_backward,
    .elementwise = elementwise,
    .to_blocked = to_blocked,
    .from_blocked = from_blocked,
    .global_average = global_average,
    .global_average_backward = global_average_backward,
    .channel_products = channel_products,
    .pooling = pooling,
    .pooling_backward = pooling_backward,
    .shortcut = shortcut,
    .shortcut_backward = shortcut_backward,
    .rank_row = rank_row,
    .rank_columns = rank_columns,
    .log_rows = log_rows,
    .neighbour_softmax = neighbour_softmax,
    .peak = peak,
    .bandwidth = bandwidth,
};
