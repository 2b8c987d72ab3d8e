// Steps over blocked values without a convolution: evaluation into an epilogue, the global mean and its gradient, the gradient of gates.
//
// Values pass through a small buffer in L1 (EVALUATED_POSITIONS), so that operands and epilogues are the same code as around convolutions;
// the steps stay bound by memory. A unit is one image, or a range of its channel blocks where there are few images.

enum { EVALUATED_POSITIONS = 64 };

typedef struct {
  int n, channels, blocks, parts;
  size_t positions;
  const ck_operand *operand;
  const ck_epilogue *epilogue;
  const float *gradient;  // of the mean, plain; of a gated value, blocked
  float *plain;           // the mean; the gradient of the gate
} elementwise_job;

typedef void (*block_body)(const elementwise_job *job, size_t image, int block);

INLINE void elementwise_unit(const elementwise_job *job, int unit, block_body body) {
  int part = unit % job->parts;
  for (int block = job->blocks * part / job->parts; block < job->blocks * (part + 1) / job->parts; ++block)
    body(job, (size_t)(unit / job->parts), block);
}

static void run_elementwise(ck_pool *pool, elementwise_job *job, int channels, int height, int width,
                            void (*unit)(void *context, int unit, int worker)) {
  job->channels = channels;
  job->blocks = ck_blocks(channels);
  job->positions = (size_t)height * (size_t)width;
  job->parts = ck_parts(job->n, job->blocks, ck_pool_threads(pool));
  ck_pool_run(pool, job->n * job->parts, unit, job);
}

static void evaluate_block(const elementwise_job *job, size_t image, int block) {
  _Alignas(64) float values[EVALUATED_POSITIONS * CK_LANES];
  block_operand operand = operand_block(job->operand, image, block, job->blocks, job->positions, true);
  block_epilogue epilogue = epilogue_block(job->epilogue, image, block, job->blocks, job->positions);
  block_totals totals = {0};
  region_sums sums;
  clear_region(&sums);
  for (size_t first = 0; first < job->positions; first += EVALUATED_POSITIONS) {
    int count = (int)(job->positions - first < EVALUATED_POSITIONS ? job->positions - first : EVALUATED_POSITIONS);
    evaluate_run(&operand, first * CK_LANES, CK_LANES, count, values);
    epilogue_run(&epilogue, &sums, values, count, first * CK_LANES, CK_LANES);
    flush_region(&epilogue, &sums, &totals);
  }
  write_totals(job->epilogue, image, block, job->blocks, &totals);
}

static void elementwise_evaluate_unit(void *context, int unit, int worker) {
  (void)worker;
  elementwise_unit(context, unit, evaluate_block);
}

static void elementwise(ck_pool *pool, int n, int channels, int height, int width, const ck_operand *operand, const ck_epilogue *epilogue) {
  elementwise_job job = {.n = n, .operand = operand, .epilogue = epilogue};
  run_elementwise(pool, &job, channels, height, width, elementwise_evaluate_unit);
}

/// Adds up one block of one image, each value times `gradient` where it is not NULL, and writes the sums divided by `divisor`.
INLINE void sum_block(const elementwise_job *job, size_t image, int block, const float *gradient, double divisor) {
  _Alignas(64) float values[EVALUATED_POSITIONS * CK_LANES];
  block_operand operand = operand_block(job->operand, image, block, job->blocks, job->positions, true);
  double total[CK_LANES] = {0};
  for (size_t first = 0; first < job->positions; first += EVALUATED_POSITIONS) {
    int count = (int)(job->positions - first < EVALUATED_POSITIONS ? job->positions - first : EVALUATED_POSITIONS);
    evaluate_run(&operand, first * CK_LANES, CK_LANES, count, values);
    v16 sum = splat(0);
    for (int i = 0; i < count; ++i) {
      v16 value = load(values + i * CK_LANES);
      sum = gradient ? multiply_add(value, load(gradient + (first + (size_t)i) * CK_LANES), sum) : sum + value;
    }
    add_to_doubles(total, sum);
  }
  int lanes = ck_minimum(CK_LANES, job->channels - block * CK_LANES);
  float *target = job->plain + image * (size_t)job->channels + (size_t)block * CK_LANES;
  for (int lane = 0; lane < lanes; ++lane) target[lane] = (float)(total[lane] / divisor);
}

static void average_block(const elementwise_job *job, size_t image, int block) {
  sum_block(job, image, block, NULL, (double)job->positions);
}

static void channel_product_block(const elementwise_job *job, size_t image, int block) {
  sum_block(job, image, block, job->gradient + (image * (size_t)job->blocks + (size_t)block) * job->positions * CK_LANES, 1);
}

static void channel_product_unit(void *context, int unit, int worker) {
  (void)worker;
  elementwise_unit(context, unit, channel_product_block);
}

static void channel_products(ck_pool *pool, int n, int channels, int height, int width, const ck_operand *operand, const float *gradient,
                             float *plain) {
  elementwise_job job = {.n = n, .operand = operand, .gradient = gradient, .plain = plain};
  run_elementwise(pool, &job, channels, height, width, channel_product_unit);
}

static void average_unit(void *context, int unit, int worker) {
  (void)worker;
  elementwise_unit(context, unit, average_block);
}

static void global_average(ck_pool *pool, int n, int channels, int height, int width, const ck_operand *operand, float *plain) {
  elementwise_job job = {.n = n, .operand = operand, .plain = plain};
  run_elementwise(pool, &job, channels, height, width, average_unit);
}

static void average_gradient_block(const elementwise_job *job, size_t image, int block) {
  _Alignas(64) float gradient[CK_LANES] = {0};
  int lanes = ck_minimum(CK_LANES, job->channels - block * CK_LANES);
  const float *source = job->gradient + image * (size_t)job->channels + (size_t)block * CK_LANES;
  for (int lane = 0; lane < lanes; ++lane) gradient[lane] = source[lane] / (float)job->positions;
  block_epilogue epilogue = epilogue_block(job->epilogue, image, block, job->blocks, job->positions);
  block_totals totals = {0};
  region_sums sums;
  clear_region(&sums);
  v16 value = load(gradient);
  size_t position = 0;
  for (; position + 4 <= job->positions; position += 4) {
    v16 group[4] = {value, value, value, value};
    epilogue_group(&epilogue, &sums, group, 1, 4, position * CK_LANES, 0, CK_LANES);
    if (position % REGION_POSITIONS == REGION_POSITIONS - 4) flush_region(&epilogue, &sums, &totals);
  }
  for (; position < job->positions; ++position) {
    v16 single = value;
    epilogue_group(&epilogue, &sums, &single, 1, 1, position * CK_LANES, 0, CK_LANES);
  }
  flush_region(&epilogue, &sums, &totals);
  write_totals(job->epilogue, image, block, job->blocks, &totals);
}

static void average_gradient_unit(void *context, int unit, int worker) {
  (void)worker;
  elementwise_unit(context, unit, average_gradient_block);
}

static void global_average_backward(ck_pool *pool, int n, int channels, int height, int width, const float *gradient,
                                    const ck_epilogue *epilogue) {
  elementwise_job job = {.n = n, .epilogue = epilogue, .gradient = gradient};
  run_elementwise(pool, &job, channels, height, width, average_gradient_unit);
}
