// Pointwise (1 × 1) convolution: positions form one long row, packed in chunks that stay in the L2 cache while all weights pass by.
//
// A unit is an image, or where there are fewer images than keep all workers busy one of its chunks; where somebody takes sums, or an image has
// fewer chunks than there are workers, a range of output blocks: each then packs the whole image.

/// Evaluates positions first ..< first + count of the results' grid into [input block][chunk] vectors.
static void pack_positions(const conv_job *job, const block_operand *views, int first, int count, size_t chunk, float *packed) {
  const ck_conv_geometry *g = &job->geometry;
  int rows_stride = job->conv->shape.stride_height, columns_stride = job->conv->shape.stride_width;
  for (int block = 0; block < g->in_blocks; ++block, packed += chunk * CK_LANES) {
    if (rows_stride == 1 && columns_stride == 1 && g->in_width == g->out_width) {
      evaluate_run(&views[block], (size_t)first * CK_LANES, CK_LANES, count, packed);
      continue;
    }
    for (int done = 0; done < count;) {
      int y = (first + done) / g->out_width, x = (first + done) % g->out_width;
      int run = ck_minimum(count - done, g->out_width - x);
      size_t position = (size_t)(y * rows_stride) * (size_t)g->in_width + (size_t)(x * columns_stride);
      evaluate_run(&views[block], position * CK_LANES, (size_t)columns_stride * CK_LANES, run, packed + (size_t)done * CK_LANES);
      done += run;
    }
  }
}

/// What is packed after the chunk that begins at `first`: the next chunk of the image, or the first of the worker's next image.
static upcoming_operand pointwise_upcoming(const conv_job *job, size_t image, int first, int chunk) {
  const ck_conv_geometry *g = &job->geometry;
  int positions = g->out_height * g->out_width;
  first += chunk;
  if (first >= positions) {
    first = 0;
    image += (size_t)ck_pool_threads(job->pool);
  }
  // With strides, the positions in question are spread out: the hardware has to find them.
  if (positions != g->in_height * g->in_width) image = (size_t)job->n;
  return upcoming(job->operand, image, (size_t)job->n, g->in_blocks, (size_t)positions, (size_t)first,
                  (size_t)ck_minimum(chunk, positions - first));
}

static void pointwise_chunk(const conv_job *job, const float *packed, size_t chunk, size_t image, int first, int count, int begin, int end,
                            block_totals *totals) {
  const ck_conv_geometry *g = &job->geometry;
  upcoming_operand next = pointwise_upcoming(job, image, first, (int)chunk);
  int pieces = ck_ceil_divide(end - begin, PIECE_BLOCKS) * ck_ceil_divide(count, piece_sizes[0]);
  static const tap_offset only_tap = {0, 0};
  product_source source = {.input_block_stride = chunk * CK_LANES,
                           .input_channels = g->in_channels,
                           .taps = &only_tap,
                           .tap_count = 1,
                           .weights_per_input_block = CK_LANES * CK_LANES,
                           .weights_per_output_block = (size_t)g->in_blocks * CK_LANES * CK_LANES,
                           .next = &next,
                           .prefetched_lines = lines_per_step(&next, pieces * g->in_blocks)};
  for (int block = begin; block < end;) {
    int blocks = ck_minimum(PIECE_BLOCKS, end - block);
    product_target target;
    for (int b = 0; b < blocks; ++b) {
      target.epilogue[b] = epilogue_block(job->epilogue, image, block + b, g->out_blocks, (size_t)g->out_height * (size_t)g->out_width);
      clear_region(&target.sums[b]);
    }
    source.weights = job->packed + (size_t)block * source.weights_per_output_block;
    for (int done = 0, pending = 0; done < count;) {
      int piece = choose_piece(count - done);
      source.input = packed + (size_t)(done * job->position_words);
      piece_of(job, blocks, piece)(&source, &target, (size_t)(first + done) * CK_LANES, CK_LANES);
      done += piece_sizes[piece];
      pending += piece_sizes[piece];
      if (pending >= REGION_POSITIONS || done == count) {
        for (int b = 0; b < blocks; ++b) flush_region(&target.epilogue[b], &target.sums[b], &totals[block + b]);
        pending = 0;
      }
    }
    block += blocks;
  }
}

