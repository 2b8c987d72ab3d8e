// Operands: values that are evaluated while they are read,  gate · activation( affine(x) + second_affine(second) + third ).
//
// An operand is narrowed to one channel block of one image, then evaluated in runs of positions. Which parts exist is a constant
// inside each loop (52 combinations), so that a plain "affine, relu" costs a load, a multiply-add, a maximum and a store.

/// An operand's view of one block of one image.
typedef struct {
  const float *x, *second, *third;
  float *store;
  uint16_t *signs;
  v16 scale, shift, second_scale, gate;
  unsigned kind;
} block_operand;

enum { OPERAND_SECOND = 1, OPERAND_THIRD = 2, OPERAND_RELU = 4, OPERAND_RELU6 = 8, OPERAND_STORE = 16, OPERAND_SILU = 32, OPERAND_GATE = 64, OPERAND_SIGNS = 128 };

/// The set of one block of one image, `otherwise` where there is none.
INLINE v16 affine_part(const float *values, size_t image_stride, size_t image, int block, float otherwise) {
  return values ? load(values + image * image_stride + (size_t)block * CK_LANES) : splat(otherwise);
}

INLINE block_operand operand_block(const ck_operand *operand, size_t image, int block, int blocks, size_t positions, bool keep) {
  size_t base = (image * (size_t)blocks + (size_t)block) * positions * CK_LANES;
  block_operand result = {.x = operand->x + base};
  result.scale = affine_part(operand->affine.scale, operand->affine.image_stride, image, block, 1);
  result.shift = affine_part(operand->affine.shift, operand->affine.image_stride, image, block, 0);
  if (operand->second) {
    const ck_affine *affine = &operand->second_affine;
    result.second = operand->second + base;
    result.second_scale = affine_part(affine->scale, affine->image_stride, image, block, 1);
    result.shift += affine_part(affine->shift, affine->image_stride, image, block, 0);
    result.kind |= OPERAND_SECOND;
  }
  if (operand->third) {
    result.third = operand->third + base;
    result.kind |= OPERAND_THIRD;
  }
  if (operand->activation == CK_ACTIVATION_RELU) result.kind |= OPERAND_RELU;
  if (operand->activation == CK_ACTIVATION_RELU6) result.kind |= OPERAND_RELU6;
  if (operand->activation == CK_ACTIVATION_SILU) result.kind |= OPERAND_SILU;
  if (operand->gate) {
    result.gate = load(operand->gate + image * operand->gate_stride + (size_t)block * CK_LANES);
    result.kind |= OPERAND_GATE;
  }
  if (operand->store && keep) {
    result.store = operand->store + base;
    result.kind |= OPERAND_STORE;
  }
  if (operand->signs && keep) {
    result.signs = operand->signs + base / CK_LANES;
    result.kind |= OPERAND_SIGNS;
  }
  return result;
}

INLINE void evaluate_loop(const block_operand *operand, size_t offset, size_t step, int count, float *target, unsigned kind) {
  const v16 scale = operand->scale, shift = operand->shift, second_scale = operand->second_scale, gate = operand->gate;
  for (int i = 0; i < count; ++i, offset += step, target += CK_LANES) {
    v16 value = multiply_add(load(operand->x + offset), scale, shift);
    if (kind & OPERAND_SECOND) value = multiply_add(load(operand->second + offset), second_scale, value);
    if (kind & OPERAND_THIRD) value += load(operand->third + offset);
    if (kind & OPERAND_RELU) value = relu(value);
    if (kind & OPERAND_RELU6) value = relu6(value);
    if (kind & OPERAND_SILU) value = silu(value);
    if (kind & OPERAND_GATE) value *= gate;
    if (kind & OPERAND_STORE) store(operand->store + offset, value);
    if (kind & OPERAND_SIGNS) {
      i16 positive = value > splat(0);
      if (kind & OPERAND_RELU6) positive &= value < splat(6);
      operand->signs[offset / CK_LANES] = lane_bits(positive);
    }
    store(target, value);
  }
}

/// True where the operand leaves something for later at each position that is evaluated.
INLINE bool keeps_values(const block_operand *operand) { return operand->kind & (OPERAND_STORE | OPERAND_SIGNS); }

/// Evaluates `count` positions from `offset` on (floats inside the block's plane), `step` floats apart, into consecutive vectors of `target`.
static void evaluate_run(const block_operand *operand, size_t offset, size_t step, int count, float *target) {
#define EVALUATE(kind_bits)                                                   \
  case kind_bits:                                                             \
    evaluate_loop(operand, offset, step, count, target, kind_bits);           \
    break;
#define EVALUATE_PARTS(rest) EVALUATE(rest) EVALUATE(rest | 1) EVALUATE(rest | 2) EVALUATE(rest | 3)
  switch (operand->kind) {
    EVALUATE_PARTS(0)
    EVALUATE_PARTS(OPERAND_RELU)
    EVALUATE_PARTS(OPERAND_RELU6)
    EVALUATE_PARTS(OPERAND_STORE)
    EVALUATE_PARTS((OPERAND_STORE | OPERAND_RELU))
    EVALUATE_PARTS((OPERAND_STORE | OPERAND_RELU6))
    EVALUATE_PARTS((OPERAND_SIGNS | OPERAND_RELU))
    EVALUATE_PARTS((OPERAND_SIGNS | OPERAND_RELU6))
    EVALUATE_PARTS((OPERAND_SIGNS | OPERAND_STORE | OPERAND_RELU))
    EVALUATE_PARTS((OPERAND_SIGNS | OPERAND_STORE | OPERAND_RELU6))
    EVALUATE_PARTS(OPERAND_SILU)
    EVALUATE_PARTS((OPERAND_STORE | OPERAND_SILU))
    EVALUATE(OPERAND_GATE)
    EVALUATE((OPERAND_GATE | OPERAND_RELU))
    EVALUATE((OPERAND_GATE | OPERAND_RELU6))
    EVALUATE((OPERAND_GATE | OPERAND_SILU))
  }
#undef EVALUATE_PARTS
#undef EVALUATE
}
