// Sizes and divisions of weight gradients.
#include "weight_gradient_plan.h"

enum {
  MAXIMUM_IMAGE_BLOCKS = 16,
  PARTIAL_BYTES = 8 << 20,  // all partial sums together, where one set is not already larger
  TILE_BLOCKS = 8,          // 8 × 8 blocks of a 3 × 3 kernel: 576 KiB of sums, read and written once per group
  GROUP_BYTES = 320 << 10,  // evaluated inputs and gradients of a group
  WANTED_UNITS = 16,
};

static int even_tile(int blocks, int tile) { return ck_ceil_divide(blocks, ck_ceil_divide(blocks, tile)); }

/// Fewer images than units: smaller tiles.
static void choose_tiles(ck_weight_gradient_plan *plan, bool has_input_tiles) {
  const ck_conv_geometry *g = &plan->geometry;
  plan->out_tile = even_tile(g->out_blocks, TILE_BLOCKS);
  plan->in_tile = has_input_tiles ? even_tile(g->in_blocks, TILE_BLOCKS) : 1;
  for (;;) {
    plan->out_tiles = ck_ceil_divide(g->out_blocks, plan->out_tile);
    plan->in_tiles = has_input_tiles ? ck_ceil_divide(g->in_blocks, plan->in_tile) : 1;
    if (plan->image_blocks * plan->out_tiles * plan->in_tiles >= WANTED_UNITS || plan->out_tile == 1) return;
    plan->out_tile = ck_ceil_divide(plan->out_tile, 2);
  }
}

static void choose_group(ck_weight_gradient_plan *plan, const ck_conv *conv, int n) {
  const ck_conv_geometry *g = &plan->geometry;
  bool stem = conv->algorithm == CK_CONV_STEM, depthwise = conv->algorithm == CK_CONV_DEPTHWISE;
  size_t vector = CK_LANES * sizeof(float), row = (size_t)g->column_phases * (size_t)g->packed_columns * vector;
  size_t in_row = stem ? 0 : (size_t)plan->in_tile * row, out_row = (size_t)(depthwise ? 1 : plan->out_tile) * (size_t)g->out_width * vector;
  size_t image = in_row * (size_t)g->packed_rows + out_row * (size_t)g->out_height;
  plan->group_images = 1;
  plan->band_rows = g->out_height;
  if (image <= GROUP_BYTES) {
    plan->group_images = ck_maximum(1, ck_minimum(ck_ceil_divide(n, plan->image_blocks), (int)(GROUP_BYTES / image)));
  } else {
    size_t fixed = in_row * (size_t)conv->shape.kernel_height, per_row = in_row * (size_t)g->row_step + out_row;
    int rows = fixed < GROUP_BYTES ? (int)((GROUP_BYTES - fixed) / per_row) : 1;
    plan->band_rows = ck_minimum(g->out_height, ck_maximum(1, rows));
  }
  // A stem packs its few channels of single floats as whole pictures.
  plan->input_floats = stem ? ck_round_up((size_t)g->in_channels * ck_packed_positions(g), CK_LANES)
                            : (size_t)ck_band_input_rows(plan, conv->shape.kernel_height, plan->band_rows) * row / sizeof(float);
  plan->gradient_floats = (size_t)plan->band_rows * (size_t)g->out_width * CK_LANES;
}

ck_weight_gradient_plan ck_plan_weight_gradient(const ck_conv *conv, int n) {
  ck_conv direct = *conv;
  bool stem = conv->algorithm == CK_CONV_STEM, depthwise = conv->algorithm == CK_CONV_DEPTHWISE;
  direct.direction = CK_FORWARD;
  if (!stem && !depthwise) direct.algorithm = CK_CONV_DIRECT;
  ck_weight_gradient_plan plan = {.geometry = ck_geometry(&direct)};
  const ck_conv_geometry *g = &plan.geometry;
  size_t inputs = stem ? (size_t)g->in_channels : depthwise ? 1 : (size_t)g->in_blocks * CK_LANES;
  plan.weight_floats = (size_t)g->out_blocks * inputs * (size_t)g->kernel_area * CK_LANES;
  plan.partial_floats = plan.weight_floats + (size_t)g->out_blocks * CK_LANES * (sizeof(double) / sizeof(float));
  int most = (int)(PARTIAL_BYTES / (plan.partial_floats * sizeof(float)));
  plan.image_blocks = ck_maximum(1, ck_minimum(ck_minimum(n, MAXIMUM_IMAGE_BLOCKS), most));
  choose_tiles(&plan, !stem && !depthwise);
  choose_group(&plan, conv, n);
  return plan;
}

size_t ck_conv_weight_gradient_partial_bytes(const ck_conv *conv, int n) {
  ck_weight_gradient_plan plan = ck_plan_weight_gradient(conv, n);
  return (size_t)plan.image_blocks * plan.partial_floats * sizeof(float);
}

size_t ck_conv_weight_gradient_scratch_bytes(const ck_conv *conv) {
  size_t most = 0;
  // Beyond as many images as there can be blocks, only groups grow: as far as the last of these.
  for (int i = 1; i <= MAXIMUM_IMAGE_BLOCKS + 1; ++i) {
    ck_weight_gradient_plan plan = ck_plan_weight_gradient(conv, i <= MAXIMUM_IMAGE_BLOCKS ? i : 1 << 20);
    size_t gradients = conv->algorithm == CK_CONV_DEPTHWISE ? 1 : (size_t)plan.out_tile;
    size_t floats = (size_t)plan.group_images * ((size_t)plan.in_tile * plan.input_floats + gradients * plan.gradient_floats);
    if (floats * sizeof(float) > most) most = floats * sizeof(float);
  }
  return most;
}
