// Dense products, packed, with epilogues and plain, and attention, against their definitions.
#include <math.h>
#include <string.h>

#include "support.h"

typedef struct {
  size_t m, n, k;
} size;

/// Odd edges of every tile, empty sizes, one row, one column, more than one pass over k, more rows than a block holds.
static const size sizes[] = {{1, 1, 1},    {0, 5, 3},     {5, 0, 3},      {4, 7, 0},    {1, 16, 40},   {6, 16, 8},    {7, 33, 20},
                             {13, 15, 17}, {14, 32, 384}, {15, 48, 385},  {31, 17, 64}, {29, 100, 97}, {112, 64, 50}, {117, 40, 19},
                             {230, 16, 9}, {3, 257, 31},  {64, 10, 1601}, {97, 1, 70},  {1, 1, 500}};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static double tolerance(size_t summands) { return 2e-6 * fmax(1, 0.3 * sqrt((double)summands)); }

/// A matrix of rows × columns as `orientation` stores it, with gaps between rows.
typedef struct {
  ck_orientation orientation;
  float *values;
  size_t stride;
} matrix;

static matrix random_matrix(ck_orientation orientation, size_t rows, size_t columns) {
  size_t outer = orientation == CK_NORMAL ? rows : columns, stride = (orientation == CK_NORMAL ? columns : rows) + 3;
  return (matrix){orientation, random_floats(outer * stride), stride};
}
static double element(const matrix *a, size_t row, size_t column) {
  return (double)a->values[a->orientation == CK_NORMAL ? row * a->stride + column : column * a->stride + row];
}

/// The transpose of a packed B is the same bits as B packed the other way round.
static void check_transpose(size s, ck_orientation orientation, const matrix *b, const float *packed) {
  size_t count = ck_gemm_packed_count(s.k, s.n);
  float *expected = floats(count), *got = floats(count);
  ck_gemm_pack_b(NULL, orientation == CK_NORMAL ? CK_TRANSPOSED : CK_NORMAL, s.k, s.n, b->values, b->stride, expected);
  for (int pool = 0; pool <= POOLS; ++pool) {
    memset(got, 0xFF, count * sizeof(float));
    ck_gemm_pack_transpose(pool < POOLS ? pools[pool] : NULL, s.n, s.k, packed, got);
    expect(memcmp(got, expected, count * sizeof(float)) == 0, "the transpose of a packed %zu × %zu", s.k, s.n);
  }
}

/// One product, plain and with B packed, with every worker count and without a pool.
static void check_product(size s, ck_orientation a_orientation, ck_orientation b_orientation, bool has_bias, bool accumulate) {
  matrix a = random_matrix(a_orientation, s.m, s.k), b = random_matrix(b_orientation, s.k, s.n);
  const float *bias = has_bias ? random_floats(s.n) : NULL;
  size_t ldc = s.n + 5, count = s.m * ldc;
  float *before = random_floats(count), *got = floats(count), *first = floats(count);
  double *expected = doubles(count);
  for (size_t i = 0; i < s.m; ++i)
    for (size_t j = 0; j < ldc; ++j) {
      double *sum = &expected[i * ldc + j];
      *sum = j < s.n && !accumulate ? 0 : (double)before[i * ldc + j];
      if (j >= s.n) continue;
      if (bias) *sum += (double)bias[j];
      for (size_t l = 0; l < s.k; ++l) *sum += element(&a, i, l) * element(&b, l, j);
    }
  float *packed = floats(ck_gemm_packed_count(s.n, s.k));
  EACH_SET(set) {
    ck_gemm_pack_b(NULL, b_orientation, s.n, s.k, b.values, b.stride, packed);
    check_transpose(s, b_orientation, &b, packed);
    for (int run = 0; run < 2 * POOLS + 1; ++run) {
      ck_pool *pool = run < POOLS ? pools[run] : run < 2 * POOLS ? pools[run - POOLS] : NULL;
      if (pool) reserve(ck_gemm_scratch_bytes(s.m, s.n, s.k));
      memcpy(got, before, count * sizeof(float));
      if (run >= POOLS && pool) {
        // Columns behind the first ones from packed B, those from B as it lies in memory.
        size_t first_column = s.n / 32 * 16;
        ck_gemm_packed(pool, a_orientation, s.m, s.n, s.k, a.values, a.stride, packed, first_column, got + first_column, ldc,
                       bias ? bias + first_column : NULL, accumulate);
        ck_gemm(pool, a_orientation, b_orientation, s.m, first_column, s.k, a.values, a.stride, b.values, b.stride, got, ldc, bias, accumulate);
      } else {
        ck_gemm(pool, a_orientation, b_orientation, s.m, s.n, s.k, a.values, a.stride, b.values, b.stride, got, ldc, bias, accumulate);
      }
      expect_close(compare_floats(got, expected, count), tolerance(s.k), "%s %zu × %zu × %zu, orientations %d %d, run %d", set_name(set), s.m,
                   s.n, s.k, a_orientation, b_orientation, run);
      if (run == 0) memcpy(first, got, count * sizeof(float));
      expect(run >= POOLS || memcmp(first, got, count * sizeof(float)) == 0, "%s %zu × %zu × %zu: the same bits with any number of workers",
             set_name(set), s.m, s.n, s.k);
    }
  }
  release_buffers();
}

