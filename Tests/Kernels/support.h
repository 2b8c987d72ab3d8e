// What the kernel tests share: guarded buffers, random numbers, the blocked layout, comparisons with values in double, worker pools.
#ifndef KERNEL_TEST_SUPPORT_H
#define KERNEL_TEST_SUPPORT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckernels.h"
#include "ckernels_benchmark.h"
#include "ckernels_plain.h"

/// Memory at a multiple of 64 bytes, every byte 0xFF (NaN as float and as double), with a guard behind it, until release_buffers.
void *buffer(size_t bytes);
static inline float *floats(size_t count) { return buffer(count * sizeof(float)); }
static inline double *doubles(size_t count) { return buffer(count * sizeof(double)); }
/// The same with zeros.
double *zeros(size_t count);
/// Every byte 0xFF again.
void forget(void *memory, size_t bytes);
/// Frees all buffers; what was written behind one of them is a failure.
void release_buffers(void);

/// Restarts the random numbers.
void seed(unsigned value);
/// In −1 ..< 1, the same on every processor.
float random_value(void);
float *random_floats(size_t count);

/// Blocked values: [image][channel / 16][position][16].
typedef struct {
  int images, channels, positions;
} layout;
static inline int padded(layout l) { return (l.channels + 15) / 16 * 16; }
static inline size_t blocked_count(layout l) { return (size_t)l.images * (size_t)padded(l) * (size_t)l.positions; }
static inline size_t plain_count(layout l) { return (size_t)l.images * (size_t)l.channels * (size_t)l.positions; }
static inline size_t blocked_index(layout l, int image, int channel, int position) {
  return (((size_t)image * (size_t)(padded(l) / 16) + (size_t)(channel / 16)) * (size_t)l.positions + (size_t)position) * 16 + (size_t)(channel % 16);
}
static inline size_t plain_index(layout l, int image, int channel, int position) {
  return ((size_t)image * (size_t)l.channels + (size_t)channel) * (size_t)l.positions + (size_t)position;
}
/// Random values; padded lanes are 0.
float *random_blocked(layout l);
/// One value per channel, padded to whole blocks, for each of `images`.
float *random_channels(int channels, int images);

/// The nearest number with 8 significant bits, the even one of two: a bfloat16.
double nearest_bfloat16(double x);

/// The largest difference seen and the largest value it is relative to; NaN stays.
typedef struct {
  double difference, largest;
} comparison;
void compare(comparison *c, double got, double expected);
comparison compare_floats(const float *got, const double *expected, size_t count);
comparison compare_doubles(const double *got, const double *expected, size_t count);
/// The difference must be at most `tolerance` of the largest value, or of 0.1 where all are smaller.
void expect_close(comparison c, double tolerance, const char *format, ...) __attribute__((format(printf, 3, 4)));
void expect(bool condition, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// The following expectations belong to this group: its number of them and its worst error are printed.
void begin_group(const char *name);
void end_groups(void);
int failures(void);

/// Instruction sets of this machine that are tested.
extern ck_isa tested_sets[4];
extern int tested_count;
#define EACH_SET(set) for (int set = 0; set < tested_count && ck_select_isa(tested_sets[set]); ++set)
static inline const char *set_name(int set) { return ck_isa_name(tested_sets[set]); }

/// Pools of one and of three workers: results must be the same.
enum { POOLS = 2 };
extern ck_pool *pools[POOLS];
void reserve(size_t bytes);

void test_products(void);
void test_linear(void);
void test_attention(void);
void test_convolutions(void);
void test_weight_gradients(void);
void test_steps(void);
void test_pooling(void);
void test_plain(void);
void test_plain_rows(void);
void test_neighbours(void);
void test_yardsticks(void);

#endif
