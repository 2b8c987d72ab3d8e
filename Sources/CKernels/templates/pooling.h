// Pooling and its gradient: per image and channel block, over a ring of evaluated rows, so that a window's rows are evaluated once.

typedef struct {
  const ck_pool_shape *shape;
  const ck_operand *operand;
  const ck_epilogue *epilogue;
  const float *gradient;
  ck_pool *pool;
  int blocks, parts, ring;
} pooling_job;

/// Rows and columns of a window that lie inside the picture.
typedef struct {
  int top, bottom, left, right;  // bottom and right are not included
} pooling_window;

INLINE pooling_window pooling_window_at(const ck_pool_shape *s, int y, int x) {
  int top = y * s->stride_height - s->pad_top, left = x * s->stride_width - s->pad_left;
  return (pooling_window){ck_maximum(top, 0), ck_minimum(top + s->kernel_height, s->height), ck_maximum(left, 0),
                          ck_minimum(left + s->kernel_width, s->width)};
}

INLINE float pooling_weight(const ck_pool_shape *s, pooling_window w) {
  int count = s->count_include_pad ? s->kernel_height * s->kernel_width : (w.bottom - w.top) * (w.right - w.left);
  return 1.0f / (float)ck_maximum(1, count);
}

INLINE float *ring_row(const pooling_job *job, float *rows, int y) {
  return rows + (size_t)(y % job->ring) * (size_t)job->shape->width * CK_LANES;
}

static void pool_window_row(const pooling_job *job, float *rows, int y, float *results) {
  const ck_pool_shape *s = job->shape;
  for (int x = 0; x < s->out_width; ++x) {
    pooling_window w = pooling_window_at(s, y, x);
    v16 value = splat(s->maximum ? -__builtin_inff() : 0);
    for (int i = w.top; i < w.bottom; ++i) {
      const float *row = ring_row(job, rows, i);
      for (int j = w.left; j < w.right; ++j) {
        v16 v = load(row + j * CK_LANES);
        if (s->maximum) {
          value = (value > v) ? value : v;  // a NaN stays
        } else {
          value += v;
        }
      }
    }
    if (!s->maximum) value *= splat(pooling_weight(s, w));
    store(results + x * CK_LANES, value);
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
    int bottom = ck_minimum(y * s->stride_height - s->pad_top + s->kernel_height, s->height);
    for (; evaluated < bottom; ++evaluated)
      evaluate_run(&operand, (size_t)evaluated * (size_t)s->width * CK_LANES, CK_LANES, s->width, ring_row(job, rows, evaluated));
    pool_window_row(job, rows, y, results);
    epilogue_run(&epilogue, &sums, results, s->out_width, (size_t)y * (size_t)s->out_width * CK_LANES, CK_LANES);
    pending += s->out_width;
    if (pending >= REGION_POSITIONS) {
      flush_region(&epilogue, &sums, &totals);
      pending = 0;
    }
  }
  // Rows below the last window are evaluated for operand.store alone.
  for (; operand.store && evaluated < s->height; ++evaluated)
    evaluate_run(&operand, (size_t)evaluated * (size_t)s->width * CK_LANES, CK_LANES, s->width, ring_row(job, rows, evaluated));
  flush_region(&epilogue, &sums, &totals);
  write_totals(job->epilogue, image, block, job->blocks, &totals);
}

/// Adds the gradients of one row of windows to the rows of the ring.
static void spread_window_row(const pooling_job *job, const float *rows, float *gradients, int y, const float *gradient) {
  const ck_pool_shape *s = job->shape;
  for (int x = 0; x < s->out_width; ++x) {
    pooling_window w = pooling_window_at(s, y, x);
    v16 g = load(gradient + x * CK_LANES);
    if (!s->maximum) {
      g *= splat(pooling_weight(s, w));
      for (int i = w.top; i < w.bottom; ++i)
        for (int j = w.left; j < w.right; ++j) {
          float *target = ring_row(job, gradients, i) + j * CK_LANES;
          store(target, load(target) + g);
        }
      continue;
    }
    v16 best = splat(-__builtin_inff());
    i16 where = (i16)(-1);
    int index = 0;
    for (int i = w.top; i < w.bottom; ++i) {
      const float *row = ring_row(job, (float *)rows, i);
      for (int j = w.left; j < w.right; ++j, ++index) {
        v16 v = load(row + j * CK_LANES);
        i16 better = v > best;
        // The first position takes the gradient even where everything is −∞.
        if (index == 0) better = (i16)(-1);
        best = better ? v : best;
        where = better ? (i16)(index) : where;
      }
    }
    index = 0;
    for (int i = w.top; i < w.bottom; ++i)
      for (int j = w.left; j < w.right; ++j, ++index) {
        float *target = ring_row(job, gradients, i) + j * CK_LANES;
        store(target, load(target) + ((where == (i16)(index)) ? g : splat(0)));
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
    int bottom = ck_minimum(y * s->stride_height - s->pad_top + s->kernel_height, s->height);
    int next_top = y + 1 < s->out_height ? ck_minimum(ck_maximum((y + 1) * s->stride_height - s->pad_top, 0), s->height) : s->height;
    for (; begun < bottom; ++begun) {
      if (s->maximum) evaluate_run(&operand, (size_t)begun * row_floats, CK_LANES, s->width, ring_row(job, rows, begun));
      memset(ring_row(job, gradients, begun), 0, row_floats * sizeof(float));
    }
    spread_window_row(job, rows, gradients, y, gradient + (size_t)y * (size_t)s->out_width * CK_LANES);
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
