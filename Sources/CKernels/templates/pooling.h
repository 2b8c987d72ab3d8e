// Pooling and its gradient: per image and channel block, over a ring of evaluated rows, so that a window's rows are evaluated once.

typedef struct {
  const ck_pool_shape *shape;
  const ck_operand *operand;
  const ck_epilogue *epilogue;
  const float *gradient;
  ck_pool *pool;
  int blocks, parts, ring;
} pooling_job;

/// Rows or columns of a window that lie inside the picture: begin ..< end.
typedef struct {
  int begin, end;
} pooling_span;

INLINE pooling_span pooling_rows(const ck_pool_shape *s, int y) {
  int begin = y * s->stride_height - s->pad_top;
  return (pooling_span){ck_minimum(ck_maximum(begin, 0), s->height), ck_minimum(begin + s->kernel_height, s->height)};
}

INLINE pooling_span pooling_columns(const ck_pool_shape *s, int x) {
  int begin = x * s->stride_width - s->pad_left;
  return (pooling_span){ck_minimum(ck_maximum(begin, 0), s->width), ck_minimum(begin + s->kernel_width, s->width)};
}

INLINE v16 pooling_weight(const ck_pool_shape *s, int rows, int columns) {
  int count = s->count_include_pad ? s->kernel_height * s->kernel_width : rows * columns;
  return splat(1.0f / (float)ck_maximum(1, count));
}

INLINE float *ring_row(const pooling_job *job, float *rows, int y) {
  return rows + (size_t)(y % job->ring) * (size_t)job->shape->width * CK_LANES;
}

/// Finds a window's rows in the ring once for all windows side by side: the remainder costs more than a window's comparisons.
INLINE void find_rows(const pooling_job *job, float *ring, pooling_span rows, float **found) {
  for (int i = rows.begin; i < rows.end; ++i) found[i - rows.begin] = ring_row(job, ring, i);
}

static void pool_maximum(const ck_pool_shape *s, float *const *rows, int row_count, float *results) {
  for (int x = 0; x < s->out_width; ++x) {
    pooling_span columns = pooling_columns(s, x);
    v16 value = splat(-__builtin_inff());
    for (int i = 0; i < row_count; ++i) {
      for (int j = columns.begin; j < columns.end; ++j) {
        v16 v = load(rows[i] + j * CK_LANES);
        value = (value > v) ? value : v;  // a NaN stays
      }
    }
    store(results + x * CK_LANES, value);
  }
}

static void pool_average(const ck_pool_shape *s, float *const *rows, int row_count, float *results) {
  for (int x = 0; x < s->out_width; ++x) {
    pooling_span columns = pooling_columns(s, x);
    v16 value = splat(0);
    for (int i = 0; i < row_count; ++i)
      for (int j = columns.begin; j < columns.end; ++j) value += load(rows[i] + j * CK_LANES);
    store(results + x * CK_LANES, value * pooling_weight(s, row_count, columns.end - columns.begin));
  }
}

static void pooling_block(const pooling_job *job, size_t image, int block, float *rows) {
  const ck_pool_shape *s = job->shape;
  block_operand operand = operand_block(job->operand, image, block, job->blocks, (size_t)s->height * (size_t)s->width, true);
  block_epilogue epilogue = epilogue_block(job->epilogue, image, block, job->blocks, (size_t)s->out_height * (size_t)s->out_width);
  block_totals totals = {0};
  region_sums sums;
  clear_region(&sums);
  float *results = rows + (size_t)job->ring * (size_t)s->width * CK_LANES;
  int evaluated = 0, pending = 0;
  for (int y = 0; y < s->out_height; ++y) {
    pooling_span span = pooling_rows(s, y);
    for (; evaluated < span.end; ++evaluated)
      evaluate_run(&operand, (size_t)evaluated * (size_t)s->width * CK_LANES, CK_LANES, s->width, ring_row(job, rows, evaluated));
    float *window_rows[s->kernel_height];
    find_rows(job, rows, span, window_rows);
    if (s->maximum) {
      pool_maximum(s, window_rows, span.end - span.begin, results);
    } else {
      pool_average(s, window_rows, span.end - span.begin, results);
    }
    epilogue_run(&epilogue, &sums, results, s->out_width, (size_t)y * (size_t)s->out_width * CK_LANES, CK_LANES);
    pending += s->out_width;
    if (pending >= REGION_POSITIONS) {
      flush_region(&epilogue, &sums, &totals);
      pending = 0;
    }
  }
  // Rows below the last window are evaluated for what operands keep alone.
  for (; keeps_values(&operand) && evaluated < s->height; ++evaluated)
    evaluate_run(&operand, (size_t)evaluated * (size_t)s->width * CK_LANES, CK_LANES, s->width, ring_row(job, rows, evaluated));
  flush_region(&epilogue, &sums, &totals);
  write_totals(job->epilogue, image, block, job->blocks, &totals);
}

