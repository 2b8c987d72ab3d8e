// Convolutions and the gradients of their weights against six plain loops: every algorithm, both directions, odd and even shapes.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"

#define SHAPE(channels, filters, height, width, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, depthwise)                            \
  {channels, filters, height, width, (height + 2 * pad_h - kernel_h) / stride_h + 1, (width + 2 * pad_w - kernel_w) / stride_w + 1, kernel_h, \
   kernel_w, stride_h, stride_w, pad_h, pad_w, depthwise}

static const ck_conv_shape shapes[] = {
    // 3×3, padding 1: Winograd and direct; whole and partial tiles, one block, odd numbers of blocks, padded lanes.
    SHAPE(16, 16, 16, 16, 3, 3, 1, 1, 1, 1, false), SHAPE(24, 40, 7, 7, 3, 3, 1, 1, 1, 1, false), SHAPE(48, 20, 9, 13, 3, 3, 1, 1, 1, 1, false),
    SHAPE(17, 33, 5, 6, 3, 3, 1, 1, 1, 1, false), SHAPE(80, 64, 3, 3, 3, 3, 1, 1, 1, 1, false), SHAPE(16, 16, 1, 1, 3, 3, 1, 1, 1, 1, false),
    SHAPE(16, 16, 2, 38, 3, 3, 1, 1, 1, 1, false),
    // Other kernels, strides and paddings; strides that leave positions unread.
    SHAPE(16, 32, 15, 16, 3, 3, 2, 2, 1, 1, false), SHAPE(20, 24, 13, 10, 5, 5, 2, 2, 2, 2, false), SHAPE(16, 16, 9, 9, 5, 3, 1, 1, 2, 1, false),
    SHAPE(32, 16, 12, 12, 2, 2, 2, 2, 0, 0, false), SHAPE(16, 16, 10, 9, 3, 3, 3, 2, 1, 1, false), SHAPE(16, 24, 10, 11, 2, 2, 3, 3, 0, 0, false),
    SHAPE(16, 16, 9, 9, 3, 3, 1, 1, 0, 0, false),
    // 1×1.
    SHAPE(32, 48, 11, 12, 1, 1, 2, 2, 0, 0, false), SHAPE(64, 32, 7, 7, 1, 1, 1, 1, 0, 0, false), SHAPE(40, 72, 14, 9, 1, 1, 1, 1, 0, 0, false),
    SHAPE(256, 16, 5, 5, 1, 1, 1, 1, 0, 0, false),
    // Depthwise.
    SHAPE(32, 32, 14, 14, 3, 3, 1, 1, 1, 1, true), SHAPE(24, 24, 13, 13, 3, 3, 2, 2, 1, 1, true), SHAPE(40, 40, 14, 15, 5, 5, 2, 2, 2, 2, true),
    SHAPE(16, 16, 11, 11, 2, 2, 3, 3, 0, 0, true),
    // Pictures.
    SHAPE(3, 16, 16, 16, 3, 3, 1, 1, 1, 1, false), SHAPE(3, 24, 15, 17, 7, 7, 2, 2, 3, 3, false), SHAPE(3, 40, 16, 16, 4, 4, 4, 4, 0, 0, false),
    SHAPE(1, 16, 9, 9, 3, 3, 1, 1, 1, 1, false), SHAPE(4, 33, 17, 19, 3, 3, 3, 3, 1, 1, false)};
enum { SHAPES = sizeof shapes / sizeof shapes[0], ALGORITHMS = CK_CONV_STEM + 1 };

static const char *const names[ALGORITHMS] = {"direct", "pointwise", "Winograd", "depthwise", "stem"};

static layout inner(const ck_conv_shape *s, int images) { return (layout){images, s->channels, s->height * s->width}; }
static layout outer(const ck_conv_shape *s, int images) { return (layout){images, s->filters, s->out_height * s->out_width}; }
static int inputs_of(const ck_conv_shape *s) { return s->depthwise ? 1 : s->channels; }
static size_t weight_count(const ck_conv_shape *s) {
  return (size_t)(s->filters * inputs_of(s)) * (size_t)(s->kernel_height * s->kernel_width);
}

