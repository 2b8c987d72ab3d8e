// The geometry of one convolution in one direction, as its kernels see it.
//
// Both directions are the same computation: results of a phase at (row, column) are sums over a list of taps into a padded copy of the
// input. Forward has one phase; backward data with stride s has s × s phases of interleaved results, each with the taps that reach it
// (some have none: their results are 0, and still go through the epilogue). Forward with stride s deals the columns of the padded copy
// out by their remainder modulo s, so that neighbouring results always read neighbouring positions and offsets are constants in the kernels.
#ifndef CK_CONV_GEOMETRY_H
#define CK_CONV_GEOMETRY_H
#include "kernel_table.h"

/// Bounds of arrays on the stack; larger kernels and strides are not supported.
enum {
  CK_MAXIMUM_TAPS = 1024,
  CK_MAXIMUM_STRIDE = 32,
  CK_MAXIMUM_DEPTHWISE_KERNEL = 31,
  CK_MAXIMUM_DEPTHWISE_ROWS = 2 * CK_MAXIMUM_DEPTHWISE_KERNEL + 2,  // rows that taps span backward: the kernel and its padding
};

typedef struct {
  int row, column, column_phase;  // in the padded copy, relative to the first position of a result
  int weight;                     // kernel_row · kernel_width + kernel_column
} ck_tap;

typedef struct {
  int in_channels, out_channels, in_blocks, out_blocks;
  int in_height, in_width, out_height, out_width;
  // Padded copy of one channel block: [packed_rows][column_phases][packed_columns] positions.
  int packed_rows, packed_columns, column_phases, border_top, border_left;
  int row_step;                                 // padded rows from one row of results (of a phase) to the next
  int phase_stride_rows, phase_stride_columns;  // results of a phase are that far apart
  int kernel_area;                              // taps of the whole kernel
} ck_conv_geometry;

ck_conv_geometry ck_geometry(const ck_conv *conv);
/// The taps of the phase with first result (row, column); returns their number.
int ck_phase_taps(const ck_conv *conv, const ck_conv_geometry *geometry, int row, int column, ck_tap taps[CK_MAXIMUM_TAPS]);

static inline size_t ck_packed_positions(const ck_conv_geometry *g) {
  return (size_t)g->packed_rows * (size_t)g->column_phases * (size_t)g->packed_columns;
}

// Winograd: images whose tiles go through the products together, and the distances between the 36 matrices.
static inline int ck_winograd_tiles(const ck_conv_geometry *g) { return ck_ceil_divide(g->out_height, 4) * ck_ceil_divide(g->out_width, 4); }
static inline int ck_winograd_images(const ck_conv *conv, const ck_conv_geometry *g) {
  return ck_maximum(1, conv->tile_block / ck_winograd_tiles(g));
}
/// One vector of padding keeps the 36 streams out of the same cache sets when a matrix is a multiple of 4 KiB.
static inline size_t ck_winograd_stride(int blocks, int tile_block) { return ((size_t)blocks * (size_t)tile_block + 1) * CK_LANES; }

/// Rows of the padded copy that Winograd keeps at a time: those of a block of tiles, or all where a block has whole images.
static inline int ck_winograd_ring_rows(const ck_conv *conv, const ck_conv_geometry *g) {
  int across = ck_ceil_divide(g->out_width, 4);
  // A block that does not begin with a row of tiles can reach into one more.
  int rows_of_tiles = ck_ceil_divide(conv->tile_block, across) + (conv->tile_block % across == 0 ? 0 : 1);
  return ck_minimum(g->packed_rows, 4 * rows_of_tiles + 2);
}
static inline size_t ck_winograd_ring_floats(const ck_conv *conv, const ck_conv_geometry *g) {
  return (size_t)ck_winograd_ring_rows(conv, g) * (size_t)g->packed_columns * CK_LANES;
}
/// True where the products of some tiles replace their inputs: each of the kernels' pieces reads all input channels before it writes all output channels.
static inline bool ck_winograd_in_place(const ck_conv_geometry *g) { return g->in_blocks == 1 && g->out_blocks == 1; }

/// Pointwise: positions that are packed together. Their input takes about 128 KiB of the L2 cache, within limits that keep whole images of
/// 7 × 7 together and the sums' regions small.
static inline int ck_pointwise_chunk(const ck_conv_geometry *g) {
  int positions = g->out_height * g->out_width;
  int limit = ck_minimum(448, ck_maximum(56, 128 * 1024 / (CK_LANES * (int)sizeof(float)) / g->in_blocks));
  int chunks = ck_ceil_divide(positions, limit);
  return (int)ck_round_up((size_t)ck_ceil_divide(positions, chunks), 14);
}

#endif