void test_products(void) {
  begin_group("products");
  for (int i = 0; i < SIZES; ++i)
    for (int variant = 0; variant < 4; ++variant) {
      seed((unsigned)(i * 4 + variant));
      check_product(sizes[i], variant & 1 ? CK_TRANSPOSED : CK_NORMAL, variant & 2 ? CK_TRANSPOSED : CK_NORMAL, (i + variant) % 2 == 0,
                    (i + variant / 2) % 3 == 0);
    }
  // B that comes from memory: more rows than a block holds, several passes over k, a cut panel.
  seed(SIZES * 4);
  check_product((size){209, 1027, 1026}, CK_NORMAL, CK_TRANSPOSED, true, false);
}

static double function_value(ck_row_function function, double x) {
  if (function == CK_ROW_RELU) return fmax(0, x);
  return function == CK_ROW_GELU ? 0.5 * x * (1 + erf(x / sqrt(2))) : x;
}
static double function_slope(ck_row_function function, double x) {
  if (function == CK_ROW_RELU) return x > 0;
  return function == CK_ROW_GELU ? 0.5 * (1 + erf(x / sqrt(2))) + x * exp(-x * x / 2) / sqrt(2 * acos(-1)) : 1;
}

/// One linear layer with a function's values or slopes in its epilogue, and with or without an addend; `rounds`: of bfloat16.
static void check_linear(size s, ck_row_function function, bool has_addend, bool takes_slopes, bool rounds) {
  size_t count = s.m * s.n;
  float *a = random_floats(s.m * s.k), *b = random_floats(s.n * s.k), *bias = random_floats(s.n), *addend = random_floats(count);
  float *slopes = random_floats(count), *packed = floats(ck_gemm_packed_count(s.n, s.k)), *got = floats(count), *first = floats(count);
  double *expected = doubles(count);
  for (size_t i = 0; i < s.m; ++i)
    for (size_t j = 0; j < s.n; ++j) {
      double sum = (double)bias[j] + (has_addend ? (double)addend[i * s.n + j] : 0);
      for (size_t l = 0; l < s.k; ++l) {
        double left = (double)a[i * s.k + l], right = (double)b[j * s.k + l];
        sum += rounds ? nearest_bfloat16(left) * nearest_bfloat16(right) : left * right;
      }
      expected[i * s.n + j] = takes_slopes ? sum * function_slope(function, (double)slopes[i * s.n + j]) : function_value(function, sum);
    }
  float *columns = floats(s.n * s.k);
  for (size_t j = 0; j < s.n; ++j)
    for (size_t l = 0; l < s.k; ++l) columns[l * s.n + j] = b[j * s.k + l];
  reserve(ck_linear_scratch_bytes());
  EACH_SET(set)
    for (int pool = 0; pool < POOLS; ++pool) {
      forget(got, count * sizeof(float));
      void (*pack)(ck_pool *, ck_orientation, size_t, size_t, const float *, size_t, float *) = rounds ? ck_gemm_pack_b_bfloat16 : ck_gemm_pack_b;
      if (has_addend) {
        pack(pools[pool], CK_TRANSPOSED, s.n, s.k, b, s.k, packed);
      } else {
        pack(pools[pool], CK_NORMAL, s.n, s.k, columns, s.n, packed);
      }
      float *values = function == CK_ROW_NONE || takes_slopes ? NULL : got;
      ck_product_epilogue epilogue = {bias, has_addend ? addend : NULL, function, values, takes_slopes ? slopes : NULL};
      (rounds ? ck_linear_bfloat16 : ck_linear)(pools[pool], s.m, s.n, s.k, a, packed, got, &epilogue);
      expect_close(compare_floats(got, expected, count), tolerance(s.k), "%s linear %zu × %zu × %zu, function %d, slopes %d, bfloat16 %d",
                   set_name(set), s.m, s.n, s.k, function, takes_slopes, rounds);
      if (pool == 0) memcpy(first, got, count * sizeof(float));
      expect(memcmp(first, got, count * sizeof(float)) == 0, "%s linear %zu × %zu × %zu: the same bits with any number of workers",
             set_name(set), s.m, s.n, s.k);
      if (!values) continue;
      epilogue.function = CK_ROW_NONE;
      epilogue.values = NULL;
      (rounds ? ck_linear_bfloat16 : ck_linear)(pools[pool], s.m, s.n, s.k, a, packed, got, &epilogue);
      ck_row_values(function, got, got, count);
      expect(memcmp(first, got, count * sizeof(float)) == 0, "%s linear %zu × %zu × %zu, function %d: the same bits without an epilogue",
             set_name(set), s.m, s.n, s.k, function);
    }
  release_buffers();
}