/// Calls `body` with the index of the input, of the output and of the weight of every multiplication.
typedef void (*multiplication)(void *context, size_t inside, size_t outside, size_t weight);
static void each_multiplication(const ck_conv_shape *s, int images, multiplication body, void *context) {
  layout small = inner(s, images), large = outer(s, images);
  for (int image = 0; image < images; ++image)
    for (int filter = 0; filter < s->filters; ++filter)
      for (int input = 0; input < inputs_of(s); ++input)
        for (int position = 0; position < large.positions; ++position)
          for (int tap = 0; tap < s->kernel_height * s->kernel_width; ++tap) {
            int y = position / s->out_width * s->stride_height - s->pad_top + tap / s->kernel_width;
            int x = position % s->out_width * s->stride_width - s->pad_left + tap % s->kernel_width;
            if (y < 0 || x < 0 || y >= s->height || x >= s->width) continue;
            body(context, plain_index(small, image, s->depthwise ? filter : input, y * s->width + x),
                 plain_index(large, image, filter, position),
                 (size_t)(filter * inputs_of(s) + input) * (size_t)(s->kernel_height * s->kernel_width) + (size_t)tap);
          }
}

typedef struct {
  const float *weights;
  const double *from;
  double *to;
} transfer;
static void add_forward(void *context, size_t inside, size_t outside, size_t weight) {
  const transfer *t = context;
  t->to[outside] += (double)t->weights[weight] * t->from[inside];
}
static void add_backward(void *context, size_t inside, size_t outside, size_t weight) {
  const transfer *t = context;
  t->to[inside] += (double)t->weights[weight] * t->from[outside];
}

typedef struct {
  const ck_conv *conv;
  int images;
  const float *packed;
  const fixture *f;
} run_context;
static void run_step(void *context, ck_pool *pool) {
  const run_context *r = context;
  ck_conv_run(r->conv, pool, r->images, r->packed, &r->f->operand, &r->f->epilogue);
}

static double tolerance(const ck_conv *conv) {
  const ck_conv_shape *s = &conv->shape;
  // Transforms of F(4×4, 3×3) amplify rounding; plain sums grow with the square root of their length.
  if (conv->algorithm == CK_CONV_WINOGRAD) return 2e-5;
  int inputs = s->depthwise ? 1 : conv->direction == CK_FORWARD ? s->channels : s->filters;
  return 2e-6 * fmax(1, 0.3 * sqrt((double)(inputs * s->kernel_height * s->kernel_width)));
}

static void check_convolution(const ck_conv_shape *s, ck_direction direction, ck_conv_algorithm algorithm, int images, features parts,
                              bool rounds) {
  bool forward = direction == CK_FORWARD, stem = algorithm == CK_CONV_STEM;
  if (stem) parts &= AFFINE | PER_IMAGE | EPILOGUE_PARTS;
  // Operands that float and double evaluate to the same number: else they may round to different neighbours.
  if (rounds) parts &= RELU | RELU6 | STORE | SIGNS | EPILOGUE_PARTS;
  layout input = forward ? inner(s, images) : outer(s, images), result = forward ? outer(s, images) : inner(s, images);
  seed((unsigned)(images + s->channels));
  fixture f = make_fixture(input, result, parts);
  double *values = stem ? make_picture(&f) : evaluated_operand(&f);
  const float *weights = random_floats(weight_count(s));
  double *bare = zeros(plain_count(result)), *factors = values;
  float *kernels = floats(weight_count(s));
  memcpy(kernels, weights, weight_count(s) * sizeof(float));
  if (rounds) {
    factors = doubles(plain_count(input));
    for (size_t i = 0; i < plain_count(input); ++i) factors[i] = nearest_bfloat16(values[i]);
    for (size_t i = 0; i < weight_count(s); ++i) kernels[i] = (float)nearest_bfloat16((double)weights[i]);
  }
  transfer t = {kernels, factors, bare};
  each_multiplication(s, images, forward ? add_forward : add_backward, &t);
  ck_conv conv = ck_conv_make(s, direction, algorithm);
  conv.bfloat16 = rounds;
  size_t packed_bytes = ck_conv_packed_count(&conv) * sizeof(float);
  float *packed = buffer(packed_bytes);
  reserve(ck_conv_scratch_bytes(&conv));
  EACH_SET(set) {
    forget(packed, packed_bytes);
    ck_conv_pack(&conv, set % 2 ? pools[1] : NULL, weights, packed);
    char label[160];
    snprintf(label, sizeof label, "%s %s%s %s %d→%d %d×%d kernel %d×%d stride %d,%d parts 0x%x", set_name(set), names[algorithm],
             rounds ? " of bfloat16" : "", forward ? "forward" : "backward", s->channels, s->filters, s->height, s->width, s->kernel_height, s->kernel_width, s->stride_height,
             s->stride_width, (unsigned)parts);
    run_context context = {&conv, images, packed, &f};
    check_fixture(&f, bare, values, tolerance(&conv), label, run_step, &context);
  }
  release_buffers();
}

