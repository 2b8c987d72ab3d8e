// Rankings of products and predictions that neighbours agree on, against their definitions.
#include <math.h>
#include <string.h>

#include "ckernels_neighbours.h"
#include "support.h"

/// All candidates of a row, largest first, of equal ones the first: by selection, one after the other.
static void expected_ranking(const float *products, int count, int row, int capacity, int32_t *indices) {
  for (int place = 0; place < capacity; ++place) {
    int best = -1;
    for (int j = 0; j < count; ++j) {
      bool taken = j == row;
      for (int k = 0; k < place; ++k) taken = taken || indices[k] == j;
      if (!taken && (best < 0 || products[row * count + j] > products[row * count + best])) best = j;
    }
    indices[place] = best;
  }
}

/// A symmetric matrix, ranked in strips whose products serve both sides; `levels`: how many different values, so that many are equal.
static void check_ranking(int count, int capacity, int strip, int levels) {
  size_t square = (size_t)count * (size_t)count, entries = (size_t)count * (size_t)capacity;
  float *products = floats(square), *block = floats((size_t)strip * (size_t)count);
  for (int i = 0; i < count; ++i)
    for (int j = 0; j <= i; ++j)
      products[i * count + j] = products[j * count + i] = (float)(int)(random_value() * (float)levels);
  int32_t *expected = buffer(entries * sizeof(int32_t));
  for (int row = 0; row < count; ++row) expected_ranking(products, count, row, capacity, expected + row * capacity);
  ck_rankings rankings = {(size_t)capacity, floats(entries), buffer(entries * sizeof(int32_t)), buffer((size_t)count * sizeof(int32_t))};
  EACH_SET(set) {
    memset(rankings.counts, 0, (size_t)count * sizeof(int32_t));
    for (int first = 0; first < count; first += strip) {
      int height = count - first < strip ? count - first : strip, columns = count - first;
      for (int i = 0; i < height; ++i)
        memcpy(block + i * columns, products + (first + i) * count + first, (size_t)columns * sizeof(float));
      for (int i = 0; i < height; ++i)
        ck_rank_row(&rankings, (size_t)(first + i), block + i * columns, (size_t)first, (size_t)columns);
      for (int j = height; j < columns; j += 40)
        ck_rank_columns(&rankings, (size_t)(first + j), (size_t)(columns - j < 40 ? columns - j : 40), block + j, (size_t)columns, (size_t)first,
                        (size_t)height);
    }
    bool right = true;
    for (int row = 0; row < count; ++row)
      for (int place = 0; place < capacity; ++place) {
        int32_t found = rankings.indices[row * capacity + place];
        right = right && found == expected[row * capacity + place] && rankings.values[row * capacity + place] == products[row * count + found];
      }
    expect(right, "%s %d of %d rows in strips of %d, %d values: rankings", set_name(set), capacity, count, strip, levels);
  }
  release_buffers();
}

typedef struct {
  int rows, width, neighbours;
  bool weighted;
} agreement;

static void check_step(agreement a) {
  size_t rows = (size_t)a.rows, width = (size_t)a.width, stride = ck_neighbour_stride(width), entries = rows * (size_t)a.neighbours;
  float *start = random_floats(rows * width), *before = floats(rows * stride), *pull = floats(rows * stride), *weight = random_floats(entries);
  int32_t *starts = buffer((rows + 1) * sizeof(int32_t)), *index = buffer(entries * sizeof(int32_t));
  double *logs = doubles(rows * width), *sums = doubles(rows * width), *energies = doubles(rows), *alone = doubles(rows);
  double *expected = doubles(rows * width), *expected_alone = doubles(rows * width);
  for (size_t i = 0; i < entries; ++i) index[i] = (int32_t)((i * 7 + 3) % rows);
  for (size_t r = 0; r <= rows; ++r) starts[r] = (int32_t)(r * (size_t)a.neighbours);
  for (size_t i = 0; i < rows * stride; ++i) before[i] = pull[i] = i % stride < width ? 4 * random_value() : 0;
  for (size_t r = 0; r < rows; ++r) {
    double total = 0, total_alone = 0;
    for (size_t i = 0; i < width; ++i) {
      // From 0 to 1, zeros and ones included.
      start[r * width + i] = i % 5 == 0 ? (float)(i % 2) : fabsf(start[r * width + i]);
      double *log_value = &logs[r * width + i], *sum = &sums[r * width + i];
      *sum = *log_value = log((double)start[r * width + i] + 1e-10);
      for (size_t k = (size_t)starts[r]; k < (size_t)starts[r + 1]; ++k)
        *sum += (a.weighted ? (double)weight[k] : 1) * (double)before[(size_t)index[k] * stride + i];
      total += expected[r * width + i] = exp(*sum);
      total_alone += expected_alone[r * width + i] = exp(*log_value + (double)pull[r * stride + i]);
    }
    energies[r] = -log(total);
    alone[r] = -log(total_alone);
    for (size_t i = 0; i < width; ++i) {
      expected[r * width + i] /= total;
      expected_alone[r * width + i] /= total_alone;
    }
  }
  float *logarithms = floats(rows * stride), *after = floats(rows * stride), *got = floats(rows * width);
  double *got_energies = doubles(rows);
  EACH_SET(set) {
    ck_log_rows(start, logarithms, rows, width);
    for (size_t r = 0; r < rows; ++r) memcpy(got + r * width, logarithms + r * stride, width * sizeof(float));
    expect_close(compare_floats(got, logs, rows * width), 2e-7, "%s %d × %d: logarithms", set_name(set), a.rows, a.width);
    ck_neighbours neighbours = {starts, index, a.weighted ? weight : NULL};
    for (int full = 0; full < 2; ++full) {
      forget(after, rows * stride * sizeof(float));
      // In two parts, as workers do.
      ck_neighbour_softmax(full ? NULL : &neighbours, logarithms, full ? pull : NULL, before, after, got_energies, 0, 1, width);
      ck_neighbour_softmax(full ? NULL : &neighbours, logarithms, full ? pull : NULL, before, after, got_energies, 1, rows - 1, width);
      bool empty = true;
      for (size_t r = 0; r < rows; ++r) {
        memcpy(got + r * width, after + r * stride, width * sizeof(float));
        for (size_t i = width; i < stride; ++i) empty = empty && after[r * stride + i] == 0;
      }
      expect(empty, "%s %d × %d: zeros behind the rows", set_name(set), a.rows, a.width);
      expect_close(compare_floats(got, full ? expected_alone : expected, rows * width), 2e-6, "%s %d × %d: agreement %d", set_name(set), a.rows,
                   a.width, full);
      expect_close(compare_doubles(got_energies, full ? alone : energies, rows), 1e-6, "%s %d × %d: energies %d", set_name(set), a.rows, a.width,
                   full);
    }
  }
  release_buffers();
}

void test_neighbours(void) {
  begin_group("neighbours");
  seed(4);
  check_ranking(1 + 1, 1, 2, 1000);
  check_ranking(13, 5, 13, 1000);
  check_ranking(70, 13, 32, 1000);
  check_ranking(70, 13, 32, 3);
  check_ranking(130, 9, 48, 40);
  check_ranking(33, 32, 16, 5);
  static const agreement cases[] = {{2, 1, 1, false}, {7, 10, 5, false}, {5, 16, 3, true}, {9, 33, 0, false}, {6, 100, 4, true}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) check_step(cases[i]);
}
