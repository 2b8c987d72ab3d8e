// Steps without a convolution against plain loops: evaluation, layouts, means, gates, poolings, shortcuts; the yardsticks give numbers.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"

typedef struct {
  int images, channels, height, width;
} step_size;
static const step_size sizes[] = {{1, 16, 7, 9}, {2, 26, 14, 14}, {3, 40, 5, 1}, {5, 64, 8, 8}, {2, 16, 1, 1}, {1, 100, 13, 20}};
enum { SIZES = sizeof sizes / sizeof sizes[0] };
static layout layout_of(step_size s) { return (layout){s.images, s.channels, s.height * s.width}; }

typedef struct {
  step_size s;
  fixture *f;
  const float *gradient;
  const ck_pool_shape *shape;
} step_context;

static void run_elementwise(void *context, ck_pool *pool) {
  const step_context *c = context;
  ck_elementwise(pool, c->s.images, c->s.channels, c->s.height, c->s.width, &c->f->operand, &c->f->epilogue);
}
static void run_average_gradient(void *context, ck_pool *pool) {
  const step_context *c = context;
  ck_global_average_backward(pool, c->s.images, c->s.channels, c->s.height, c->s.width, c->gradient, &c->f->epilogue);
}

/// What leaves the blocked layout: plain values, means, products with a gradient.
static void check_plain_results(step_size s, fixture *f, const double *values, const char *name) {
  layout l = layout_of(s);
  size_t count = plain_count(l), planes = (size_t)s.images * (size_t)s.channels;
  const float *gradient = random_blocked(l);
  double *means = zeros(planes), *products = zeros(planes);
  for (int image = 0; image < s.images; ++image)
    for (int channel = 0; channel < s.channels; ++channel)
      for (int position = 0; position < l.positions; ++position) {
        double value = values[plain_index(l, image, channel, position)];
        means[image * s.channels + channel] += value / l.positions;
        products[image * s.channels + channel] += value * (double)gradient[blocked_index(l, image, channel, position)];
      }
  float *plain = floats(count), *blocked = floats(blocked_count(l)), *got = floats(planes);
  for (int pool = 0; pool < POOLS; ++pool) {
    ck_from_blocked(pools[pool], s.images, s.channels, s.height, s.width, &f->operand, plain);
    expect_close(compare_floats(plain, values, count), 2e-6, "%s: from blocked", name);
    ck_to_blocked(pools[pool], s.images, s.channels, s.height, s.width, plain, blocked);
    bool equal = true;
    for (int image = 0; image < s.images; ++image)
      for (int channel = 0; channel < padded(l); ++channel)
        for (int position = 0; position < l.positions; ++position)
          equal = equal && blocked[blocked_index(l, image, channel, position)] ==
                               (channel < s.channels ? plain[plain_index(l, image, channel, position)] : 0);
    expect(equal, "%s: to blocked", name);
    ck_global_average(pools[pool], s.images, s.channels, s.height, s.width, &f->operand, got);
    expect_close(compare_floats(got, means, planes), 2e-6, "%s: means", name);
    ck_channel_products(pools[pool], s.images, s.channels, s.height, s.width, &f->operand, gradient, got);
    expect_close(compare_floats(got, products, planes), 4e-6, "%s: products of channels", name);
  }
}

static void check_step(step_size s, features parts) {
  seed((unsigned)s.channels);
  layout l = layout_of(s);
  fixture f = make_fixture(l, l, parts);
  double *values = evaluated_operand(&f), *spread = doubles(plain_count(l));
  float *gradient = random_floats((size_t)s.images * (size_t)s.channels);
  for (size_t i = 0; i < plain_count(l); ++i) spread[i] = (double)gradient[i / (size_t)l.positions] / l.positions;
  EACH_SET(set) {
    char name[96];
    snprintf(name, sizeof name, "%s %d×%d×%d×%d parts 0x%x", set_name(set), s.images, s.channels, s.height, s.width, (unsigned)parts);
    step_context context = {s, &f, gradient, NULL};
    check_fixture(&f, values, values, 2e-6, name, run_elementwise, &context);
    check_fixture(&f, spread, NULL, 2e-6, name, run_average_gradient, &context);
    check_plain_results(s, &f, values, name);
  }
  release_buffers();
}

