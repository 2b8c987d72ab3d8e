// Attention between its projections: softmax(Q Kᵀ / √depth) V and its gradients, one unit per image and head.
//
// Everything of a head stays in the L2 cache: packed operands (5 × 52 KiB for 197 tokens of depth 64), the weights, and their slopes (164 KiB
// each). Products are ck_gemm's kernels over packed operands; rows of weights are padded to whole vectors with zeros, so that no panel is cut and
// the softmax runs in whole registers. The backward computes the weights again: keeping them would take tokens² floats per head.

typedef struct {
  ck_attention_shape shape;
  const float *x, *gradient;  // [image][token][3][head][depth], [image][query][head][depth]
  float *output, *input_gradient;
  ck_pool *pool;
} attention_job;

/// The right side of a product: as it lies in memory, and packed.
typedef struct {
  ck_orientation orientation;
  size_t n, k, ldb;
  const float *b;
  float *packed;
} right_side;

static right_side pack_right_side(ck_orientation orientation, size_t n, size_t k, const float *b, size_t ldb, float *packed) {
  if (!GEMM_USES_BLAS)
    for (size_t panel = 0; panel < gemm_panels(n); ++panel)
      gemm_pack_panel(orientation, n, b, ldb, panel * CK_LANES, 0, k, packed + panel * k * CK_LANES);
  return (right_side){orientation, n, k, ldb, b, packed};
}

/// C[m][n] = A · right. `padded`: columns of zeros behind n may be written up to whole vectors.
static void multiply_right(ck_orientation orientation, size_t m, const float *a, size_t lda, const right_side *right, float *c, size_t ldc,
                           bool padded, float *a_block) {
  if (GEMM_USES_BLAS) {
    ck_blas_gemm(orientation, right->orientation, m, right->n, right->k, a, lda, right->b, right->ldb, c, ldc, NULL, false);
    return;
  }
  gemm_job job = {.a_orientation = orientation, .m = m, .n = padded ? gemm_panels(right->n) * CK_LANES : right->n, .k = right->k, .lda = lda,
                  .ldc = ldc, .a = a, .c = c, .packed_b = right->packed, .panel_stride = right->k * CK_LANES};
  size_t most = GEMM_BLOCK_ROWS / GEMM_ROWS * GEMM_ROWS;
  for (size_t row = 0; row < m; row += most) gemm_block(&job, row, m - row < most ? m - row : most, 0, gemm_panels(right->n), a_block);
}

/// total + the lanes, in order.
INLINE float add_lanes(float total, v16 v, int lanes) {
  for (int i = 0; i < lanes; ++i) total += v[i];
  return total;
}
INLINE float lane_maximum(v16 v) {
  typedef float v8 __attribute__((ext_vector_type(8)));
  typedef float v4 __attribute__((ext_vector_type(4)));
  v8 a = (v.lo > v.hi) ? v.lo : v.hi;
  v4 b = (a.lo > a.hi) ? a.lo : a.hi;
  float left = b[0] > b[2] ? b[0] : b[2], right = b[1] > b[3] ? b[1] : b[3];
  return left > right ? left : right;
}

/// rows ← softmax(scale · rows), `width` columns of `stride`; zeros behind them.
static void attention_softmax(float *rows, size_t count, size_t width, size_t stride, float scale) {
  const i16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  size_t last = stride - CK_LANES, full = width / CK_LANES * CK_LANES;
  const i16 inside = lanes < (i16)((int)(width - last));
  for (size_t r = 0; r < count; ++r, rows += stride) {
    v16 tail = inside ? load(rows + last) : splat(-__builtin_inff()), most = tail;
    for (size_t i = 0; i < last; i += CK_LANES) {
      v16 v = load(rows + i);
      most = (v > most) ? v : most;
    }
    v16 shift = splat(-lane_maximum(most) * scale), sum = splat(0);
    store(rows + last, tail);
    for (size_t i = 0; i < stride; i += CK_LANES) {
      v16 x = multiply_add(load(rows + i), splat(scale), shift), v = (x < splat(-87.3f)) ? splat(0) : exponential(x);
      store(rows + i, v);
      if (i < full) sum += v;
    }
    float total = add_lanes(0, sum, CK_LANES);
    if (full < width) total = add_lanes(total, load(rows + last), (int)(width - full));
    v16 inverse = splat(1 / total);
    for (size_t i = 0; i < stride; i += CK_LANES) store(rows + i, load(rows + i) * inverse);
  }
}

/// slopes ← scale · weights · (slopes − Σ slopes · weights), 0 behind `width` columns of `stride`, where weights are 0.
static void attention_softmax_backward(const float *weights, float *slopes, size_t count, size_t width, size_t stride, float scale) {
  for (size_t r = 0; r < count; ++r, weights += stride, slopes += stride) {
    // Own products left zeros there, OpenBLAS wrote nothing.
    for (size_t i = width; GEMM_USES_BLAS && i < stride; ++i) slopes[i] = 0;
    v16 sum = splat(0);
    for (size_t i = 0; i < stride; i += CK_LANES) sum = multiply_add(load(weights + i), load(slopes + i), sum);
    v16 product = splat(add_lanes(0, sum, CK_LANES)), factor = splat(scale);
    for (size_t i = 0; i < stride; i += CK_LANES) store(slopes + i, load(weights + i) * factor * (load(slopes + i) - product));
  }
}

/// A head's scratch and its queries.
typedef struct {
  float *a_block, *packed, *weights, *slopes;
  size_t packed_floats, stride, row, width;
  const float *part, *query;  // the head's part of the first token, and of the first query
  float scale;
} attention_head;

