// Winograd convolution F(4×4, 3×3), both directions: 36 products of tiles × channels in place of 144 multiplications per tile and channel.
//
// A unit is one image or, where an image has fewer tiles than a block, a few images (and, for very small batches, a range of output
// blocks). `tile_block` tiles at a time have their rows packed into a ring, are transformed, multiplied and transformed back into the epilogue.
// What a block of tiles needs, its weights aside, is small: with few channels it stays in the L1 cache.
// Region sums are carried from one block of tiles to the next, so that results do not depend on how tiles fall into blocks.

enum { MAXIMUM_TILE_BLOCK = 128 };

typedef struct {
  size_t column;       // floats from the start of a packed row to the tile's first position
  size_t offset;       // of its first result in the output plane
  int image, row;      // inside the group; of tiles inside the image
  int rows, columns;   // of results that lie inside the picture
  bool flush;          // the region of sums ends here
} winograd_tile;

typedef struct {
  float *packed, *transformed, *products;
  block_totals *totals;  // [image of the group][output block]
  region_sums *regions;  // [output block]
} winograd_scratch;

static winograd_scratch winograd_divide_scratch(const conv_job *job, float *scratch) {
  const ck_conv_geometry *g = &job->geometry;
  size_t images = (size_t)ck_winograd_images(job->conv, g);
  winograd_scratch result = {.packed = scratch};
  result.transformed = result.packed + images * (size_t)g->in_blocks * ck_winograd_ring_floats(job->conv, g);
  result.products = result.transformed + (ck_winograd_in_place(g) ? 0 : 36 * ck_winograd_stride(g->in_blocks, job->conv->tile_block));
  result.totals = (block_totals *)(result.products + 36 * ck_winograd_stride(g->out_blocks, job->conv->tile_block));
  result.regions = (region_sums *)(result.totals + images * (size_t)g->out_blocks);
  return result;
}

/// Describes tiles first ..< first + count of a group.
static void list_tiles(const ck_conv_geometry *g, int first, int count, winograd_tile *tiles) {
  int across = ck_ceil_divide(g->out_width, 4), down = ck_ceil_divide(g->out_height, 4);
  int rows_per_region = ck_maximum(1, REGION_POSITIONS / (across * 16));
  for (int t = 0; t < count; ++t) {
    int image = (first + t) / (across * down), index = (first + t) % (across * down), y = index / across, x = index % across;
    bool ends_row = x == across - 1;
    tiles[t] = (winograd_tile){
        .column = (size_t)x * 4 * CK_LANES,
        .offset = ((size_t)y * 4 * (size_t)g->out_width + (size_t)x * 4) * CK_LANES,
        .image = image,
        .row = y,
        .rows = ck_minimum(4, g->out_height - y * 4),
        .columns = ck_minimum(4, g->out_width - x * 4),
        .flush = ends_row && ((y + 1) % rows_per_region == 0 || y == down - 1),
    };
  }
}

/// Packs the rows that tiles first ..< first + count read and earlier tiles did not, into the ring of their image.
static void pack_rows_of_tiles(const conv_job *job, size_t first_image, int first, int count, bool keep, float *packed) {
  const ck_conv_geometry *g = &job->geometry;
  int across = ck_ceil_divide(g->out_width, 4), down = ck_ceil_divide(g->out_height, 4), ring_rows = ck_winograd_ring_rows(job->conv, g);
  size_t row_floats = (size_t)g->packed_columns * CK_LANES, ring_floats = ck_winograd_ring_floats(job->conv, g);
  // Rows of tiles, counted through all images of the unit. The first one of an image reads six rows of positions, each further one four more.
  for (int row = ck_ceil_divide(first, across); row <= (first + count - 1) / across; ++row) {
    int image = row / down, y = row % down;
    for (int block = 0; block < g->in_blocks; ++block) {
      block_operand view = operand_block(job->operand, first_image + (size_t)image, block, g->in_blocks,
                                         (size_t)g->in_height * (size_t)g->in_width, keep);
      float *ring = packed + ((size_t)image * (size_t)g->in_blocks + (size_t)block) * ring_floats;
      for (int r = y == 0 ? 0 : y * 4 + 2; r < y * 4 + 6; ++r) pack_row(&view, g, r, ring + (size_t)(r % ring_rows) * row_floats);
    }
  }
}