static void test_algorithm(int algorithm, bool rounds) {
  begin_group(!rounds ? names[algorithm] : algorithm == CK_CONV_DIRECT ? "direct, bfloat16" : "pointwise, bfloat16");
  bool first[2] = {true, true};
  for (int i = 0; i < SHAPES; ++i)
    for (int direction = CK_FORWARD; direction <= CK_BACKWARD_DATA; ++direction) {
      if (!ck_conv_supports(&shapes[i], (ck_direction)direction, (ck_conv_algorithm)algorithm)) continue;
      // All combinations once, then three per shape in turn.
      for (int c = 0; c < COMBINATIONS; ++c)
        if (first[direction] || c == (3 * i) % COMBINATIONS || c == (3 * i + 1) % COMBINATIONS || c == (3 * i + 2) % COMBINATIONS)
          check_convolution(&shapes[i], (ck_direction)direction, (ck_conv_algorithm)algorithm, 1 + (c + i) % 3, combinations[c], rounds);
      first[direction] = false;
    }
}

/// All that a convolution forward writes, to compare with what it writes when it works in another way.
typedef struct {
  size_t output_bytes, stored_bytes, sum_bytes, sign_bytes;
  void *output, *stored, *sums, *signs;
} written;
static written make_written(layout input, layout result) {
  written w = {.output_bytes = blocked_count(result) * sizeof(float), .stored_bytes = blocked_count(input) * sizeof(float)};
  w.sum_bytes = (size_t)result.images * (size_t)padded(result) * 2 * sizeof(double);
  w.sign_bytes = blocked_count(input) / 16 * sizeof(uint16_t);
  w.output = buffer(w.output_bytes), w.stored = buffer(w.stored_bytes), w.sums = buffer(w.sum_bytes), w.signs = buffer(w.sign_bytes);
  return w;
}
static void forget_written(const written *w, fixture *f) {
  forget(f->output, w->output_bytes);
  forget(f->stored, w->stored_bytes);
  forget(f->sums, w->sum_bytes);
  forget(f->signs, w->sign_bytes);
}
static void keep_written(written *w, const fixture *f) {
  memcpy(w->output, f->output, w->output_bytes);
  memcpy(w->stored, f->stored, w->stored_bytes);
  memcpy(w->sums, f->sums, w->sum_bytes);
  memcpy(w->signs, f->signs, w->sign_bytes);
}
static bool same_written(const written *w, const fixture *f, bool with_sums) {
  return memcmp(w->output, f->output, w->output_bytes) == 0 && memcmp(w->stored, f->stored, w->stored_bytes) == 0 &&
         memcmp(w->signs, f->signs, w->sign_bytes) == 0 && (!with_sums || memcmp(w->sums, f->sums, w->sum_bytes) == 0);
}

