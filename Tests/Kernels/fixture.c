// Fused steps under test: random operands and epilogues, and what has to come out.
#include "fixture.h"

#include <math.h>
#include <string.h>

const features combinations[COMBINATIONS] = {
    0,
    AFFINE | RELU,
    AFFINE | RELU | STORE | CENTER,
    AFFINE | SECOND | RELU | STORE | BIAS,
    AFFINE | SECOND | SECOND_AFFINE | RELU6 | STORE | PER_IMAGE,
    AFFINE | SECOND | THIRD | MASK | MASK_AFFINE | SUM_SOURCE | CENTER,
    THIRD | STORE | ADDEND | MASK6 | MASK_AFFINE | SUM_SOURCE | CENTER | PER_IMAGE,
    AFFINE | SECOND | ADDEND | MASK | SUM_SOURCE | CENTER | MORE_SUMS | MORE_SOURCE,
    AFFINE | SECOND | SECOND_AFFINE | THIRD | RELU | STORE | BIAS | ADDEND | MASK | SUM_SOURCE | MORE_SUMS | PER_IMAGE,
    SECOND | THIRD | RELU6 | BIAS | MASK6 | MORE_SUMS | MORE_SOURCE | SUM_SOURCE,
    AFFINE | SILU | STORE | MASK_SILU | MASK_AFFINE | SUM_SOURCE | CENTER,
    AFFINE | SILU | GATE | PER_IMAGE | ADDEND | MASK_SILU,
    AFFINE | RELU | GATE,
    AFFINE | SECOND | SECOND_AFFINE | RELU | STORE | SIGNS | MASK | MASK_SIGNS | SUM_SOURCE | CENTER,
    AFFINE | SECOND | THIRD | RELU | SIGNS | ADDEND | MASK | MASK_SIGNS | MORE_SUMS | MORE_SOURCE,
    AFFINE | RELU6 | SIGNS | MASK6 | MASK_SIGNS | SUM_SOURCE,
    RELU6 | STORE | SIGNS | PER_IMAGE,
};

/// The mask's source as signs, a bit per lane.
static void take_signs(fixture *f) {
  ck_mask *mask = &f->epilogue.mask;
  size_t count = blocked_count(f->result);
  uint16_t *signs = buffer(count / 16 * sizeof *signs);
  memset(signs, 0, count / 16 * sizeof *signs);
  for (size_t i = 0; i < count; ++i) {
    bool passes = mask->source[i] > 0 && (mask->activation == CK_ACTIVATION_RELU || mask->source[i] < 6);
    signs[i / 16] |= (uint16_t)(passes << i % 16);
  }
  f->signed_source = mask->source;
  mask->source = NULL;
  mask->signs = signs;
}

static ck_affine random_affine(layout l, features parts) {
  int images = parts & PER_IMAGE ? l.images : 1;
  const float *scale = random_channels(l.channels, images), *shift = random_channels(l.channels, images);
  return (ck_affine){scale, shift, parts & PER_IMAGE ? (size_t)padded(l) : 0};
}

static ck_sums random_sums(layout l, features parts, double *sums, bool has_center, bool has_source) {
  ck_sums result = {.sums = sums};
  if (has_center) {
    result.center = random_channels(l.channels, parts & PER_IMAGE ? l.images : 1);
    result.center_stride = parts & PER_IMAGE ? (size_t)padded(l) : 0;
  }
  if (has_source) result.source = random_blocked(l);
  return result;
}

static size_t sum_count(layout l) { return (size_t)l.images * (size_t)padded(l) * 2; }