void test_linear(void) {
  static const size cases[] = {{1, 32, 5}, {13, 40, 384}, {120, 17, 400}, {37, 100, 20}, {15, 33, 801}};
  for (int rounds = 0; rounds < 2; ++rounds) {
    begin_group(rounds ? "linear layers of bfloat16" : "linear layers");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i)
      for (int function = CK_ROW_NONE; function <= CK_ROW_GELU; ++function)
        for (int variant = 0; variant < 4; ++variant) {
          if (function == CK_ROW_NONE && variant & 2) continue;
          seed((unsigned)(i * 12 + (size_t)(function * 4 + variant)));
          check_linear(cases[i], (ck_row_function)function, variant & 1, variant & 2, rounds);
        }
    check_linear((size){26, 2051, rounds ? 1100 : 550}, CK_ROW_GELU, true, false, rounds);
  }
}

typedef struct {
  int images, tokens, heads, depth;
} attention_size;

static size_t place(attention_size s, int image, int token, int part, int head, int i) {
  return (((size_t)(image * s.tokens + token) * 3 + (size_t)part) * (size_t)s.heads + (size_t)head) * (size_t)s.depth + (size_t)i;
}
static size_t row(attention_size s, int image, int token, int head, int i) {
  return ((size_t)(image * s.tokens + token) * (size_t)s.heads + (size_t)head) * (size_t)s.depth + (size_t)i;
}

/// One query of one head: adds to output and to the gradient of x.
static void reference_query(attention_size s, const float *x, const float *gradient, int image, int head, int query, double *weights,
                            double *slopes, double *output, double *result) {
  double scale = 1 / sqrt((double)s.depth), largest = -INFINITY, total = 0, product = 0;
  for (int key = 0; key < s.tokens; ++key) {
    weights[key] = slopes[key] = 0;
    for (int i = 0; i < s.depth; ++i) {
      weights[key] += scale * (double)x[place(s, image, query, 0, head, i)] * (double)x[place(s, image, key, 1, head, i)];
      slopes[key] += (double)gradient[row(s, image, query, head, i)] * (double)x[place(s, image, key, 2, head, i)];
    }
    largest = fmax(largest, weights[key]);
  }
  for (int key = 0; key < s.tokens; ++key) total += weights[key] = exp(weights[key] - largest);
  for (int key = 0; key < s.tokens; ++key) product += (weights[key] /= total) * slopes[key];
  for (int key = 0; key < s.tokens; ++key) {
    double slope = weights[key] * (slopes[key] - product) * scale;
    for (int i = 0; i < s.depth; ++i) {
      output[row(s, image, query, head, i)] += weights[key] * (double)x[place(s, image, key, 2, head, i)];
      result[place(s, image, query, 0, head, i)] += slope * (double)x[place(s, image, key, 1, head, i)];
      result[place(s, image, key, 1, head, i)] += slope * (double)x[place(s, image, query, 0, head, i)];
      result[place(s, image, key, 2, head, i)] += weights[key] * (double)gradient[row(s, image, query, head, i)];
    }
  }
}

