// How well a score tells known pictures from unknown ones.
#include "cevaluation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *left, const void *right) {
  float a = *(const float *)left, b = *(const float *)right;
  return (a > b) - (a < b);
}
static float *sorted(const float *values, long count) {
  float *copy = malloc((size_t)(count > 0 ? count : 1) * sizeof(float));
  if (!copy) abort();
  if (count > 0) memcpy(copy, values, (size_t)count * sizeof(float));
  qsort(copy, (size_t)count, sizeof(float), ascending);
  return copy;
}
// Number of values below `limit`, or at most `limit`.
static long rank(const float *values, long count, float limit, bool inclusive) {
  long low = 0, high = count;
  while (low < high) {
    long middle = (low + high) / 2;
    if (inclusive ? values[middle] <= limit : values[middle] < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

double ce_ranking_area(const float *known, const uint8_t *counts, long known_count, const float *unknown, long unknown_count) {
  if (known_count <= 0 || unknown_count <= 0) return NAN;
  float *others = sorted(unknown, unknown_count);
  double area = 0;
  for (long i = 0; i < known_count; i++) {
    if (!counts[i]) continue;
    area += 0.5 * (double)(rank(others, unknown_count, known[i], false) + rank(others, unknown_count, known[i], true));
  }
  free(others);
  return area / ((double)known_count * (double)unknown_count);
}

double ce_false_positive_rate(const float *known, long known_count, const float *unknown, long unknown_count, double rate) {
  if (known_count <= 0 || unknown_count <= 0) return NAN;
  float *values = sorted(known, known_count);
  long needed = (long)ceil(rate * (double)known_count - 1e-9);
  float threshold = values[known_count - (needed < 1 ? 1 : needed)];
  free(values);
  long above = 0;
  for (long i = 0; i < unknown_count; i++) above += unknown[i] >= threshold;
  return (double)above / (double)unknown_count;
}

float ce_two_part_threshold(const float *scores, long count) {
  if (count < 2) return count == 1 ? scores[0] : 0;
  float *values = sorted(scores, count);
  double total = 0;
  for (long i = 0; i < count; i++) total += values[i];
  double left = 0, best = -1;
  float threshold = values[0];
  // The least variance within the parts is the greatest between them.
  for (long i = 1; i < count; i++) {
    left += values[i - 1];
    if (values[i] == values[i - 1]) continue;
    double difference = left / (double)i - (total - left) / (double)(count - i);
    double between = difference * difference * (double)i * (double)(count - i);
    if (between > best) best = between, threshold = values[i];
  }
  free(values);
  return threshold;
}
