// Vectors of 16 floats, the channel block of the blocked layout, over clang's vector extensions.
//
// A v16 is one register with AVX-512, two with AVX2 and four with SSE2 or NEON: the templates are written once and differ between
// instruction sets only in how many vectors they keep alive (the macros of isa_*.c).

// Vectors are only passed between functions that are always inlined: no calling convention is involved.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float v16 __attribute__((ext_vector_type(16), may_alias));
typedef float v16_unaligned __attribute__((ext_vector_type(16), may_alias, aligned(4)));
typedef double d8 __attribute__((ext_vector_type(8), may_alias, aligned(8)));
typedef int i16 __attribute__((ext_vector_type(16), may_alias));

#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("clang loop unroll(full)")
/// A short loop in which most of the time is spent, unrolled by N and begun at a line of the instruction cache: elsewhere the same loop is up to a tenth
/// slower (products, Zen 3), depending on what other code happens to lie in front of it.
#define HOT_LOOP(N) _Pragma(STRING(clang loop unroll_count(N))) [[clang::code_align(64)]]
#define STRING(text) #text

INLINE v16 load(const float *p) { return *(const v16 *)p; }
INLINE void store(float *p, v16 v) { *(v16 *)p = v; }
INLINE v16 load_unaligned(const float *p) { return *(const v16_unaligned *)p; }
INLINE void store_unaligned(float *p, v16 v) { *(v16_unaligned *)p = v; }
INLINE v16 splat(float x) { return (v16)x; }

/// a · b + c, fused where the instruction set has it in hardware; never a library call.
INLINE v16 multiply_add(v16 a, v16 b, v16 c) {
#if CK_FUSED
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// Written as comparisons, not __builtin_elementwise_max: those are one instruction, and they let a NaN through as torch does.
INLINE v16 relu(v16 v) { return (splat(0) > v) ? splat(0) : v; }
INLINE v16 relu6(v16 v) {
  v16 positive = relu(v);
  return (splat(6) < positive) ? splat(6) : positive;
}

/// A bit for each lane where the mask (a comparison) holds, the first lane lowest.
INLINE uint16_t lane_bits(i16 mask) {
  typedef bool lanes __attribute__((ext_vector_type(16)));
  lanes packed = __builtin_convertvector(mask, lanes);
  uint16_t bits;
  memcpy(&bits, &packed, sizeof bits);
  return bits;
}
/// v where the lane's bit is set, else 0.
INLINE v16 where_bits(uint16_t bits, v16 v) {
  const i16 each = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
  return (((i16)(int)bits & each) != 0) ? v : splat(0);
}

/// total[0 ..< 16] += v, in double.
INLINE void add_to_doubles(double *total, v16 v) {
  d8 low = __builtin_convertvector(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7), d8);
  d8 high = __builtin_convertvector(__builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15), d8);
  *(d8 *)total += low;
  *(d8 *)(total + 8) += high;
}

/// Transposes 16 × 16 floats: rows of `from` (stride in floats) become columns of `to`. Four rounds of pairwise interleaving.
INLINE void transpose16(const float *from, size_t from_stride, float *to, size_t to_stride) {
  v16 a[16], b[16];
  UNROLLED for (int i = 0; i < 16; ++i) a[i] = load_unaligned(from + (size_t)i * from_stride);
  UNROLLED for (int i = 0; i < 8; ++i) {
    b[2 * i] = __builtin_shufflevector(a[i], a[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  }
  UNROLLED for (int i = 0; i < 8; ++i) {
    a[2 * i] = __builtin_shufflevector(b[i], b[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    a[2 * i + 1] = __builtin_shufflevector(b[i], b[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  }
  UNROLLED for (int i = 0; i < 8; ++i) {
    b[2 * i] = __builtin_shufflevector(a[i], a[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  }
  UNROLLED for (int i = 0; i < 8; ++i) {
    a[2 * i] = __builtin_shufflevector(b[i], b[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    a[2 * i + 1] = __builtin_shufflevector(b[i], b[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  }
  UNROLLED for (int i = 0; i < 16; ++i) store_unaligned(to + (size_t)i * to_stride, a[i]);
}
