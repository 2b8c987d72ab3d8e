// Epilogues: what happens to results before they are stored (bias, addend, mask, sums, store).
//
// Each feature is a loop over a whole group of results in registers behind one well-predicted branch, so that a 4 × 4 tile or a row of
// pixels pays a handful of branches in all. Sums run in float over a small region (REGION_POSITIONS), then go into doubles.

/// Positions after which float sums are flushed to doubles: rounding of a few hundred summands stays near 1e-6, the flush costs < 2 %.
enum { REGION_POSITIONS = 128 };

/// An epilogue's view of one channel block of one image.
typedef struct {
  float *output;
  const float *addend, *mask_source, *sum_source, *more_source;
  const uint16_t *mask_signs;
  v16 bias, mask_scale, mask_shift, center, more_center;
  bool has_bias, has_sums, has_more;
  ck_activation activation;
} block_epilogue;

/// Running float sums of one region.
typedef struct {
  v16 first, second, more_first, more_second;
} region_sums;

/// Sums of one channel block of one image.
typedef struct {
  double first[CK_LANES], second[CK_LANES], more_first[CK_LANES], more_second[CK_LANES];
} block_totals;

INLINE block_epilogue epilogue_block(const ck_epilogue *epilogue, size_t image, int block, int blocks, size_t positions) {
  size_t base = (image * (size_t)blocks + (size_t)block) * positions * CK_LANES;
  const ck_mask *mask = &epilogue->mask;
  const ck_sums *sums = &epilogue->sums, *more = &epilogue->more_sums;
  block_epilogue result = {.output = epilogue->output ? epilogue->output + base : NULL, .activation = mask->activation};
  if (epilogue->bias) {
    result.bias = load(epilogue->bias + (size_t)block * CK_LANES);
    result.has_bias = true;
  }
  if (epilogue->addend) result.addend = epilogue->addend + base;
  if (mask->activation != CK_ACTIVATION_NONE) {
    if (mask->signs) {
      result.mask_signs = mask->signs + base / CK_LANES;
    } else {
      result.mask_source = mask->source + base;
      result.mask_scale = affine_part(mask->affine.scale, mask->affine.image_stride, image, block, 1);
      result.mask_shift = affine_part(mask->affine.shift, mask->affine.image_stride, image, block, 0);
    }
  }
  if (sums->sums) {
    result.has_sums = true;
    result.sum_source = sums->source ? sums->source + base : NULL;
    result.center = affine_part(sums->center, sums->center_stride, image, block, 0);
  }
  if (more->sums) {
    result.has_more = true;
    result.more_source = more->source ? more->source + base : NULL;
    result.more_center = affine_part(more->center, more->center_stride, image, block, 0);
  }
  return result;
}

INLINE void sum_group(const v16 *values, int rows, int columns, const float *source, size_t row_stride, size_t column_stride, v16 center,
                      v16 *first, v16 *second) {
  v16 a = *first, b = *second;
  if (source) {
    UNROLLED for (int i = 0; i < rows; ++i) {
      UNROLLED for (int j = 0; j < columns; ++j) {
        v16 v = values[i * columns + j];
        a += v;
        b = multiply_add(v, load(source + (size_t)i * row_stride + (size_t)j * column_stride) - center, b);
      }
    }
  } else {
    UNROLLED for (int i = 0; i < rows * columns; ++i) {
      v16 v = values[i] - center;
      a += v;
      b = multiply_add(v, v, b);
    }
  }
  *first = a;
  *second = b;
}

