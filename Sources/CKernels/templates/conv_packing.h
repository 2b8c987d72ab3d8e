// Packing: evaluates an operand's image into a padded copy that stays in the L2 cache while its convolution reads it.

/// Evaluates what the padded copy leaves out (positions that no result reads), for operand.store and signs alone.
static void keep_uncovered(const block_operand *operand, const ck_conv_geometry *g, float *row_buffer) {
  int covered_rows = ck_minimum(g->in_height, g->packed_rows - g->border_top);
  int covered_columns = ck_minimum(g->in_width, g->packed_columns * g->column_phases - g->border_left);
  for (int y = 0; y < g->in_height; ++y) {
    int from = y < covered_rows ? ck_maximum(0, covered_columns) : 0;
    evaluate_run(operand, ((size_t)y * (size_t)g->in_width + (size_t)from) * CK_LANES, CK_LANES, g->in_width - from, row_buffer);
  }
}

/// Row `r` of the padded copy → `packed`, with its zeros.
static void pack_row(const block_operand *view, const ck_conv_geometry *g, int r, float *packed) {
  int y = r - g->border_top, phases = g->column_phases;
  if (y < 0 || y >= g->in_height) {
    memset(packed, 0, (size_t)phases * (size_t)g->packed_columns * CK_LANES * sizeof(float));
    return;
  }
  for (int phase = 0; phase < phases; ++phase, packed += (size_t)g->packed_columns * CK_LANES) {
    // Column q of the phase is input column q · phases + phase − border_left: zeros, then `count` values, then zeros.
    int zeros = phase < g->border_left ? ck_minimum(g->packed_columns, ck_ceil_divide(g->border_left - phase, phases)) : 0;
    int x = zeros * phases + phase - g->border_left;
    int count = x < g->in_width ? ck_minimum(ck_ceil_divide(g->in_width - x, phases), g->packed_columns - zeros) : 0;
    memset(packed, 0, (size_t)zeros * CK_LANES * sizeof(float));
    evaluate_run(view, ((size_t)y * (size_t)g->in_width + (size_t)x) * CK_LANES, (size_t)phases * CK_LANES, count,
                 packed + (size_t)zeros * CK_LANES);
    memset(packed + (size_t)(zeros + count) * CK_LANES, 0, (size_t)(g->packed_columns - zeros - count) * CK_LANES * sizeof(float));
  }
}

/// One channel block of one image → `packed`, zeros around it. `row_buffer` holds one row of the input.
static void pack_block(const ck_operand *operand, size_t image, int block, const ck_conv_geometry *g, bool keep, float *packed,
                       float *row_buffer) {
  size_t positions = (size_t)g->in_height * (size_t)g->in_width, row_floats = (size_t)g->column_phases * (size_t)g->packed_columns * CK_LANES;
  block_operand view = operand_block(operand, image, block, g->in_blocks, positions, keep);
  for (int r = 0; r < g->packed_rows; ++r) pack_row(&view, g, r, packed + (size_t)r * row_floats);
  if (keeps_values(&view)) keep_uncovered(&view, g, row_buffer);
}