fixture make_fixture(layout input, layout result, features parts) {
  // Factors exist for whole blocks only.
  if (input.channels % 16 != 0) parts &= ~GATE;
  fixture f = {.input = input, .result = result, .parts = parts};
  f.operand.x = random_blocked(input);
  if (parts & AFFINE) f.operand.affine = random_affine(input, parts);
  if (parts & SECOND) f.operand.second = random_blocked(input);
  if (parts & SECOND_AFFINE) f.operand.second_affine = random_affine(input, parts);
  if (parts & THIRD) f.operand.third = random_blocked(input);
  f.operand.activation =
      parts & RELU ? CK_ACTIVATION_RELU : parts & RELU6 ? CK_ACTIVATION_RELU6 : parts & SILU ? CK_ACTIVATION_SILU : CK_ACTIVATION_NONE;
  if (parts & GATE) {
    f.operand.gate = random_channels(input.channels, input.images);
    f.operand.gate_stride = (size_t)padded(input);
  }
  if (parts & STORE) f.operand.store = f.stored = floats(blocked_count(input));
  if (parts & SIGNS) f.operand.signs = f.signs = buffer(blocked_count(input) / 16 * sizeof *f.signs);
  f.epilogue.output = f.output = floats(blocked_count(result));
  if (parts & BIAS) f.epilogue.bias = random_channels(result.channels, 1);
  if (parts & ADDEND) f.epilogue.addend = random_blocked(result);
  if (parts & (MASK | MASK6 | MASK_SILU)) {
    f.epilogue.mask.activation = parts & MASK ? CK_ACTIVATION_RELU : parts & MASK6 ? CK_ACTIVATION_RELU6 : CK_ACTIVATION_SILU;
    f.epilogue.mask.source = random_blocked(result);
    if (parts & MASK_SIGNS) take_signs(&f);
    if (parts & MASK_AFFINE) f.epilogue.mask.affine = random_affine(result, parts);
  }
  f.sums = doubles(sum_count(result));
  f.epilogue.sums = random_sums(result, parts, f.sums, parts & CENTER, parts & SUM_SOURCE);
  if (parts & MORE_SUMS) {
    f.more_sums = doubles(sum_count(result));
    f.epilogue.more_sums = random_sums(result, parts, f.more_sums, true, parts & MORE_SOURCE);
  }
  return f;
}

static double apply(const ck_affine *affine, int image, int channel, double value) {
  size_t index = (size_t)image * affine->image_stride + (size_t)channel;
  return value * (affine->scale ? (double)affine->scale[index] : 1) + (affine->shift ? (double)affine->shift[index] : 0);
}

double *evaluated_operand(const fixture *f) {
  const ck_operand *o = &f->operand;
  double *values = doubles(plain_count(f->input));
  for (int image = 0; image < f->input.images; ++image)
    for (int channel = 0; channel < f->input.channels; ++channel)
      for (int position = 0; position < f->input.positions; ++position) {
        size_t index = blocked_index(f->input, image, channel, position);
        double value = apply(&o->affine, image, channel, (double)o->x[index]);
        if (o->second) value += apply(&o->second_affine, image, channel, (double)o->second[index]);
        if (o->third) value += (double)o->third[index];
        if (o->activation == CK_ACTIVATION_RELU || o->activation == CK_ACTIVATION_RELU6) value = fmax(0, value);
        if (o->activation == CK_ACTIVATION_RELU6) value = fmin(6, value);
        if (o->activation == CK_ACTIVATION_SILU) value /= 1 + exp(-value);
        if (o->gate) value *= (double)o->gate[(size_t)image * o->gate_stride + (size_t)channel];
        values[plain_index(f->input, image, channel, position)] = value;
      }
  return values;
}

double *make_picture(fixture *f) {
  float *picture = random_floats(plain_count(f->input));
  f->operand = (ck_operand){.x = picture, .affine = f->operand.affine};
  double *values = doubles(plain_count(f->input));
  for (size_t i = 0; i < plain_count(f->input); ++i) {
    int plane = (int)(i / (size_t)f->input.positions);
    values[i] = apply(&f->operand.affine, plane / f->input.channels, plane % f->input.channels, (double)picture[i]);
  }
  return values;
}

static double masked(const fixture *f, int image, int channel, size_t index, double value) {
  const ck_mask *mask = &f->epilogue.mask;
  if (mask->activation == CK_ACTIVATION_NONE) return value;
  double z = apply(&mask->affine, image, channel, (double)(mask->source ? mask->source : f->signed_source)[index]);
  // Float and double may disagree on which side of the bound a value lies that is within rounding of it.
  if (mask->activation != CK_ACTIVATION_SILU && (fabs(z) < 1e-6 || fabs(z - 6) < 1e-6)) return NAN;
  if (mask->activation == CK_ACTIVATION_SILU) return value * (1 / (1 + exp(-z))) * (1 + z * (1 - 1 / (1 + exp(-z))));
  return z <= 0 || (mask->activation == CK_ACTIVATION_RELU6 && z >= 6) ? 0 : value;
}

