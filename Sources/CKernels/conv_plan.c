// Convolutions before they run: which algorithm can do what, which one is chosen, sizes of weights and scratch, geometry.
#include "cache_sizes.h"
#include "conv_geometry.h"

bool ck_conv_supports(const ck_conv_shape *shape, ck_direction direction, ck_conv_algorithm algorithm) {
  bool taps_fit = shape->kernel_height * shape->kernel_width <= CK_MAXIMUM_TAPS && shape->stride_height <= CK_MAXIMUM_STRIDE &&
                  shape->stride_width <= CK_MAXIMUM_STRIDE;
  bool pointwise = shape->kernel_height == 1 && shape->kernel_width == 1 && shape->pad_top == 0 && shape->pad_left == 0;
  switch (algorithm) {
    case CK_CONV_DIRECT: return !shape->depthwise && taps_fit;
    case CK_CONV_POINTWISE: return !shape->depthwise && pointwise && taps_fit;
    case CK_CONV_WINOGRAD:
      return !shape->depthwise && shape->kernel_height == 3 && shape->kernel_width == 3 && shape->stride_height == 1 && shape->stride_width == 1 &&
             shape->pad_top == 1 && shape->pad_left == 1 && shape->out_height == shape->height && shape->out_width == shape->width;
    case CK_CONV_DEPTHWISE:
      return shape->depthwise && shape->channels == shape->filters && taps_fit && shape->kernel_height <= CK_MAXIMUM_DEPTHWISE_KERNEL &&
             shape->pad_top < shape->kernel_height;
    case CK_CONV_STEM: return !shape->depthwise && direction == CK_FORWARD && shape->channels <= 4 && taps_fit;
  }
  return false;
}

/// Weights of Winograd's products, in bytes.
static size_t winograd_bytes(int in_channels, int out_channels) { return (size_t)36 * (size_t)in_channels * (size_t)out_channels * sizeof(float); }

/// True where one image has so few tiles that the weights, four times those of the direct products and too many for the caches, come from memory
/// for little work: 512 channels at 7 × 7.
static bool waits_for_weights(const ck_conv_shape *shape) {
  int tiles = ck_ceil_divide(shape->out_height, 4) * ck_ceil_divide(shape->out_width, 4);
  return tiles <= 4 && winograd_bytes(shape->channels, shape->filters) > ((size_t)8 << 20);
}

ck_conv_algorithm ck_conv_choose(const ck_conv_shape *shape, ck_direction direction, bool exact, bool single_image) {
  if (ck_conv_supports(shape, direction, CK_CONV_DEPTHWISE)) return CK_CONV_DEPTHWISE;
  if (ck_conv_supports(shape, direction, CK_CONV_STEM)) return CK_CONV_STEM;
  // Tiles of 4 × 4 that are mostly outside of a very small picture cost more than the four-fold saving of the products.
  bool tiles_are_used = shape->height > 2 && shape->width > 2;
  bool waits = single_image && waits_for_weights(shape);
  if (!exact && tiles_are_used && !waits && ck_conv_supports(shape, direction, CK_CONV_WINOGRAD)) return CK_CONV_WINOGRAD;
  if (ck_conv_supports(shape, direction, CK_CONV_POINTWISE)) return CK_CONV_POINTWISE;
  return CK_CONV_DIRECT;
}

/// Tiles that share one pass over the weights. Small weights stay in the L2 cache, where more tiles only push them out; larger ones come from
/// the L3 cache or from memory, which workers (and other programs) share. Where the L2 cache is large and the L3 cache behind it slow (Xeon),
/// 64 tiles pay from 128 channels on, until their own 36 matrices are four times the L2 cache; where it is small (512 KiB), weights of 256
/// channels do not stay in it either way, and 64 tiles share them. Measured on 16 … 640 channels, against 8, 16,
/// 28, 32, 42, 64 and 128 tiles: docs/performance.md has how far the choice is behind the best of them on each processor.
static int choose_tile_block(const ck_conv_geometry *geometry) {
  size_t weight_bytes = winograd_bytes(geometry->in_channels, geometry->out_channels), mebibyte = 1 << 20;
  long cache = ck_level2_cache_bytes();
  bool is_small = cache > 0 && cache < 1 << 20;
  if (cache >= 2 << 20) return weight_bytes < mebibyte ? 16 : weight_bytes < 24 * mebibyte ? 64 : 32;
  if (weight_bytes < 4 * mebibyte) return 16;
  return weight_bytes < 12 * mebibyte && !is_small ? 32 : 64;
}

ck_conv ck_conv_make(const ck_conv_shape *shape, ck_direction direction, ck_conv_algorithm algorithm) {
  ck_conv conv = {.shape = *shape, .direction = direction, .algorithm = algorithm};
  if (algorithm == CK_CONV_WINOGRAD) {
    ck_conv_geometry geometry = ck_geometry(&conv);
    conv.tile_block = choose_tile_block(&geometry);
  }
  return conv;
}

double ck_conv_flops(const ck_conv *conv) {
  const ck_conv_shape *s = &conv->shape;
  double inputs = s->depthwise ? 1 : s->channels;
  return 2.0 * inputs * s->filters * s->kernel_height * s->kernel_width * s->out_height * s->out_width;
}

