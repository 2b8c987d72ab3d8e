// How the gradient of a convolution's weights is divided: fixed by the shape and the number of images, never by the number of threads.
//
// Images are dealt out in blocks; each has partial sums of its own, combined in order. A unit of work is one image block × a tile of output
// blocks × a tile of input blocks. It goes through its images in groups (or bands of rows of one image) that stay in the L2 cache.
#ifndef CK_WEIGHT_GRADIENT_PLAN_H
#define CK_WEIGHT_GRADIENT_PLAN_H
#include "conv_geometry.h"

typedef struct {
  ck_conv_geometry geometry;  // forward, direct
  int image_blocks;
  int out_tile, out_tiles, in_tile, in_tiles;  // in channel blocks; depthwise has no tiles of inputs
  int group_images, band_rows;                 // read together; bands of fewer rows than the output has only where group_images is 1
  size_t weight_floats;                        // partial sums of the weights of one image block
  size_t partial_floats;                       // with the sums of the bias behind them, as doubles
  size_t input_floats, gradient_floats;        // scratch: one image's band, one channel block (stem: all channels)
} ck_weight_gradient_plan;

ck_weight_gradient_plan ck_plan_weight_gradient(const ck_conv *conv, int n);

/// Padded rows that a band of output rows reads.
static inline int ck_band_input_rows(const ck_weight_gradient_plan *plan, int kernel_height, int rows) {
  return (rows - 1) * plan->geometry.row_step + kernel_height;
}

#endif
