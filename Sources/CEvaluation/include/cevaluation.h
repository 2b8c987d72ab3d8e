// Loops over images that scores need, and the few calls to the system that replays need.
#ifndef CEVALUATION_H
#define CEVALUATION_H

#include <stdbool.h>
#include <stdint.h>

/// Sums over the judged images of a batch. The arrays have one place per bin of equal width in confidence.
typedef struct {
  double log_loss, brier, entropy;
  long judged, answered;
} ce_sums;

/// Scores `rows` answers of `classes` numbers each. `labels` are -1 where an image is not judged. `bin_count`, `bin_confidence` and
/// `bin_correct` (of `bins` places) are added to; `confidence` and `energy` get one number per image. `energy` is the logarithm of the sum of
/// exponentials of logits, the highest probability where the rows are probabilities.
void ce_score_rows(const float *scores, long rows, long classes, bool are_probabilities, const int32_t *labels, long bins, double *bin_count,
                   double *bin_confidence, double *bin_correct, float *confidence, float *energy, ce_sums *sums);

/// Share of pairs (known, unknown) in which the known score is higher, ties count half; only known ones with `counts[i]` enter the sum, all
/// enter the denominator. The area under the receiver operating characteristic where all count.
double ce_ranking_area(const float *known, const uint8_t *counts, long known_count, const float *unknown, long unknown_count);
/// Share of unknown scores at or above the highest threshold that at least `rate` of the known ones reach.
double ce_false_positive_rate(const float *known, long known_count, const float *unknown, long unknown_count, double rate);
/// The threshold that divides the scores into two parts with the least variance within them.
float ce_two_part_threshold(const float *scores, long count);

/// How many of `resamples` draws of `count` items with replacement have a sum of `differences` of at most 0, and of at least 0.
void ce_bootstrap(const int32_t *differences, long count, long resamples, uint64_t seed, long *at_most_zero, long *at_least_zero);

/// FNV-1a over bytes, continued from `hash`.
uint64_t ce_digest(const void *bytes, long count, uint64_t hash);
/// CRC-32C (Castagnoli).
uint32_t ce_crc32c(const void *bytes, long count);

/// Takes an exclusive lock on an open file without waiting; false where somebody else has it.
bool ce_lock(int descriptor);
/// This process ends when its parent, whose number is given, does.
void ce_end_with_parent(int parent);
/// Forgets the largest resident size so far.
void ce_reset_peak_memory(void);
/// Largest resident size since the last reset, in bytes; 0 where the system does not say.
long ce_peak_memory(void);
/// Lets blocks of 4 MB and more, such as views of a batch, go back to the system when they are freed, in place of leaving holes between others: what a stream takes is
/// then what is planned. With glibc alone.
void ce_give_back_large_blocks(void);
/// Writes what standard output still holds; false where something was lost.
bool ce_flush_output(void);
/// Bytes of memory that the process occupies now.
long ce_resident_memory(void);

#endif
