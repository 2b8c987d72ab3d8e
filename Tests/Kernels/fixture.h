// Operands and epilogues with any of their parts, their evaluation in double, and the comparison with what a kernel wrote.
#ifndef KERNEL_TEST_FIXTURE_H
#define KERNEL_TEST_FIXTURE_H
#include "support.h"

typedef enum {
  AFFINE = 1 << 0, SECOND = 1 << 1, SECOND_AFFINE = 1 << 2, THIRD = 1 << 3, RELU = 1 << 4, RELU6 = 1 << 5, SILU = 1 << 6, GATE = 1 << 7,
  STORE = 1 << 8, PER_IMAGE = 1 << 9, BIAS = 1 << 10, ADDEND = 1 << 11, MASK = 1 << 12, MASK6 = 1 << 13, MASK_SILU = 1 << 14,
  MASK_AFFINE = 1 << 15, SUM_SOURCE = 1 << 16, CENTER = 1 << 17, MORE_SUMS = 1 << 18, MORE_SOURCE = 1 << 19,
  SIGNS = 1 << 20, MASK_SIGNS = 1 << 21,  // the operand leaves its signs; the mask comes from signs in place of a source
  EPILOGUE_PARTS = BIAS | ADDEND | MASK | MASK6 | MASK_SILU | MASK_AFFINE | MASK_SIGNS | SUM_SOURCE | CENTER | MORE_SUMS |
                   MORE_SOURCE,
} features;
/// Each part alone or with its relatives, and everything at once.
enum { COMBINATIONS = 17 };
extern const features combinations[COMBINATIONS];

/// Inputs and outputs of one fused step.
typedef struct {
  layout input, result;
  features parts;
  ck_operand operand;
  ck_epilogue epilogue;
  float *output, *stored;
  uint16_t *signs;
  const float *signed_source;  // what the mask's signs were taken of
  double *sums, *more_sums;
} fixture;

fixture make_fixture(layout input, layout result, features parts);
/// The operand in double, plain.
double *evaluated_operand(const fixture *f);
/// A stem reads a plain picture, with the affine alone: replaces the operand's and returns its values.
double *make_picture(fixture *f);
/// Runs the step with each pool and expects the same bits; compares with bare results in double, plain: output, padded lanes 0, sums of what
/// was written, the stored operand and its signs (values NULL: none).
void check_fixture(fixture *f, const double *bare, const double *values, double tolerance, const char *label, void (*step)(void *, ck_pool *),
                   void *context);

#endif