/// Transforms the inputs of a block of tiles; in between, asks for the lines that its epilogue will touch.
static void winograd_inputs(const conv_job *job, size_t first_image, const winograd_tile *tiles, int count, int begin, int end,
                            const float *packed, float *transformed) {
  const ck_conv_geometry *g = &job->geometry;
  size_t ring_floats = ck_winograd_ring_floats(job->conv, g), row_floats = (size_t)g->packed_columns * CK_LANES;
  int ring_rows = ck_winograd_ring_rows(job->conv, g);
  size_t out_row = (size_t)g->out_width * CK_LANES, positions = (size_t)g->out_height * (size_t)g->out_width;
  size_t stride = ck_winograd_stride(g->in_blocks, job->conv->tile_block);
  const ck_epilogue *epilogue = job->epilogue;
  const float *mask_source = epilogue->mask.activation != CK_ACTIVATION_NONE ? epilogue->mask.source : NULL;
  touched_streams touched = touched_by(epilogue->output, mask_source, epilogue->addend, epilogue->sums.source, epilogue->more_sums.source);
  int outs = end - begin;
  bool results_fit = (size_t)count * (size_t)outs * 16 * CK_LANES * sizeof(float) <= PREFETCH_BYTES;
  for (int block = 0; block < g->in_blocks; ++block) {
    float *target = transformed + (size_t)block * (size_t)job->conv->tile_block * CK_LANES;
    const float *rows[6];
    for (int t = 0; t < count; ++t) {
      if (t == 0 || tiles[t].column == 0) {
        const float *ring = packed + ((size_t)tiles[t].image * (size_t)g->in_blocks + (size_t)block) * ring_floats;
        for (int i = 0; i < 6; ++i) rows[i] = ring + (size_t)((tiles[t].row * 4 + i) % ring_rows) * row_floats;
      }
      transform_input_tile(rows, tiles[t].column, target + (size_t)t * CK_LANES, stride);
      // A few lines after each tile: all at once would only queue up.
      for (int out = begin + outs * block / g->in_blocks; results_fit && out < begin + outs * (block + 1) / g->in_blocks; ++out) {
        size_t base = ((first_image + (size_t)tiles[t].image) * (size_t)g->out_blocks + (size_t)out) * positions * CK_LANES;
        prefetch_touched(&touched, 4, 4, base + tiles[t].offset, out_row, CK_LANES);
      }
    }
  }
}

static void winograd_products(const conv_job *job, const winograd_scratch *scratch, int count, int begin, int end) {
  const ck_conv_geometry *g = &job->geometry;
  size_t tile_block = (size_t)job->conv->tile_block;
  size_t in_stride = ck_winograd_stride(g->in_blocks, job->conv->tile_block), out_stride = ck_winograd_stride(g->out_blocks, job->conv->tile_block);
  size_t weights_per_block = (size_t)g->in_blocks * CK_LANES * CK_LANES;
  raw_part parts[PIECE_BLOCKS][MAXIMUM_TILE_BLOCK];
  int part_counts[PIECE_BLOCKS];
  for (int blocks = 1; blocks <= PIECE_BLOCKS; ++blocks) part_counts[blocks - 1] = divide_raw(count, blocks, parts[blocks - 1]);
  for (size_t matrix = 0; matrix < 36; ++matrix) {
    const float *input = scratch->transformed + matrix * in_stride;
    const float *weights = job->packed + matrix * (size_t)g->out_blocks * weights_per_block;
    float *output = scratch->products + matrix * out_stride;
    for (int block = begin; block < end;) {
      int blocks = ck_minimum(PIECE_BLOCKS, end - block);
      for (const raw_part *part = parts[blocks - 1]; part < parts[blocks - 1] + part_counts[blocks - 1]; ++part)
        part->piece(input + part->first * CK_LANES, tile_block * CK_LANES, g->in_channels, weights + (size_t)block * weights_per_block,
                    weights_per_block, output + ((size_t)block * tile_block + part->first) * CK_LANES, tile_block * CK_LANES);
      block += blocks;
    }
  }
}