static void check_attention(attention_size s) {
  size_t count = (size_t)s.images * (size_t)s.tokens * (size_t)s.heads * (size_t)s.depth;
  float *x = random_floats(3 * count), *gradient = random_floats(count);
  // Larger queries and keys: weights from nearly 0 to nearly 1.
  for (size_t i = 0; i < 3 * count; ++i)
    if (i / (size_t)(s.heads * s.depth) % 3 < 2) x[i] *= 3;
  double *output = zeros(count), *result = zeros(3 * count), *weights = doubles((size_t)s.tokens), *slopes = doubles((size_t)s.tokens);
  for (int image = 0; image < s.images; ++image)
    for (int head = 0; head < s.heads; ++head)
      for (int query = 0; query < s.tokens; ++query) reference_query(s, x, gradient, image, head, query, weights, slopes, output, result);
  float *got = floats(count), *got_result = floats(3 * count), *first = floats(3 * count);
  reserve(ck_attention_scratch_bytes(s.tokens, s.depth));
  // The last query alone, with the gradient of its outputs alone: other queries then have no gradient, keys and values that of one query.
  size_t width = (size_t)(s.heads * s.depth), last = (size_t)(s.tokens - 1) * width;
  double *last_output = doubles((size_t)s.images * width), *last_result = zeros(3 * count), *unused = zeros(count);
  float *last_gradient = floats((size_t)s.images * width), *got_last = floats((size_t)s.images * width);
  for (int image = 0; image < s.images; ++image) {
    size_t from = (size_t)image * (size_t)s.tokens * width + last;
    memcpy(last_gradient + (size_t)image * width, gradient + from, width * sizeof(float));
    memcpy(last_output + (size_t)image * width, output + from, width * sizeof(double));
    for (int head = 0; head < s.heads; ++head)
      reference_query(s, x, gradient, image, head, s.tokens - 1, weights, slopes, unused, last_result);
  }
  ck_attention_shape all = {s.tokens, s.heads, s.depth, 0, s.tokens}, one = {s.tokens, s.heads, s.depth, s.tokens - 1, 1};
  EACH_SET(set)
    for (int pool = 0; pool < POOLS; ++pool) {
      forget(got, count * sizeof(float));
      forget(got_result, 3 * count * sizeof(float));
      ck_attention(pools[pool], s.images, &one, x, got_last);
      ck_attention_backward(pools[pool], s.images, &one, x, last_gradient, got_result);
      expect_close(compare_floats(got_last, last_output, (size_t)s.images * width), 2e-6, "%s %d tokens, depth %d: output of one query",
                   set_name(set), s.tokens, s.depth);
      expect_close(compare_floats(got_result, last_result, 3 * count), 2e-6, "%s %d tokens, depth %d: gradient of one query", set_name(set),
                   s.tokens, s.depth);
      forget(got_result, 3 * count * sizeof(float));
      ck_attention(pools[pool], s.images, &all, x, got);
      ck_attention_backward(pools[pool], s.images, &all, x, gradient, got_result);
      expect_close(compare_floats(got, output, count), 2e-6, "%s %d tokens, depth %d: output", set_name(set), s.tokens, s.depth);
      expect_close(compare_floats(got_result, result, 3 * count), 2e-6, "%s %d tokens, depth %d: gradient", set_name(set), s.tokens, s.depth);
      if (pool == 0) memcpy(first, got_result, 3 * count * sizeof(float));
      expect(memcmp(first, got_result, 3 * count * sizeof(float)) == 0, "%s %d tokens: the same bits with any number of workers", set_name(set),
             s.tokens);
    }
  release_buffers();
}

void test_attention(void) {
  static const attention_size cases[] = {{1, 1, 1, 1}, {2, 5, 3, 8}, {2, 33, 2, 20}, {1, 64, 2, 16}, {1, 79, 2, 64}, {1, 197, 1, 64},
                                         {1, 421, 1, 20}, {1, 3, 1, 401}};
  begin_group("attention");
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    seed((unsigned)i);
    check_attention(cases[i]);
  }
}