/// Adds the gradients of one row of maxima to where they were found: the first of equals, in row-major order.
static void spread_maximum(const ck_pool_shape *s, float *const *rows, float *const *targets, int row_count, const float *gradient) {
  for (int x = 0; x < s->out_width; ++x) {
    pooling_span columns = pooling_columns(s, x);
    if (row_count <= 0 || columns.begin >= columns.end) continue;
    v16 best = load(rows[0] + columns.begin * CK_LANES), g = load(gradient + x * CK_LANES);
    i16 where = (i16)(0);
    for (int i = 0, index = 0; i < row_count; ++i) {
      for (int j = columns.begin; j < columns.end; ++j, ++index) {
        v16 v = load(rows[i] + j * CK_LANES);
        where = (v > best) ? (i16)(index) : where;
        best = (v > best) ? v : best;
      }
    }
    for (int i = 0, index = 0; i < row_count; ++i) {
      for (int j = columns.begin; j < columns.end; ++j, ++index) {
        float *target = targets[i] + j * CK_LANES;
        store(target, load(target) + ((where == (i16)(index)) ? g : splat(0)));
      }
    }
  }
}

static void spread_average(const ck_pool_shape *s, float *const *targets, int row_count, const float *gradient) {
  for (int x = 0; x < s->out_width; ++x) {
    pooling_span columns = pooling_columns(s, x);
    v16 g = load(gradient + x * CK_LANES) * pooling_weight(s, row_count, columns.end - columns.begin);
    for (int i = 0; i < row_count; ++i) {
      for (int j = columns.begin; j < columns.end; ++j) {
        float *target = targets[i] + j * CK_LANES;
        store(target, load(target) + g);
      }
    }
  }
}

static void pooling_backward_block(const pooling_job *job, size_t image, int block, float *rows) {
  const ck_pool_shape *s = job->shape;
  size_t positions = (size_t)s->height * (size_t)s->width, out_positions = (size_t)s->out_height * (size_t)s->out_width;
  size_t row_floats = (size_t)s->width * CK_LANES;
  block_operand operand = {0};
  if (s->maximum) operand = operand_block(job->operand, image, block, job->blocks, positions, false);
  block_epilogue epilogue = epilogue_block(job->epilogue, image, block, job->blocks, positions);
  block_totals totals = {0};
  region_sums sums;
  clear_region(&sums);
  const float *gradient = job->gradient + (image * (size_t)job->blocks + (size_t)block) * out_positions * CK_LANES;
  float *gradients = rows + (size_t)job->ring * row_floats;
  int begun = 0, pending = 0;
  for (int y = 0, finished = 0; y < s->out_height; ++y) {
    // The last row of windows also opens the rows below it, the first ones finish the rows above the next window.
    pooling_span span = pooling_rows(s, y);
    int next_top = y + 1 < s->out_height ? pooling_rows(s, y + 1).begin : s->height;
    for (; begun < span.end; ++begun) {
      if (s->maximum) evaluate_run(&operand, (size_t)begun * row_floats, CK_LANES, s->width, ring_row(job, rows, begun));
      memset(ring_row(job, gradients, begun), 0, row_floats * sizeof(float));
    }
    float *window_rows[s->kernel_height], *window_gradients[s->kernel_height];
    const float *row_gradient = gradient + (size_t)y * (size_t)s->out_width * CK_LANES;
    find_rows(job, gradients, span, window_gradients);
    if (s->maximum) {
      find_rows(job, rows, span, window_rows);
      spread_maximum(s, window_rows, window_gradients, span.end - span.begin, row_gradient);
    } else {
      spread_average(s, window_gradients, span.end - span.begin, row_gradient);
    }
    for (; finished < next_top; ++finished) {
      if (finished >= begun) {
        memset(ring_row(job, gradients, finished), 0, row_floats * sizeof(float));
        begun = finished + 1;
      }
      epilogue_run(&epilogue, &sums, ring_row(job, gradients, finished), s->width, (size_t)finished * row_floats, CK_LANES);
      pending += s->width;
      if (pending >= REGION_POSITIONS) {
        flush_region(&epilogue, &sums, &totals);
        pending = 0;
      }
    }
  }
  flush_region(&epilogue, &sums, &totals);
  write_totals(job->epilogue, image, block, job->blocks, &totals);
}

static void pooling_unit(void *context, int unit, int worker) {
  const pooling_job *job = context;
  int part = unit % job->parts;
  float *rows = ck_pool_scratch(job->pool, worker);
  for (int block = job->blocks * part / job->parts; block < job->blocks * (part + 1) / job->parts; ++block) {
    if (job->gradient) {
      pooling_backward_block(job, (size_t)(unit / job->parts), block, rows);
    } else {
      pooling_block(job, (size_t)(unit / job->parts), block, rows);
    }
  }
}

static void run_pooling(ck_pool *pool, int n, pooling_job *job) {
  job->pool = pool;
  job->blocks = ck_blocks(job->shape->channels);
  job->ring = ck_pooling_ring(job->shape);
  job->parts = ck_parts(n, job->blocks, ck_pool_threads(pool));
  ck_pool_reserve(pool, ck_pooling_scratch_bytes(job->shape));
  ck_pool_run(pool, n * job->parts, pooling_unit, job);
}

static void pooling(ck_pool *pool, int n, const ck_pool_shape *shape, const ck_operand *operand, const ck_epilogue *epilogue) {
  pooling_job job = {.shape = shape, .operand = operand, .epilogue = epilogue};
  run_pooling(pool, n, &job);
}

static void pooling_backward(ck_pool *pool, int n, const ck_pool_shape *shape, const ck_operand *operand, const float *gradient,
                             const ck_epilogue *epilogue) {
  pooling_job job = {.shape = shape, .operand = operand, .epilogue = epilogue, .gradient = gradient};
  run_pooling(pool, n, &job);
}