size_t ck_conv_packed_count(const ck_conv *conv) {
  ck_conv_geometry g = ck_geometry(conv);
  size_t area = (size_t)g.kernel_area;
  switch (conv->algorithm) {
    case CK_CONV_WINOGRAD: return 36 * (size_t)g.out_blocks * (size_t)g.in_blocks * CK_LANES * CK_LANES;
    case CK_CONV_DEPTHWISE: return (size_t)g.out_blocks * area * CK_LANES;
    case CK_CONV_STEM: return (size_t)g.out_blocks * (size_t)g.in_channels * area * CK_LANES;
    default: return (size_t)g.out_blocks * (size_t)g.in_blocks * area * CK_LANES * CK_LANES;
  }
}

size_t ck_conv_scratch_bytes(const ck_conv *conv) {
  ck_conv_geometry g = ck_geometry(conv);
  size_t vector = CK_LANES * sizeof(float), totals = (size_t)g.out_blocks * 2 * CK_LANES * sizeof(double) * 4;
  size_t plane = ck_packed_positions(&g) * vector, row = (size_t)g.in_width * vector;
  switch (conv->algorithm) {
    case CK_CONV_WINOGRAD: {
      size_t images = (size_t)ck_winograd_images(conv, &g);
      size_t matrices = 36 * (ck_winograd_stride(g.in_blocks, conv->tile_block) + ck_winograd_stride(g.out_blocks, conv->tile_block));
      size_t ring = ck_winograd_ring_floats(conv, &g) * sizeof(float);
      return images * ((size_t)g.in_blocks * ring + totals) + matrices * sizeof(float) + totals;
    }
    case CK_CONV_POINTWISE:
      if (conv->direction == CK_FORWARD || conv->shape.stride_height * conv->shape.stride_width == 1)
        return (size_t)g.in_blocks * (size_t)ck_pointwise_chunk(&g) * vector + totals + row;
      return (size_t)g.in_blocks * plane + row;
    case CK_CONV_DEPTHWISE: {
      size_t ring = (size_t)ck_minimum(g.packed_rows, conv->shape.kernel_height + conv->shape.pad_top + 2);
      return ring * plane / (size_t)g.packed_rows + row;
    }
    case CK_CONV_STEM: return ck_round_up((size_t)g.in_channels * ck_packed_positions(&g) * sizeof(float), 64) + totals + 64;
    default: return (size_t)g.in_blocks * plane + row;
  }
}

ck_conv_geometry ck_geometry(const ck_conv *conv) {
  const ck_conv_shape *s = &conv->shape;
  ck_conv_geometry g = {.kernel_area = s->kernel_height * s->kernel_width};
  if (conv->direction == CK_FORWARD) {
    g.in_channels = s->channels, g.in_height = s->height, g.in_width = s->width;
    g.out_channels = s->filters, g.out_height = s->out_height, g.out_width = s->out_width;
    g.border_top = s->pad_top, g.border_left = s->pad_left;
    g.row_step = s->stride_height, g.column_phases = s->stride_width;
    g.phase_stride_rows = g.phase_stride_columns = 1;
    g.packed_rows = (s->out_height - 1) * s->stride_height + s->kernel_height;
    g.packed_columns = ck_ceil_divide((s->out_width - 1) * s->stride_width + s->kernel_width, s->stride_width);
  } else {
    g.in_channels = s->filters, g.in_height = s->out_height, g.in_width = s->out_width;
    g.out_channels = s->channels, g.out_height = s->height, g.out_width = s->width;
    g.row_step = g.column_phases = 1;
    g.phase_stride_rows = s->stride_height, g.phase_stride_columns = s->stride_width;
    // Kernel row r takes result row y to gradient row (y + pad − r) / stride: as far as (kernel − 1 − pad) / stride above the first
    // and (height − 1 + pad) / stride below.
    g.border_top = ck_maximum(0, ck_ceil_divide(s->kernel_height - 1 - s->pad_top, s->stride_height));
    g.border_left = ck_maximum(0, ck_ceil_divide(s->kernel_width - 1 - s->pad_left, s->stride_width));
    int last_row = (s->height - 1 + s->pad_top) / s->stride_height, last_column = (s->width - 1 + s->pad_left) / s->stride_width;
    g.packed_rows = g.border_top + ck_maximum(last_row + 1, s->out_height);
    g.packed_columns = g.border_left + ck_maximum(last_column + 1, s->out_width);
  }
  if (conv->algorithm == CK_CONV_WINOGRAD) {
    g.packed_rows = ck_ceil_divide(g.out_height, 4) * 4 + 2;
    g.packed_columns = ck_ceil_divide(g.out_width, 4) * 4 + 2;
    g.border_top = g.border_left = 1;
  }
  g.in_blocks = ck_blocks(g.in_channels), g.out_blocks = ck_blocks(g.out_channels);
  return g;
}

int ck_phase_taps(const ck_conv *conv, const ck_conv_geometry *g, int row, int column, ck_tap taps[CK_MAXIMUM_TAPS]) {
  const ck_conv_shape *s = &conv->shape;
  int count = 0;
  for (int i = 0; i < s->kernel_height; ++i) {
    for (int j = 0; j < s->kernel_width; ++j) {
      ck_tap tap = {.weight = i * s->kernel_width + j};
      if (conv->direction == CK_FORWARD) {
        tap.row = i, tap.column = j / s->stride_width, tap.column_phase = j % s->stride_width;
      } else {
        int shifted_row = row + s->pad_top - i, shifted_column = column + s->pad_left - j;
        if (shifted_row % s->stride_height != 0 || shifted_column % s->stride_width != 0) continue;
        tap.row = g->border_top + shifted_row / s->stride_height;
        tap.column = g->border_left + shifted_column / s->stride_width;
      }
      taps[count++] = tap;
    }
  }
  return count;
}
