// bfloat16: the upper half of a float, rounded to nearest, ties to even. A NaN stays one.

/// What the factors of a product are: floats; floats rounded to bfloat16; or words of two bfloat16, the first in the lower half.
typedef enum { WORDS_FLOATS, WORDS_ROUNDED_FLOATS, WORDS_BFLOAT16_PAIRS } word_kind;

/// How products of bfloat16 are done here: in pairs where that is one instruction that pays (pairs.h).
static word_kind bfloat16_words(void) {
  return HAS_BFLOAT16_PAIRS && ck_pairs_of_bfloat16_pay() ? WORDS_BFLOAT16_PAIRS : WORDS_ROUNDED_FLOATS;
}

/// The float with its lower half rounded away.
INLINE i16 bfloat16_bits(v16 v) {
  i16 bits = (i16)v, rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & (int)0xFFFF0000;
  return (v != v) ? ((bits & (int)0xFFFF0000) | 0x400000) : rounded;
}

/// Floats at `source`, 0 behind the last of them.
INLINE v16 load_some(const float *source, size_t count) {
  if (count >= CK_LANES) return load_unaligned(source);
  float some[CK_LANES] = {0};
  memcpy(some, source, count * sizeof(float));
  return load_unaligned(some);
}

/// `count` floats → the nearest bfloat16, as floats. Writes whole vectors; target may be source.
static void round_bfloat16(const float *source, size_t count, float *target) {
  for (size_t i = 0; i < count; i += CK_LANES) store_unaligned(target + i, (v16)bfloat16_bits(load_some(source + i, count - i)));
}

/// low[i] and high[i] as bfloat16 in one word.
INLINE v16 pair_lanes(v16 low, v16 high) { return (v16)(bfloat16_bits(high) | ((bfloat16_bits(low) >> 16) & 0xFFFF)); }

/// `count` floats → pairs of bfloat16, (count + 1) / 2 words and up to a whole vector of zeros behind them; target may be source.
static void pair_bfloat16(const float *source, size_t count, float *target) {
  for (size_t i = 0; i < count; i += 2 * CK_LANES, target += CK_LANES) {
    v16 a = load_some(source + i, count - i), b = count - i > CK_LANES ? load_some(source + i + CK_LANES, count - i - CK_LANES) : splat(0);
    store_unaligned(target, pair_lanes(__builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
                                       __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)));
  }
}

/// `count` floats → words for products of bfloat16; target may be source.
static void bfloat16_factors(word_kind words, const float *source, size_t count, float *target) {
  if (words == WORDS_BFLOAT16_PAIRS) {
    pair_bfloat16(source, count, target);
  } else {
    round_bfloat16(source, count, target);
  }
}