/// What Winograd writes is the same bits however its tiles fall into blocks, and however many rows its ring has.
static void check_tile_blocks(const ck_conv_shape *s, int images) {
  static const int tile_blocks[] = {1, 3, 7, 16, 28, 50, 128};
  layout input = inner(s, images), result = outer(s, images);
  seed((unsigned)s->height);
  fixture f = make_fixture(input, result, AFFINE | SECOND | RELU | STORE | SIGNS | CENTER);
  const float *weights = random_floats(weight_count(s));
  ck_conv conv = ck_conv_make(s, CK_FORWARD, CK_CONV_WINOGRAD);
  float *packed = floats(ck_conv_packed_count(&conv));
  written first = make_written(input, result);
  EACH_SET(set) {
    ck_conv_pack(&conv, NULL, weights, packed);
    for (size_t i = 0; i < sizeof tile_blocks / sizeof *tile_blocks; ++i) {
      conv.tile_block = tile_blocks[i];
      reserve(ck_conv_scratch_bytes(&conv));
      forget_written(&first, &f);
      ck_conv_run(&conv, pools[i % POOLS], images, packed, &f.operand, &f.epilogue);
      if (i == 0) keep_written(&first, &f);
      expect(same_written(&first, &f, true), "%s Winograd %d→%d %d×%d: the same bits with blocks of 1 and of %d tiles", set_name(set),
             s->channels, s->filters, s->height, s->width, conv.tile_block);
    }
  }
  release_buffers();
}

/// Where nobody takes sums an image may be divided in other ways: to the same bits, with everything that the operand leaves behind.
static void check_without_sums(const ck_conv_shape *s, ck_conv_algorithm algorithm, int images) {
  layout input = inner(s, images), result = outer(s, images);
  seed((unsigned)s->width);
  fixture f = make_fixture(input, result, AFFINE | SECOND | RELU | STORE | SIGNS | BIAS);
  const float *weights = random_floats(weight_count(s));
  ck_conv conv = ck_conv_make(s, CK_FORWARD, algorithm);
  float *packed = floats(ck_conv_packed_count(&conv));
  written with = make_written(input, result);
  ck_epilogue without = f.epilogue;
  without.sums.sums = NULL;
  reserve(ck_conv_scratch_bytes(&conv));
  EACH_SET(set) {
    ck_conv_pack(&conv, NULL, weights, packed);
    for (int run = 0; run <= POOLS; ++run) {
      forget_written(&with, &f);
      ck_conv_run(&conv, pools[run % POOLS], images, packed, &f.operand, run == 0 ? &f.epilogue : &without);
      if (run == 0) keep_written(&with, &f);
      expect(same_written(&with, &f, false), "%s %s %d→%d %d×%d, %d images: the same bits with and without sums", set_name(set),
             names[algorithm], s->channels, s->filters, s->height, s->width, images);
    }
  }
  release_buffers();
}

static void test_without_sums(void) {
  static const ck_conv_shape large[] = {
      SHAPE(40, 72, 14, 9, 1, 1, 1, 1, 0, 0, false), SHAPE(256, 40, 20, 21, 1, 1, 1, 1, 0, 0, false),
      SHAPE(272, 48, 33, 35, 1, 1, 2, 2, 0, 0, false), SHAPE(32, 48, 23, 21, 3, 3, 1, 1, 1, 1, false)};
  begin_group("results without sums");
  for (size_t i = 0; i < sizeof large / sizeof *large; ++i)
    for (int algorithm = 0; algorithm < CK_CONV_STEM; ++algorithm)
      for (int images = 1; images <= 4; images += 3)
        if (ck_conv_supports(&large[i], CK_FORWARD, (ck_conv_algorithm)algorithm)) check_without_sums(&large[i], (ck_conv_algorithm)algorithm, images);
}

static void test_tile_blocks(void) {
  static const ck_conv_shape tall[] = {
      SHAPE(16, 16, 40, 12, 3, 3, 1, 1, 1, 1, false), SHAPE(33, 17, 23, 18, 3, 3, 1, 1, 1, 1, false), SHAPE(16, 48, 5, 6, 3, 3, 1, 1, 1, 1, false)};
  begin_group("blocks of Winograd's tiles");
  for (size_t i = 0; i < sizeof tall / sizeof *tall; ++i) check_tile_blocks(&tall[i], 5);
}

