// The transforms of Winograd's F(4×4, 3×3): 6 × 6 input tiles and 4 × 4 output tiles, all lanes of a channel block at once.
//
// They work on TRANSFORM_LANES lanes at a time, one register of the instruction set: with AVX2, 16 lanes would take two registers each
// and spill twice as much. Interpolation points 0, ±1, ±2, ∞ (Lavin and Gray).

typedef float transform_vector __attribute__((ext_vector_type(TRANSFORM_LANES), may_alias));

INLINE transform_vector transform_multiply_add(float factor, transform_vector b, transform_vector c) {
#if CK_FUSED
  return __builtin_elementwise_fma((transform_vector)factor, b, c);
#else
  return (transform_vector)factor * b + c;
#endif
}

/// Bᵀ over six values, `stride` apart.
INLINE void input_transform(transform_vector *d, int stride) {
  transform_vector d0 = d[0], d1 = d[stride], d2 = d[2 * stride], d3 = d[3 * stride], d4 = d[4 * stride], d5 = d[5 * stride];
  transform_vector even = transform_multiply_add(-4, d2, d4), odd = transform_multiply_add(-4, d1, d3);
  transform_vector even_difference = d4 - d2, odd_difference = d3 - d1;
  d[0] = transform_multiply_add(4, d0, transform_multiply_add(-5, d2, d4));
  d[stride] = even + odd;
  d[2 * stride] = even - odd;
  d[3 * stride] = transform_multiply_add(2, odd_difference, even_difference);
  d[4 * stride] = transform_multiply_add(-2, odd_difference, even_difference);
  d[5 * stride] = transform_multiply_add(4, d1, transform_multiply_add(-5, d3, d5));
}

/// Aᵀ over six values into four, `stride` apart.
INLINE void output_transform(const transform_vector *m, transform_vector *y, int stride) {
  transform_vector sum12 = m[1] + m[2], difference12 = m[1] - m[2], sum34 = m[3] + m[4], difference34 = m[3] - m[4];
  y[0] = (m[0] + sum12) + sum34;
  y[stride] = transform_multiply_add(2, difference34, difference12);
  y[2 * stride] = transform_multiply_add(4, sum34, sum12);
  y[3 * stride] = transform_multiply_add(8, difference34, difference12) + m[5];
}

/// One tile of one input block: 6 × 6 positions, `column` floats into six rows → 36 vectors of `target`, `stride` floats apart.
INLINE void transform_input_tile(const float *const rows[6], size_t column, float *target, size_t stride) {
  for (int lane = 0; lane < CK_LANES; lane += TRANSFORM_LANES) {
    transform_vector d[36];
    UNROLLED for (int i = 0; i < 6; ++i) {
      UNROLLED for (int j = 0; j < 6; ++j) d[i * 6 + j] = *(const transform_vector *)(rows[i] + column + j * CK_LANES + lane);
      input_transform(d + i * 6, 1);
    }
    UNROLLED for (int j = 0; j < 6; ++j) {
      input_transform(d + j, 6);
      UNROLLED for (int i = 0; i < 6; ++i) *(transform_vector *)(target + (size_t)(i * 6 + j) * stride + lane) = d[i * 6 + j];
    }
  }
}

/// 36 vectors at `source`, `stride` floats apart → 4 × 4 results.
INLINE void transform_output_tile(const float *source, size_t stride, v16 *results) {
  for (int lane = 0; lane < CK_LANES; lane += TRANSFORM_LANES) {
    transform_vector y[24], column[6], row[4];
    UNROLLED for (int j = 0; j < 6; ++j) {
      UNROLLED for (int i = 0; i < 6; ++i) column[i] = *(const transform_vector *)(source + (size_t)(i * 6 + j) * stride + lane);
      output_transform(column, y + j, 6);
    }
    UNROLLED for (int i = 0; i < 4; ++i) {
      output_transform(y + i * 6, row, 1);
      UNROLLED for (int j = 0; j < 4; ++j) *(transform_vector *)((float *)results + (i * 4 + j) * CK_LANES + lane) = row[j];
    }
  }
}