typedef struct {
  int images, channels, height, width, stride, before, out_channels;
} shortcut_size;

static void check_shortcut(shortcut_size s) {
  int out_height = (s.height + s.stride - 1) / s.stride, out_width = (s.width + s.stride - 1) / s.stride;
  layout small = {s.images, s.channels, s.height * s.width}, large = {s.images, s.out_channels, out_height * out_width};
  seed((unsigned)s.channels);
  const float *x = random_blocked(small), *gradient = random_blocked(large);
  size_t out_count = blocked_count(large), in_count = blocked_count(small);
  float *expected = memset(floats(out_count), 0, out_count * sizeof(float)), *back = memset(floats(in_count), 0, in_count * sizeof(float));
  for (int image = 0; image < s.images; ++image)
    for (int channel = 0; channel < s.channels; ++channel)
      for (int position = 0; position < large.positions; ++position) {
        size_t inside = blocked_index(small, image, channel, position / out_width * s.stride * s.width + position % out_width * s.stride);
        size_t outside = blocked_index(large, image, channel + s.before, position);
        expected[outside] = x[inside];
        back[inside] = gradient[outside];
      }
  float *got = floats(out_count), *got_back = floats(in_count);
  EACH_SET(set) for (int pool = 0; pool < POOLS; ++pool) {
    forget(got, out_count * sizeof(float));
    forget(got_back, in_count * sizeof(float));
    ck_shortcut(pools[pool], s.images, s.channels, s.height, s.width, s.stride, s.before, s.out_channels, x, got);
    ck_shortcut_backward(pools[pool], s.images, s.channels, s.height, s.width, s.stride, s.before, s.out_channels, gradient, got_back);
    expect(memcmp(got, expected, out_count * sizeof(float)) == 0, "%s %d→%d from %d: shortcut", set_name(set), s.channels, s.out_channels, s.before);
    expect(memcmp(got_back, back, in_count * sizeof(float)) == 0, "%s %d→%d from %d: shortcut's gradient", set_name(set), s.channels,
           s.out_channels, s.before);
  }
  release_buffers();
}

void test_steps(void) {
  begin_group("steps");
  for (int i = 0; i < SIZES; ++i)
    for (int c = 0; c < COMBINATIONS; ++c) check_step(sizes[i], combinations[c]);
  begin_group("shortcuts");
  static const shortcut_size shortcuts[] = {{2, 16, 8, 8, 2, 8, 32},  {1, 16, 7, 9, 2, 5, 30},   {2, 32, 6, 6, 1, 16, 64},
                                            {3, 20, 5, 5, 2, 0, 20}, {1, 40, 9, 8, 3, 21, 100}, {2, 24, 4, 4, 2, 12, 48}};
  for (size_t i = 0; i < sizeof shortcuts / sizeof shortcuts[0]; ++i) check_shortcut(shortcuts[i]);
}

static void run_pooling(void *context, ck_pool *pool) {
  const step_context *c = context;
  ck_pooling(pool, c->s.images, c->shape, &c->f->operand, &c->f->epilogue);
}
static void run_pooling_gradient(void *context, ck_pool *pool) {
  const step_context *c = context;
  ck_pooling_backward(pool, c->s.images, c->shape, &c->f->operand, c->gradient, &c->f->epilogue);
}