void test_convolutions(void) {
  test_tile_blocks();
  test_without_sums();
  for (int algorithm = 0; algorithm < ALGORITHMS; ++algorithm) test_algorithm(algorithm, false);
  test_algorithm(CK_CONV_DIRECT, true);
  test_algorithm(CK_CONV_POINTWISE, true);
}

typedef struct {
  const double *inputs, *gradients;
  double *weights;
} gradient_sums;
static void add_gradient(void *context, size_t inside, size_t outside, size_t weight) {
  const gradient_sums *g = context;
  g->weights[weight] += g->inputs[inside] * g->gradients[outside];
}

static void check_weight_gradient(const ck_conv_shape *s, ck_conv_algorithm algorithm, int images, features parts) {
  bool stem = algorithm == CK_CONV_STEM;
  seed((unsigned)(images + s->filters));
  layout small = inner(s, images), large = outer(s, images);
  fixture input = make_fixture(small, large, stem ? 0 : parts), gradient = make_fixture(large, small, AFFINE | SECOND | SECOND_AFFINE);
  double *values = stem ? make_picture(&input) : evaluated_operand(&input), *slopes = evaluated_operand(&gradient);
  double *weights = zeros(weight_count(s)), *bias = zeros((size_t)s->filters);
  gradient_sums sums = {values, slopes, weights};
  each_multiplication(s, images, add_gradient, &sums);
  for (size_t i = 0; i < plain_count(large); ++i) bias[i / (size_t)large.positions % (size_t)s->filters] += slopes[i];
  ck_conv conv = ck_conv_make(s, CK_FORWARD, algorithm);
  size_t partial_bytes = ck_conv_weight_gradient_partial_bytes(&conv, images);
  void *partial = buffer(partial_bytes);
  float *got = floats(weight_count(s)), *got_bias = floats((size_t)s->filters), *first = floats(weight_count(s));
  reserve(ck_conv_weight_gradient_scratch_bytes(&conv));
  EACH_SET(set)
    for (int pool = 0; pool < POOLS; ++pool) {
      forget(partial, partial_bytes);
      forget(got, weight_count(s) * sizeof(float));
      forget(got_bias, (size_t)s->filters * sizeof(float));
      ck_conv_weight_gradient(&conv, pools[pool], images, &input.operand, &gradient.operand, partial, got, got_bias);
      if (pool == 0) memcpy(first, got, weight_count(s) * sizeof(float));
      expect_close(compare_floats(got, weights, weight_count(s)), 2e-5, "%s %s %d→%d %d×%d, %d images: weights", set_name(set), names[algorithm],
                   s->channels, s->filters, s->height, s->width, images);
      expect_close(compare_floats(got_bias, bias, (size_t)s->filters), 2e-5, "%s %s %d→%d: bias", set_name(set), names[algorithm], s->channels,
                   s->filters);
      expect(memcmp(first, got, weight_count(s) * sizeof(float)) == 0, "%s %s %d→%d: the same bits with any number of workers", set_name(set),
             names[algorithm], s->channels, s->filters);
    }
  release_buffers();
}

void test_weight_gradients(void) {
  begin_group("weight gradients");
  for (int i = 0; i < SHAPES; ++i)
    for (int algorithm = 0; algorithm < ALGORITHMS; ++algorithm) {
      // Winograd and pointwise take the same way as direct.
      if (algorithm == CK_CONV_WINOGRAD || algorithm == CK_CONV_POINTWISE) continue;
      if (!ck_conv_supports(&shapes[i], CK_FORWARD, (ck_conv_algorithm)algorithm)) continue;
      check_weight_gradient(&shapes[i], (ck_conv_algorithm)algorithm, 1, 0);
      check_weight_gradient(&shapes[i], (ck_conv_algorithm)algorithm, 5, i % 2 ? AFFINE | RELU : AFFINE | SECOND | SECOND_AFFINE | RELU6);
    }
  check_weight_gradient(&shapes[1], CK_CONV_DIRECT, 19, AFFINE | RELU);
}