static void check_sums(const fixture *f, const ck_sums *described, const char *label) {
  comparison c = {0, 0};
  for (int image = 0; image < f->result.images; ++image)
    for (int channel = 0; channel < f->result.channels; ++channel) {
      double center = described->center ? (double)described->center[(size_t)image * described->center_stride + (size_t)channel] : 0;
      double first = 0, second = 0;
      for (int position = 0; position < f->result.positions; ++position) {
        size_t index = blocked_index(f->result, image, channel, position);
        double value = (double)f->output[index];
        first += described->source ? value : value - center;
        second += described->source ? value * ((double)described->source[index] - center) : (value - center) * (value - center);
      }
      const double *written = described->sums + ((size_t)image * (size_t)padded(f->result) + (size_t)channel) * 2;
      compare(&c, written[0], first);
      compare(&c, written[1], second);
    }
  expect_close(c, 5e-6, "%s: sums", label);
}

static void check_output(const fixture *f, const double *bare, double tolerance, const char *label) {
  comparison c = {0, 0};
  bool empty = true;
  for (int image = 0; image < f->result.images; ++image)
    for (int channel = 0; channel < padded(f->result); ++channel)
      for (int position = 0; position < f->result.positions; ++position) {
        size_t index = blocked_index(f->result, image, channel, position);
        if (channel >= f->result.channels) {
          empty = empty && f->output[index] == 0;
          continue;
        }
        double value = bare[plain_index(f->result, image, channel, position)];
        if (f->epilogue.bias) value += (double)f->epilogue.bias[channel];
        if (f->epilogue.addend) value += (double)f->epilogue.addend[index];
        c.largest = fmax(c.largest, fabs(value));
        value = masked(f, image, channel, index, value);
        if (!isnan(value)) compare(&c, (double)f->output[index], value);
      }
  expect_close(c, tolerance, "%s: output", label);
  expect(empty, "%s: padded lanes are 0", label);
}

static void check_store(const fixture *f, const double *values, const char *label) {
  comparison c = {0, 0};
  for (int image = 0; image < f->input.images; ++image)
    for (int channel = 0; channel < f->input.channels; ++channel)
      for (int position = 0; position < f->input.positions; ++position)
        compare(&c, (double)f->stored[blocked_index(f->input, image, channel, position)], values[plain_index(f->input, image, channel, position)]);
  expect_close(c, 2e-6, "%s: stored operand", label);
}

static void check_signs(const fixture *f, const double *values, const char *label) {
  int wrong = 0;
  for (int image = 0; image < f->input.images; ++image)
    for (int channel = 0; channel < f->input.channels; ++channel)
      for (int position = 0; position < f->input.positions; ++position) {
        double value = values[plain_index(f->input, image, channel, position)];
        size_t index = blocked_index(f->input, image, channel, position);
        bool bit = f->signs[index / 16] >> index % 16 & 1;
        // Within rounding of a bound, either is right.
        if ((value != 0 && value < 1e-6) || (value != 6 && fabs(value - 6) < 1e-6)) continue;
        wrong += bit != (value > 0 && (f->operand.activation == CK_ACTIVATION_RELU || value < 6));
      }
  expect(wrong == 0, "%s: signs of the operand", label);
}

void check_fixture(fixture *f, const double *bare, const double *values, double tolerance, const char *label, void (*step)(void *, ck_pool *),
                   void *context) {
  size_t output_bytes = blocked_count(f->result) * sizeof(float), sum_bytes = sum_count(f->result) * sizeof(double);
  float *first_output = buffer(output_bytes);
  double *first_sums = buffer(sum_bytes);
  for (int pool = 0; pool < POOLS; ++pool) {
    forget(f->output, output_bytes);
    forget(f->sums, sum_bytes);
    if (f->stored) forget(f->stored, blocked_count(f->input) * sizeof(float));
    if (f->signs) forget(f->signs, blocked_count(f->input) / 16 * sizeof *f->signs);
    if (f->more_sums) forget(f->more_sums, sum_bytes);
    step(context, pools[pool]);
    if (pool == 0) {
      memcpy(first_output, f->output, output_bytes);
      memcpy(first_sums, f->sums, sum_bytes);
    }
  }
  expect(memcmp(first_output, f->output, output_bytes) == 0 && memcmp(first_sums, f->sums, sum_bytes) == 0,
         "%s: the same bits with any number of workers", label);
  check_output(f, bare, tolerance, label);
  check_sums(f, &f->epilogue.sums, label);
  if (f->more_sums) check_sums(f, &f->epilogue.more_sums, label);
  if (f->stored && values) check_store(f, values, label);
  if (f->signs && values) check_signs(f, values, label);
}
