// Direct convolution of any kernel, stride and padding, in both directions: per image, per pair of output blocks, row by row.

/// Taps of all phases as offsets into the padded copy; weights lie in the order of the taps of a phase.
static void prepare_taps(const ck_conv *conv, const ck_conv_geometry *g, int position_words, tap_offset *offsets, int *phase_taps) {
  ck_tap taps[CK_MAXIMUM_TAPS];
  for (int row = 0; row < g->phase_stride_rows; ++row) {
    for (int column = 0; column < g->phase_stride_columns; ++column) {
      int count = ck_phase_taps(conv, g, row, column, taps);
      *phase_taps++ = count;
      for (int t = 0; t < count; ++t) {
        size_t position = ((size_t)taps[t].row * (size_t)g->column_phases + (size_t)taps[t].column_phase) * (size_t)g->packed_columns;
        *offsets++ = (tap_offset){(position + (size_t)taps[t].column) * (size_t)position_words, (size_t)t * CK_LANES * CK_LANES};
      }
    }
  }
}

/// All results of `blocks` output blocks of one image.
static void direct_blocks(const conv_job *job, product_source *source, const float *packed_image, size_t image, int block, int blocks) {
  const ck_conv_geometry *g = &job->geometry;
  size_t words = (size_t)job->position_words, row_words = (size_t)g->column_phases * (size_t)g->packed_columns * words;
  size_t step = (size_t)g->phase_stride_columns * CK_LANES;
  product_target target;
  memset(&target.totals, 0, sizeof target.totals);
  for (int b = 0; b < blocks; ++b) {
    target.epilogue[b] =
        epilogue_block(job->epilogue, image, block + b, g->out_blocks, (size_t)g->out_height * (size_t)g->out_width);
    clear_region(&target.sums[b]);
  }
  const tap_offset *taps = job->taps;
  const int *phase_taps = job->phase_taps;
  int pending = 0;
  source->weights = job->packed + (size_t)block * source->weights_per_output_block;
  for (int first_row = 0; first_row < g->phase_stride_rows; ++first_row) {
    for (int first_column = 0; first_column < g->phase_stride_columns; ++first_column) {
      source->taps = taps;
      source->tap_count = *phase_taps++;
      source->weights_per_input_block = (size_t)source->tap_count * CK_LANES * CK_LANES;
      taps += source->tap_count;
      int columns = ck_ceil_divide(g->out_width - first_column, g->phase_stride_columns);
      for (int y = first_row, i = 0; y < g->out_height; y += g->phase_stride_rows, ++i) {
        size_t offset = ((size_t)y * (size_t)g->out_width + (size_t)first_column) * CK_LANES;
        for (int x = 0; x < columns;) {
          int piece = choose_piece(columns - x);
          source->input = packed_image + (size_t)(i * g->row_step) * row_words + (size_t)x * words;
          piece_of(job, blocks, piece)(source, &target, offset + (size_t)x * step, step);
          x += piece_sizes[piece];
        }
        pending += columns;
        if (pending >= REGION_POSITIONS) {
          for (int b = 0; b < blocks; ++b) flush_region(&target.epilogue[b], &target.sums[b], &target.totals[b]);
          pending = 0;
        }
      }
      source->weights += (size_t)g->in_blocks * source->weights_per_input_block;
    }
  }
  for (int b = 0; b < blocks; ++b) {
    flush_region(&target.epilogue[b], &target.sums[b], &target.totals[b]);
    write_totals(job->epilogue, image, block + b, g->out_blocks, &target.totals[b]);
  }
}

static void direct_unit(void *context, int unit, int worker) {
  const conv_job *job = context;
  const ck_conv_geometry *g = &job->geometry;
  size_t image = (size_t)(unit / job->parts);
  int part = unit % job->parts;
  float *buffer = ck_pool_scratch(job->pool, worker);
  size_t plane = ck_packed_positions(g) * CK_LANES;
  for (int block = 0; block < g->in_blocks; ++block) {
    pack_block(job->operand, image, block, g, part == 0, buffer + (size_t)block * plane, buffer + (size_t)g->in_blocks * plane);
    round_packed(job, buffer + (size_t)block * plane, plane);
  }
  product_source source = {.input_block_stride = plane,
                           .input_channels = g->in_channels,
                           .weights_per_output_block = (size_t)g->in_blocks * (size_t)g->kernel_area * CK_LANES * CK_LANES};
  int begin = part_begin(g->out_blocks, job->parts, part), end = part_begin(g->out_blocks, job->parts, part + 1);
  size_t positions = (size_t)g->in_height * (size_t)g->in_width;
  upcoming_operand next =
      upcoming(job->operand, image + (size_t)ck_pool_threads(job->pool), (size_t)job->n, g->in_blocks, positions, 0, positions);
  // Phases of a strided backward share the taps: on average, each result has area / (stride · stride) of them.
  int pieces = ck_ceil_divide(end - begin, PIECE_BLOCKS) * g->out_height * ck_ceil_divide(g->out_width, piece_sizes[0]);
  int taps = ck_maximum(1, g->kernel_area / (g->phase_stride_rows * g->phase_stride_columns));
  source.next = &next;
  source.prefetched_lines = lines_per_step(&next, pieces * g->in_blocks * taps);
  for (int block = begin; block < end;) {
    int blocks = ck_minimum(PIECE_BLOCKS, end - block);
    direct_blocks(job, &source, buffer, image, block, blocks);
    block += blocks;
  }
}

static void run_direct(conv_job *job) {
  const ck_conv_geometry *g = &job->geometry;
  tap_offset taps[CK_MAXIMUM_TAPS];
  int phase_taps[CK_MAXIMUM_STRIDE * CK_MAXIMUM_STRIDE];
  prepare_taps(job->conv, g, job->position_words, taps, phase_taps);
  job->taps = taps;
  job->phase_taps = phase_taps;
  job->parts = ck_parts(job->n, ck_ceil_divide(g->out_blocks, PIECE_BLOCKS), ck_pool_threads(job->pool));
  ck_pool_run(job->pool, job->n * job->parts, direct_unit, job);
}
