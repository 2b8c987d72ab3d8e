// Kernels for rows that are near each other: the largest products of each, and predictions that neighbours agree on. No threads of their own.
#ifndef CKERNELS_NEIGHBOURS_H
#define CKERNELS_NEIGHBOURS_H
#include <stddef.h>
#include <stdint.h>

/// The `capacity` best candidates of each row seen so far, largest value first, of equal ones that which came first.
typedef struct {
  size_t capacity;   // at least 1
  float *values;     // [row][capacity]
  int32_t *indices;  // [row][capacity]
  int32_t *counts;   // [row], 0 at first
} ck_rankings;
/// Candidates first ..< first + n for a row, which is no candidate of its own.
void ck_rank_row(const ck_rankings *rankings, size_t row, const float *values, size_t first, size_t n);
/// Candidates first_candidate ..< first_candidate + candidates for rows first ..< first + n, which are not among them: values are columns of
/// block [candidate][stride]. All of these rows have seen the same candidates so far.
void ck_rank_columns(const ck_rankings *rankings, size_t first, size_t n, const float *block, size_t stride, size_t first_candidate,
                     size_t candidates);

/// Sparse weights: row r has the neighbours index[start[r]] … index[start[r + 1] − 1] and as many weights.
typedef struct {
  const int32_t *start, *index;
  const float *weight;  // NULL: 1 everywhere
} ck_neighbours;
/// Floats from a row of `width` values to the next, in all of what follows but `probabilities`.
size_t ck_neighbour_stride(size_t width);
/// logarithms ← ln(probabilities + 1e-10), −∞ behind `width`.
void ck_log_rows(const float *probabilities, float *logarithms, size_t rows, size_t width);
/// Rows first ..< first + rows: after ← softmax of s = logarithms + Σ weight · before[index], 0 behind `width`; energies[row] ← −ln Σ exp(s).
/// neighbours NULL: none. pull not NULL: its rows in place of the sums.
void ck_neighbour_softmax(const ck_neighbours *neighbours, const float *logarithms, const float *pull, const float *before, float *after,
                          double *energies, size_t first, size_t rows, size_t width);

#endif