/// Finishes rows × columns results (constants where inlined) at `offset` floats into the block's plane.
INLINE void epilogue_group(const block_epilogue *epilogue, region_sums *sums, v16 *values, int rows, int columns, size_t offset,
                           size_t row_stride, size_t column_stride) {
#define AT(pointer) ((pointer) + offset + (size_t)i * row_stride + (size_t)j * column_stride)
#define EACH_RESULT                                  \
  UNROLLED for (int i = 0; i < rows; ++i)            \
    UNROLLED for (int j = 0; j < columns; ++j)
  if (epilogue->has_bias) {
    v16 bias = epilogue->bias;
    EACH_RESULT values[i * columns + j] += bias;
  }
  if (epilogue->addend) {
    EACH_RESULT values[i * columns + j] += load(AT(epilogue->addend));
  }
  if (epilogue->mask_signs) {
    const uint16_t *signs = epilogue->mask_signs + offset / CK_LANES;
    EACH_RESULT {
      uint16_t bits = signs[(size_t)i * (row_stride / CK_LANES) + (size_t)j * (column_stride / CK_LANES)];
      values[i * columns + j] = where_bits(bits, values[i * columns + j]);
    }
  } else if (epilogue->activation != CK_ACTIVATION_NONE) {
    const float *source = epilogue->mask_source;
    v16 scale = epilogue->mask_scale, shift = epilogue->mask_shift;
    if (epilogue->activation == CK_ACTIVATION_RELU) {
      EACH_RESULT {
        v16 z = multiply_add(load(AT(source)), scale, shift);
        values[i * columns + j] = (z > splat(0)) ? values[i * columns + j] : splat(0);
      }
    } else if (epilogue->activation == CK_ACTIVATION_SILU) {
      EACH_RESULT values[i * columns + j] *= silu_slope(multiply_add(load(AT(source)), scale, shift));
    } else {
      EACH_RESULT {
        v16 z = multiply_add(load(AT(source)), scale, shift);
        values[i * columns + j] = ((z > splat(0)) & (z < splat(6))) ? values[i * columns + j] : splat(0);
      }
    }
  }
  if (epilogue->has_sums) {
    const float *source = epilogue->sum_source ? epilogue->sum_source + offset : NULL;
    sum_group(values, rows, columns, source, row_stride, column_stride, epilogue->center, &sums->first, &sums->second);
  }
  if (epilogue->has_more) {
    const float *source = epilogue->more_source ? epilogue->more_source + offset : NULL;
    sum_group(values, rows, columns, source, row_stride, column_stride, epilogue->more_center, &sums->more_first, &sums->more_second);
  }
  if (epilogue->output) {
    EACH_RESULT store(AT(epilogue->output), values[i * columns + j]);
  }
#undef EACH_RESULT
#undef AT
}

/// Finishes `count` results that lie in memory, `step` floats apart in the block's plane.
static void epilogue_run(const block_epilogue *epilogue, region_sums *sums, const float *values, int count, size_t offset, size_t step) {
  int i = 0;
  for (; i + 4 <= count; i += 4) {
    v16 group[4];
    UNROLLED for (int j = 0; j < 4; ++j) group[j] = load(values + (size_t)(i + j) * CK_LANES);
    epilogue_group(epilogue, sums, group, 1, 4, offset + (size_t)i * step, 0, step);
  }
  for (; i < count; ++i) {
    v16 single = load(values + (size_t)i * CK_LANES);
    epilogue_group(epilogue, sums, &single, 1, 1, offset + (size_t)i * step, 0, step);
  }
}

INLINE void clear_region(region_sums *sums) { *sums = (region_sums){splat(0), splat(0), splat(0), splat(0)}; }

INLINE void flush_region(const block_epilogue *epilogue, region_sums *sums, block_totals *totals) {
  if (epilogue->has_sums) {
    add_to_doubles(totals->first, sums->first);
    add_to_doubles(totals->second, sums->second);
  }
  if (epilogue->has_more) {
    add_to_doubles(totals->more_first, sums->more_first);
    add_to_doubles(totals->more_second, sums->more_second);
  }
  clear_region(sums);
}

/// Writes the sums of one block of one image where the caller wants them.
static void write_totals(const ck_epilogue *epilogue, size_t image, int block, int blocks, const block_totals *totals) {
  size_t base = (image * (size_t)blocks + (size_t)block) * CK_LANES * 2;
  for (int lane = 0; lane < CK_LANES; ++lane) {
    if (epilogue->sums.sums) {
      epilogue->sums.sums[base + 2 * (size_t)lane] = totals->first[lane];
      epilogue->sums.sums[base + 2 * (size_t)lane + 1] = totals->second[lane];
    }
    if (epilogue->more_sums.sums) {
      epilogue->more_sums.sums[base + 2 * (size_t)lane] = totals->more_first[lane];
      epilogue->more_sums.sums[base + 2 * (size_t)lane + 1] = totals->more_second[lane];
    }
  }
}
