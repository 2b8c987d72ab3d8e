// Between the plain and the blocked layout: transposes of 16 channels × 16 positions in registers.

typedef struct {
  int channels, blocks, parts;
  size_t positions;
  const float *plain;
  float *blocked, *plain_output;
  const ck_operand *operand;
} reorder_job;

static void to_blocked_block(const reorder_job *job, size_t image, int block) {
  int lanes = ck_minimum(CK_LANES, job->channels - block * CK_LANES);
  const float *source = job->plain + (image * (size_t)job->channels + (size_t)block * CK_LANES) * job->positions;
  float *target = job->blocked + (image * (size_t)job->blocks + (size_t)block) * job->positions * CK_LANES;
  size_t position = 0;
  if (lanes == CK_LANES)
    for (; position + CK_LANES <= job->positions; position += CK_LANES)
      transpose16(source + position, job->positions, target + position * CK_LANES, CK_LANES);
  for (; position < job->positions; ++position)
    for (int lane = 0; lane < CK_LANES; ++lane)
      target[position * CK_LANES + (size_t)lane] = lane < lanes ? source[(size_t)lane * job->positions + position] : 0;
}

static void from_blocked_block(const reorder_job *job, size_t image, int block) {
  _Alignas(64) float values[EVALUATED_POSITIONS * CK_LANES];
  int lanes = ck_minimum(CK_LANES, job->channels - block * CK_LANES);
  block_operand operand = operand_block(job->operand, image, block, job->blocks, job->positions, true);
  float *target = job->plain_output + (image * (size_t)job->channels + (size_t)block * CK_LANES) * job->positions;
  for (size_t first = 0; first < job->positions; first += EVALUATED_POSITIONS) {
    int count = (int)(job->positions - first < EVALUATED_POSITIONS ? job->positions - first : EVALUATED_POSITIONS), i = 0;
    evaluate_run(&operand, first * CK_LANES, CK_LANES, count, values);
    if (lanes == CK_LANES)
      for (; i + CK_LANES <= count; i += CK_LANES) transpose16(values + i * CK_LANES, CK_LANES, target + first + (size_t)i, job->positions);
    for (; i < count; ++i)
      for (int lane = 0; lane < lanes; ++lane) target[(size_t)lane * job->positions + first + (size_t)i] = values[i * CK_LANES + lane];
  }
}

static void to_blocked_unit(void *context, int unit, int worker) {
  const reorder_job *job = context;
  (void)worker;
  int part = unit % job->parts;
  for (int block = job->blocks * part / job->parts; block < job->blocks * (part + 1) / job->parts; ++block)
    to_blocked_block(job, (size_t)(unit / job->parts), block);
}

static void from_blocked_unit(void *context, int unit, int worker) {
  const reorder_job *job = context;
  (void)worker;
  int part = unit % job->parts;
  for (int block = job->blocks * part / job->parts; block < job->blocks * (part + 1) / job->parts; ++block)
    from_blocked_block(job, (size_t)(unit / job->parts), block);
}

static void to_blocked(ck_pool *pool, int n, int channels, int height, int width, const float *plain, float *blocked) {
  int blocks = ck_blocks(channels), parts = ck_parts(n, blocks, ck_pool_threads(pool));
  reorder_job job = {channels, blocks, parts, (size_t)height * (size_t)width, plain, blocked, NULL, NULL};
  ck_pool_run(pool, n * parts, to_blocked_unit, &job);
}

static void from_blocked(ck_pool *pool, int n, int channels, int height, int width, const ck_operand *operand, float *plain) {
  int blocks = ck_blocks(channels), parts = ck_parts(n, blocks, ck_pool_threads(pool));
  reorder_job job = {channels, blocks, parts, (size_t)height * (size_t)width, NULL, NULL, plain, operand};
  ck_pool_run(pool, n * parts, from_blocked_unit, &job);
}
