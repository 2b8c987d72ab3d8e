// Elementary functions as branch-free float expressions that compilers turn into vector code.
#ifndef CK_PLAIN_FUNCTIONS_H
#define CK_PLAIN_FUNCTIONS_H
#include <math.h>
#include <stdint.h>

#define CK_INLINE static inline __attribute__((always_inline))

// 2^k for −126 <= k <= 127.
CK_INLINE float ck_power_of_two(int k) {
  union { int32_t i; float f; } bits = {(k + 127) << 23};
  return bits.f;
}
// e^x within 2 units in the last place; 0 below −87.3, clamped above 88.
CK_INLINE float ck_exp(float x) {
  float clamped = x < -87.3f ? -87.3f : (x > 88.0f ? 88.0f : x);
  float scaled = clamped * 1.44269504f;
  int k = (int)(scaled + (scaled < 0 ? -0.5f : 0.5f));
  float r = clamped - (float)k * 0.693359375f;
  r = r + (float)k * 2.12194440e-4f;
  // Taylor polynomial on |r| <= ln 2 / 2: the remainder is below 1e-8.
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  float y = p * ck_power_of_two(k);
  return x < -87.3f ? 0.0f : y;
}
// erf within 3e-7: erfc(|x|) = e^(−x²) · Q(t), t = 1 / (1 + |x| / 2), Q a polynomial fitted to the scaled complementary error function.
CK_INLINE float ck_erfc_factor(float t) {
  float q = 0.0588011891f;
  q = q * t - 0.218235716f;
  q = q * t + 0.122173905f;
  q = q * t + 0.307685107f;
  q = q * t + 0.130841121f;
  q = q * t + 0.321699440f;
  return q * t + 0.277034938f;
}
CK_INLINE float ck_erf(float x) {
  float a = x < 0 ? -x : x;
  float t = 1.0f / (1.0f + 0.5f * a);
  float y = 1.0f - ck_erfc_factor(t) * t * ck_exp(-a * a);
  return x < 0 ? -y : y;
}
// The derivative of GELU, Φ(x) + x φ(x): erf as above, its exponential shared with the density.
CK_INLINE float ck_gelu_slope(float x) {
  float a = (x < 0 ? -x : x) * 0.707106781f;
  float t = 1.0f / (1.0f + 0.5f * a);
  float density = ck_exp(-a * a);
  float tail = 0.5f * ck_erfc_factor(t) * t * density;
  return (x < 0 ? tail : 1.0f - tail) + x * 0.398942280f * density;
}
CK_INLINE float ck_sigmoid(float x) { return 1.0f / (1.0f + ck_exp(-x)); }
// tanh through e^(−2|x|), with its series near 0 where the quotient would cancel.
CK_INLINE float ck_tanh(float x) {
  float a = x < 0 ? -x : x;
  float e = ck_exp(-2.0f * a);
  float s = x * x;
  float far = (1.0f - e) / (1.0f + e);
  float near = a * (1.0f + s * (-1.0f / 3 + s * (2.0f / 15 + s * (-17.0f / 315))));
  float y = a < 0.2f ? near : far;
  return x < 0 ? -y : y;
}

#endif
