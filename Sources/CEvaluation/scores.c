// Likelihood, calibration and certainty of answers, row by row.
#include "cevaluation.h"

#include <math.h>

static void probabilities_of(const float *row, long classes, bool are_probabilities, double *maximum, double *log_sum) {
  double largest = row[0];
  for (long k = 1; k < classes; k++) largest = row[k] > largest ? row[k] : largest;
  *maximum = largest;
  *log_sum = 0;
  if (are_probabilities) return;
  double sum = 0;
  for (long k = 0; k < classes; k++) sum += exp((double)row[k] - largest);
  *log_sum = largest + log(sum);
}

void ce_score_rows(const float *scores, long rows, long classes, bool are_probabilities, const int32_t *labels, long bins, double *bin_count,
                   double *bin_confidence, double *bin_correct, float *confidence, float *energy, ce_sums *sums) {
  for (long i = 0; i < rows; i++) {
    const float *row = scores + i * classes;
    double largest, log_sum;
    probabilities_of(row, classes, are_probabilities, &largest, &log_sum);
    double squares = 0, entropy = 0, best = -1, own = 0;
    long answer = 0;
    for (long k = 0; k < classes; k++) {
      double p = are_probabilities ? row[k] : exp((double)row[k] - log_sum);
      squares += p * p;
      if (p > 0) entropy -= p * log(p);
      if (row[k] == largest && best < 0) answer = k, best = p;
      if (k == labels[i]) own = p;
    }
    confidence[i] = (float)best;
    energy[i] = (float)(are_probabilities ? best : log_sum);
    sums->entropy += entropy;
    sums->answered += 1;
    if (labels[i] < 0 || labels[i] >= classes) continue;
    sums->judged += 1;
    sums->brier += squares - 2 * own + 1;
    sums->log_loss -= log(own > 1e-12 ? own : 1e-12);
    long bin = (long)ceil(best * bins) - 1;
    bin = bin < 0 ? 0 : bin >= bins ? bins - 1 : bin;
    bin_count[bin] += 1;
    bin_confidence[bin] += best;
    bin_correct[bin] += answer == labels[i];
  }
}