/// Queries whose weights are worked on together, so that they stay near the processor between products and softmax; OpenBLAS gets all at once.
static size_t attention_rows(size_t queries) { return GEMM_USES_BLAS || queries < 4 * GEMM_ROWS ? queries : 4 * GEMM_ROWS; }

static attention_head begin_head(const attention_job *job, int unit, float *scratch) {
  attention_head head;
  size_t tokens = (size_t)job->shape.tokens, depth = (size_t)job->shape.depth;
  head.stride = ck_round_up(tokens, CK_LANES);
  head.packed_floats = head.stride * ck_round_up(depth, CK_LANES);
  head.a_block = scratch;
  head.packed = scratch + gemm_a_floats();
  head.weights = head.packed + 5 * head.packed_floats;
  head.slopes = head.weights + head.stride * tokens;
  head.width = (size_t)job->shape.heads * depth;
  head.row = 3 * head.width;
  head.part = job->x + (size_t)(unit / job->shape.heads) * tokens * head.row + (size_t)(unit % job->shape.heads) * depth;
  head.query = head.part + (size_t)job->shape.first_query * head.row;
  head.scale = (float)(1 / __builtin_sqrt((double)depth));
  return head;
}

/// The weights of some queries.
static void find_weights(const attention_head *head, const right_side *keys, size_t first, size_t count, float *weights) {
  multiply_right(CK_NORMAL, count, head->query + first * head->row, head->row, keys, weights, head->stride, true, head->a_block);
  attention_softmax(weights, count, keys->n, head->stride, head->scale);
}

static void attention_unit(void *context, int unit, int worker) {
  const attention_job *job = context;
  attention_head head = begin_head(job, unit, ck_pool_scratch(job->pool, worker));
  size_t tokens = (size_t)job->shape.tokens, depth = (size_t)job->shape.depth, queried = (size_t)job->shape.queries;
  size_t rows = attention_rows(queried);
  float *output = job->output + (size_t)(unit / job->shape.heads) * queried * head.width + (size_t)(unit % job->shape.heads) * depth;
  right_side keys = pack_right_side(CK_TRANSPOSED, tokens, depth, head.part + head.width, head.row, head.packed);
  right_side values = pack_right_side(CK_NORMAL, depth, tokens, head.part + 2 * head.width, head.row, head.packed + head.packed_floats);
  for (size_t first = 0; first < queried; first += rows) {
    size_t count = queried - first < rows ? queried - first : rows;
    find_weights(&head, &keys, first, count, head.weights);
    multiply_right(CK_NORMAL, count, head.weights, head.stride, &values, output + first * head.width, head.width, false, head.a_block);
  }
}

static void attention_backward_unit(void *context, int unit, int worker) {
  const attention_job *job = context;
  attention_head head = begin_head(job, unit, ck_pool_scratch(job->pool, worker));
  size_t tokens = (size_t)job->shape.tokens, depth = (size_t)job->shape.depth, queried = (size_t)job->shape.queries;
  size_t rows = attention_rows(queried);
  size_t image = (size_t)(unit / job->shape.heads), place = (size_t)(unit % job->shape.heads) * depth;
  const float *arriving = job->gradient + image * queried * head.width + place;
  float *target = job->input_gradient + image * tokens * head.row + place;
  size_t begin = (size_t)job->shape.first_query;
  for (size_t token = 0; token < tokens; ++token)
    if (token < begin || token >= begin + queried) memset(target + token * head.row, 0, depth * sizeof(float));
  float *packed[5];
  for (int i = 0; i < 5; ++i) packed[i] = head.packed + (size_t)i * head.packed_floats;
  right_side keys = pack_right_side(CK_TRANSPOSED, tokens, depth, head.part + head.width, head.row, packed[0]);
  right_side values = pack_right_side(CK_TRANSPOSED, tokens, depth, head.part + 2 * head.width, head.row, packed[1]);
  right_side key_rows = pack_right_side(CK_NORMAL, depth, tokens, head.part + head.width, head.row, packed[2]);
  right_side query_rows = pack_right_side(CK_NORMAL, depth, queried, head.query, head.row, packed[3]);
  right_side gradients = pack_right_side(CK_NORMAL, depth, queried, arriving, head.width, packed[4]);
  for (size_t first = 0; first < queried; first += rows) {
    size_t count = queried - first < rows ? queried - first : rows;
    float *weights = head.weights + first * head.stride, *slopes = head.slopes + first * head.stride;
    find_weights(&head, &keys, first, count, weights);
    multiply_right(CK_NORMAL, count, arriving + first * head.width, head.width, &values, slopes, head.stride, true, head.a_block);
    attention_softmax_backward(weights, slopes, count, tokens, head.stride, head.scale);
    multiply_right(CK_NORMAL, count, slopes, head.stride, &key_rows, target + (begin + first) * head.row, head.row, false, head.a_block);
  }
  multiply_right(CK_TRANSPOSED, tokens, head.slopes, head.stride, &query_rows, target + head.width, head.row, false, head.a_block);
  multiply_right(CK_TRANSPOSED, tokens, head.weights, head.stride, &gradients, target + 2 * head.width, head.row, false, head.a_block);
}

static void attention(ck_pool *pool, int n, const ck_attention_shape *shape, const float *x, float *output) {
  attention_job job = {.shape = *shape, .x = x, .output = output, .pool = pool};
  ck_pool_run(pool, n * shape->heads, attention_unit, &job);
}

static void attention_backward(ck_pool *pool, int n, const ck_attention_shape *shape, const float *x, const float *gradient,
                               float *input_gradient) {
  attention_job job = {.shape = *shape, .x = x, .gradient = gradient, .input_gradient = input_gradient, .pool = pool};
  ck_pool_run(pool, n * shape->heads, attention_backward_unit, &job);
}
