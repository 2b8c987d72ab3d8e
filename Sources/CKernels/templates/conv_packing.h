// Packing: evaluates an operand's image into a padded copy that stays in the L2 cache while its convolution reads it.

/// Evaluates what the padded copy leaves out (positions that no result reads), for operand.store alone.
static void keep_uncovered(const block_operand *operand, const ck_conv_geometry *g, float *row_buffer) {
  int covered_rows = ck_minimum(g->in_height, g->packed_rows - g->border_top);
  int covered_columns = ck_minimum(g->in_width, g->packed_columns * g->column_phases - g->border_left);
  for (int y = 0; y < g->in_height; ++y) {
    int from = y < covered_rows ? ck_maximum(0, covered_columns) : 0;
    evaluate_run(operand, ((size_t)y * (size_t)g->in_width + (size_t)from) * CK_LANES, CK_LANES, g->in_width - from, row_buffer);
  }
}

/// One channel block of one image → `packed`, zeros around it. `row_buffer` holds one row of the input.
static void pack_block(const ck_operand *operand, size_t image, int block, const ck_conv_geometry *g, bool keep, float *packed,
                       float *row_buffer) {
  size_t positions = (size_t)g->in_height * (size_t)g->in_width, row_floats = (size_t)g->column_phases * (size_t)g->packed_columns * CK_LANES;
  block_operand view = operand_block(operand, image, block, g->in_blocks, positions, keep);
  for (int r = 0; r < g->packed_rows; ++r, packed += row_floats) {
    int y = r - g->border_top;
    if (y < 0 || y >= g->in_height) {
      memset(packed, 0, row_floats * sizeof(float));
      continue;
    }
    for (int phase = 0; phase < g->column_phases; ++phase) {
      // Column q of the phase is input column q · phases + phase − border_left.
      float *target = packed + (size_t)phase * (size_t)g->packed_columns * CK_LANES;
      int first = ck_minimum(g->packed_columns, ck_maximum(0, ck_ceil_divide(g->border_left - phase + g->column_phases * 64, g->column_phases) - 64));
      int x = first * g->column_phases + phase - g->border_left;
      int count = x < g->in_width ? ck_ceil_divide(g->in_width - x, g->column_phases) : 0;
      count = ck_minimum(count, g->packed_columns - first);
      memset(target, 0, (size_t)first * CK_LANES * sizeof(float));
      if (count > 0)
        evaluate_run(&view, ((size_t)y * (size_t)g->in_width + (size_t)x) * CK_LANES, (size_t)g->column_phases * CK_LANES, count,
                     target + (size_t)first * CK_LANES);
      else
        count = 0;
      memset(target + (size_t)(first + count) * CK_LANES, 0, (size_t)(g->packed_columns - first - count) * CK_LANES * sizeof(float));
    }
  }
  if (view.store) keep_uncovered(&view, g, row_buffer);
}
