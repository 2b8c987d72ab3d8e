// Buffers, random numbers and expectations of the kernel tests.
#include "support.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAXIMUM_BUFFERS = 256, GUARD_BYTES = 64, GUARD = 0xA5, SHOWN_FAILURES = 20 };

static struct {
  unsigned char *memory;
  size_t bytes;
} buffers[MAXIMUM_BUFFERS];
static int buffer_count;

void *buffer(size_t bytes) {
  size_t whole = (bytes + GUARD_BYTES + 63) / 64 * 64;
  unsigned char *memory = aligned_alloc(64, whole);
  if (!memory || buffer_count == MAXIMUM_BUFFERS) {
    fprintf(stderr, "no memory for the tests\n");
    exit(2);
  }
  memset(memory, 0xFF, bytes);
  memset(memory + bytes, GUARD, GUARD_BYTES);
  buffers[buffer_count].memory = memory;
  buffers[buffer_count++].bytes = bytes;
  return memory;
}

double *zeros(size_t count) { return memset(doubles(count), 0, count * sizeof(double)); }
void forget(void *memory, size_t bytes) { memset(memory, 0xFF, bytes); }

void release_buffers(void) {
  bool kept = true;
  for (int i = 0; i < buffer_count; ++i) {
    for (int j = 0; j < GUARD_BYTES; ++j) kept = kept && buffers[i].memory[buffers[i].bytes + (size_t)j] == GUARD;
    free(buffers[i].memory);
  }
  buffer_count = 0;
  expect(kept, "nothing is written behind a buffer");
}

static uint32_t state = 1;
void seed(unsigned value) { state = value * 2654435761u + 12345u; }
float random_value(void) {
  state = state * 1664525u + 1013904223u;
  return (float)((state >> 8) & 0xFFFF) / 32768 - 1;
}
float *random_floats(size_t count) {
  float *values = floats(count);
  for (size_t i = 0; i < count; ++i) values[i] = random_value();
  return values;
}
float *random_blocked(layout l) {
  float *values = floats(blocked_count(l));
  memset(values, 0, blocked_count(l) * sizeof(float));
  for (int image = 0; image < l.images; ++image)
    for (int channel = 0; channel < l.channels; ++channel)
      for (int position = 0; position < l.positions; ++position) values[blocked_index(l, image, channel, position)] = random_value();
  return values;
}
float *random_channels(int channels, int images) { return random_blocked((layout){images, channels, 1}); }

static const char *group;
static int group_expectations, all_expectations, failed;
static double group_worst, group_share;

static void fail(const char *format, va_list arguments) {
  if (++failed > SHOWN_FAILURES) return;
  fprintf(stderr, "FAILED %s: ", group ? group : "");
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
}

void compare(comparison *c, double got, double expected) {
  double difference = fabs(got - expected);
  if (!(difference <= c->difference)) c->difference = difference;
  if (fabs(expected) > c->largest) c->largest = fabs(expected);
}
comparison compare_floats(const float *got, const double *expected, size_t count) {
  comparison c = {0, 0};
  for (size_t i = 0; i < count; ++i) compare(&c, (double)got[i], expected[i]);
  return c;
}
comparison compare_doubles(const double *got, const double *expected, size_t count) {
  comparison c = {0, 0};
  for (size_t i = 0; i < count; ++i) compare(&c, got[i], expected[i]);
  return c;
}

void expect_close(comparison c, double tolerance, const char *format, ...) {
  double error = c.difference / fmax(c.largest, 0.1);
  ++group_expectations;
  if (error > group_worst) group_worst = error;
  if (error / tolerance > group_share) group_share = error / tolerance;
  if (error <= tolerance) return;
  char label[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(label, sizeof label, format, arguments);
  va_end(arguments);
  expect(false, "%s: error %.2g of the largest value, %.2g allowed", label, error, tolerance);
}

void expect(bool condition, const char *format, ...) {
  if (condition) {
    ++group_expectations;
    return;
  }
  va_list arguments;
  va_start(arguments, format);
  fail(format, arguments);
  va_end(arguments);
}

void begin_group(const char *name) {
  end_groups();
  group = name;
}
void end_groups(void) {
  if (group)
    printf("%-25s %5d expectations, largest error %.1e of the largest value (%3.0f %% of what is allowed)\n", group, group_expectations,
           group_worst, 100 * group_share);
  fflush(stdout);
  all_expectations += group_expectations;
  group = NULL;
  group_expectations = 0;
  group_worst = group_share = 0;
}
int failures(void) {
  end_groups();
  printf("%d expectations, %d failures\n", all_expectations, failed);
  return failed;
}

ck_isa tested_sets[4];
int tested_count;
ck_pool *pools[POOLS];
void reserve(size_t bytes) {
  for (int i = 0; i < POOLS; ++i) expect(ck_pool_reserve(pools[i], bytes), "scratch of %zu bytes", bytes);
}

double nearest_bfloat16(double x) {
  int exponent;
  double fraction = frexp(x, &exponent);
  return ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
}
