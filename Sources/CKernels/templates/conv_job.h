// A convolution under way: what all its units share.

typedef struct {
  const ck_conv *conv;
  ck_conv_geometry geometry;
  ck_pool *pool;
  const float *packed;
  const ck_operand *operand;
  const ck_epilogue *epilogue;
  int n, parts;            // images, and ranges of output blocks that each is split into
  int images_per_unit;     // Winograd
  const tap_offset *taps;  // direct and stem: all phases, in order
  const int *phase_taps;   // direct: taps of each phase
  const struct depthwise_taps *depthwise;
} conv_job;

/// First block of a part; parts begin at multiples of PIECE_BLOCKS.
static int part_begin(int blocks, int parts, int part) {
  int groups = ck_ceil_divide(blocks, PIECE_BLOCKS);
  return ck_minimum(blocks, groups * part / parts * PIECE_BLOCKS);
}