static __attribute__((noinline)) void winograd_outputs(const conv_job *job, const winograd_scratch *scratch, size_t first_image,
                                                       const winograd_tile *tiles, int count, int block, upcoming_operand *next,
                                                       int prefetched_lines) {
  const ck_conv_geometry *g = &job->geometry;
  size_t stride = ck_winograd_stride(g->out_blocks, job->conv->tile_block), row_stride = (size_t)g->out_width * CK_LANES;
  size_t positions = (size_t)g->out_height * (size_t)g->out_width;
  const float *source = scratch->products + (size_t)block * (size_t)job->conv->tile_block * CK_LANES;
  region_sums sums = scratch->regions[block];
  block_epilogue epilogue;
  int image = -1;
  for (int t = 0; t < count; ++t, source += CK_LANES) {
    const winograd_tile *tile = &tiles[t];
    if (tile->image != image) {
      image = tile->image;
      epilogue = epilogue_block(job->epilogue, first_image + (size_t)image, block, g->out_blocks, positions);
    }
    prefetch_upcoming(next, prefetched_lines);
    v16 results[16];
    transform_output_tile(source, stride, results);
    if (tile->rows == 4 && tile->columns == 4) {
      for (int i = 0; i < 4; i += TILE_ROWS_TOGETHER)
        epilogue_group(&epilogue, &sums, results + i * 4, TILE_ROWS_TOGETHER, 4, tile->offset + (size_t)i * row_stride, row_stride, CK_LANES);
    } else {
      for (int i = 0; i < tile->rows; ++i)
        epilogue_run(&epilogue, &sums, (const float *)(results + i * 4), tile->columns, tile->offset + (size_t)i * row_stride, CK_LANES);
    }
    if (tile->flush) flush_region(&epilogue, &sums, &scratch->totals[(size_t)image * (size_t)g->out_blocks + (size_t)block]);
  }
  scratch->regions[block] = sums;
}

static void winograd_unit(void *context, int unit, int worker) {
  const conv_job *job = context;
  const ck_conv_geometry *g = &job->geometry;
  int part = unit % job->parts, first_image = unit / job->parts * job->images_per_unit;
  int images = ck_minimum(job->images_per_unit, job->n - first_image);
  int begin = part_begin(g->out_blocks, job->parts, part), end = part_begin(g->out_blocks, job->parts, part + 1);
  winograd_scratch scratch = winograd_divide_scratch(job, ck_pool_scratch(job->pool, worker));
  memset(scratch.totals, 0, (size_t)images * (size_t)g->out_blocks * sizeof *scratch.totals);
  for (int block = begin; block < end; ++block) clear_region(&scratch.regions[block]);

  int total = images * ck_winograd_tiles(g), tile_block = job->conv->tile_block;
  size_t positions = (size_t)g->in_height * (size_t)g->in_width;
  // Images of a group follow each other in memory: their planes are one long row of blocks.
  upcoming_operand next = upcoming(job->operand, (size_t)(first_image + job->images_per_unit * ck_pool_threads(job->pool)), (size_t)job->n,
                                   g->in_blocks, positions, 0, positions);
  if (next.blocks * images * next.stream_count * (int)positions * CK_LANES * (int)sizeof(float) <= PREFETCH_BYTES) next.blocks *= images;
  int prefetched_lines = lines_per_step(&next, total * (end - begin));
  for (int first = 0; first < total; first += tile_block) {
    winograd_tile tiles[MAXIMUM_TILE_BLOCK];
    int count = ck_minimum(tile_block, total - first);
    list_tiles(g, first, count, tiles);
    pack_rows_of_tiles(job, (size_t)first_image, first, count, part == 0, scratch.packed);
    winograd_inputs(job, (size_t)first_image, tiles, count, begin, end, scratch.packed, scratch.transformed);
    winograd_products(job, &scratch, count, begin, end);
    for (int block = begin; block < end; ++block)
      winograd_outputs(job, &scratch, (size_t)first_image, tiles, count, block, &next, prefetched_lines);
  }
  for (int image = 0; image < images; ++image)
    for (int block = begin; block < end; ++block)
      write_totals(job->epilogue, (size_t)(first_image + image), block, g->out_blocks,
                   &scratch.totals[(size_t)image * (size_t)g->out_blocks + (size_t)block]);
}

static void run_winograd(conv_job *job) {
  const ck_conv_geometry *g = &job->geometry;
  int threads = ck_pool_threads(job->pool);
  // Groups smaller than a block of tiles pay for more weight traffic, but an idle worker costs more.
  job->images_per_unit = ck_maximum(1, ck_minimum(ck_winograd_images(job->conv, g), ck_ceil_divide(job->n, threads)));
  int groups = ck_ceil_divide(job->n, job->images_per_unit);
  job->parts = ck_parts(groups, ck_ceil_divide(g->out_blocks, PIECE_BLOCKS), threads);
  ck_pool_run(job->pool, groups * job->parts, winograd_unit, job);
}