/// One window of one channel: its result, and its gradient spread over the channel.
static double pool_window(const ck_pool_shape *p, const double *channel, int row, int column, double gradient, double *spread) {
  int inside[64], count = 0, best = 0;
  double sum = 0;
  for (int tap = 0; tap < p->kernel_height * p->kernel_width; ++tap) {
    int y = row * p->stride_height - p->pad_top + tap / p->kernel_width, x = column * p->stride_width - p->pad_left + tap % p->kernel_width;
    if (y < 0 || x < 0 || y >= p->height || x >= p->width) continue;
    inside[count] = y * p->width + x;
    sum += channel[inside[count]];
    if (channel[inside[count]] > channel[inside[best]]) best = count;
    ++count;
  }
  if (p->maximum) {
    spread[inside[best]] += gradient;
    return channel[inside[best]];
  }
  double divisor = p->count_include_pad ? p->kernel_height * p->kernel_width : count;
  for (int i = 0; i < count; ++i) spread[inside[i]] += gradient / divisor;
  return sum / divisor;
}

static void check_pooling(step_size s, ck_pool_shape p, features parts) {
  seed((unsigned)(s.channels + p.kernel_height));
  layout small = layout_of(s), large = {s.images, s.channels, p.out_height * p.out_width};
  fixture forward = make_fixture(small, large, parts), backward = make_fixture(small, small, parts);
  backward.operand = forward.operand;
  backward.operand.store = backward.stored = NULL;
  const float *gradient = random_blocked(large);
  double *values = evaluated_operand(&forward), *pooled = doubles(plain_count(large)), *spread = zeros(plain_count(small));
  for (int image = 0; image < s.images; ++image)
    for (int channel = 0; channel < s.channels; ++channel)
      for (int position = 0; position < large.positions; ++position)
        pooled[plain_index(large, image, channel, position)] =
            pool_window(&p, values + plain_index(small, image, channel, 0), position / p.out_width, position % p.out_width,
                        (double)gradient[blocked_index(large, image, channel, position)], spread + plain_index(small, image, channel, 0));
  reserve(ck_pooling_scratch_bytes(&p));
  EACH_SET(set) {
    char name[96];
    snprintf(name, sizeof name, "%s %s %d×%d kernel %d stride %d parts 0x%x", set_name(set), p.maximum ? "maximum" : "average", s.height, s.width,
             p.kernel_height, p.stride_height, (unsigned)parts);
    step_context context = {s, &forward, gradient, &p};
    check_fixture(&forward, pooled, values, 4e-6, name, run_pooling, &context);
    context.f = &backward;
    check_fixture(&backward, spread, NULL, 4e-6, name, run_pooling_gradient, &context);
  }
  release_buffers();
}

void test_pooling(void) {
  static const struct {
    step_size s;
    int kernel, stride, pad;
  } cases[] = {{{2, 20, 14, 15}, 3, 2, 1}, {{3, 16, 9, 9}, 2, 2, 0}, {{1, 48, 11, 10}, 3, 1, 1}, {{2, 16, 10, 10}, 2, 3, 0},
               {{1, 16, 8, 8}, 8, 8, 0},   {{2, 16, 7, 7}, 1, 1, 0}, {{1, 24, 5, 6}, 5, 3, 2}};
  begin_group("pooling");
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i)
    for (int kind = 0; kind < 3; ++kind)
      for (int c = 0; c < COMBINATIONS; c += 1 + (i > 0) * 2) {
        step_size s = cases[i].s;
        int kernel = cases[i].kernel, stride = cases[i].stride, pad = cases[i].pad;
        ck_pool_shape p = {s.channels, s.height, s.width, (s.height + 2 * pad - kernel) / stride + 1, (s.width + 2 * pad - kernel) / stride + 1,
                           kernel, kernel, stride, stride, pad, pad, kind == 0, kind == 2};
        check_pooling(s, p, combinations[c]);
      }
}

void test_yardsticks(void) {
  begin_group("yardsticks");
  EACH_SET(set) {
    double peak = ck_measure_peak_gflops(pools[0]), bandwidth = ck_measure_bandwidth(pools[0], 1 << 20);
    expect(peak > 0 && isfinite(peak), "%s: peak %g", set_name(set), peak);
    expect(bandwidth > 0 && isfinite(bandwidth), "%s: bandwidth %g", set_name(set), bandwidth);
  }
}