static void pointwise_unit(void *context, int unit, int worker) {
  const conv_job *job = context;
  const ck_conv_geometry *g = &job->geometry;
  size_t image = (size_t)(unit / job->parts / job->chunks), chunk = (size_t)job->chunk;
  int part = unit % job->parts, positions = g->out_height * g->out_width;
  int own = unit / job->parts % job->chunks, first = own * (int)chunk, last = job->chunks > 1 ? ck_minimum(positions, first + (int)chunk) : positions;
  int begin = part_begin(g->out_blocks, job->parts, part), end = part_begin(g->out_blocks, job->parts, part + 1);
  bool every_position_read = positions == g->in_height * g->in_width, keep = part == 0;
  float *packed = ck_pool_scratch(job->pool, worker);
  block_totals *totals = (block_totals *)(packed + (size_t)g->in_blocks * chunk * CK_LANES);
  memset(totals, 0, (size_t)g->out_blocks * sizeof *totals);
  block_operand views[g->in_blocks];
  for (int block = 0; block < g->in_blocks; ++block) {
    size_t plane = (size_t)g->in_height * (size_t)g->in_width;
    views[block] = operand_block(job->operand, image, block, g->in_blocks, plane, keep);
    if (keeps_values(&views[block]) && !every_position_read) {
      // A stride skips positions that operand.store and signs still want: they are all evaluated once, apart from the product.
      for (int y = 0; own == 0 && y < g->in_height; ++y)
        evaluate_run(&views[block], (size_t)y * (size_t)g->in_width * CK_LANES, CK_LANES, g->in_width, (float *)(totals + g->out_blocks));
      views[block] = operand_block(job->operand, image, block, g->in_blocks, plane, false);
    }
  }
  for (; first < last; first += (int)chunk) {
    int count = ck_minimum((int)chunk, last - first);
    pack_positions(job, views, first, count, chunk, packed);
    for (int block = 0; block < g->in_blocks; ++block)
      round_packed(job, packed + (size_t)block * chunk * CK_LANES, (size_t)count * CK_LANES);
    pointwise_chunk(job, packed, chunk, image, first, count, begin, end, totals);
  }
  for (int block = begin; block < end; ++block) write_totals(job->epilogue, image, block, g->out_blocks, &totals[block]);
}

static void run_pointwise(conv_job *job) {
  const ck_conv_geometry *g = &job->geometry;
  bool strided = job->conv->shape.stride_height * job->conv->shape.stride_width != 1;
  if (job->conv->direction == CK_BACKWARD_DATA && strided) {
    run_direct(job);
    return;
  }
  int threads = ck_pool_threads(job->pool), positions = g->out_height * g->out_width;
  job->parts = ck_parts(job->n, ck_ceil_divide(g->out_blocks, PIECE_BLOCKS), threads);
  job->chunk = ck_pointwise_chunk(g);
  job->chunks = 1;
  int chunks = (int)ck_round_up((size_t)ck_ceil_divide(positions, job->chunk), (size_t)threads);
  bool takes_sums = job->epilogue->sums.sums || job->epilogue->more_sums.sums;
  int even_chunk = (int)ck_round_up((size_t)ck_ceil_divide(positions, chunks), 14);
  if (job->parts > 1 && !takes_sums && ck_ceil_divide(positions, even_chunk) >= threads) {
    job->parts = 1;
    job->chunk = even_chunk;
    job->chunks = ck_ceil_divide(positions, even_chunk);
  }
  ck_pool_run(job->pool, job->n * job->chunks * job->parts, pointwise_unit, job);
}
