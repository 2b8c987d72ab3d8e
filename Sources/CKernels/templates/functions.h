// Functions of vectors: the exponential, the logarithm, SiLU and GELU with their slopes. Branch-free.

/// e^x within 2 units in the last place, x clamped to −87.3 … 88; NaN stays NaN.
///
/// Adding 1.5 · 2²³ rounds to a whole number k in the low bits of the sum; 2^k is made of those bits, and a Taylor polynomial on
/// |r| <= ln 2 / 2 (remainder below 1e-8) does the rest.
INLINE v16 exponential(v16 x) {
  v16 clamped = (x < splat(-87.3f)) ? splat(-87.3f) : x;
  clamped = (clamped > splat(88.0f)) ? splat(88.0f) : clamped;
  const v16 round = splat(12582912.0f);
  v16 shifted = multiply_add(clamped, splat(1.44269504f), round);
  v16 k = shifted - round;
  v16 r = multiply_add(k, splat(2.12194440e-4f), multiply_add(k, splat(-0.693359375f), clamped));
  v16 p = multiply_add(splat(1.0f / 5040), r, splat(1.0f / 720));
  p = multiply_add(p, r, splat(1.0f / 120));
  p = multiply_add(p, r, splat(1.0f / 24));
  p = multiply_add(p, r, splat(1.0f / 6));
  p = multiply_add(p, r, splat(0.5f));
  p = multiply_add(p, r, splat(1.0f));
  p = multiply_add(p, r, splat(1.0f));
  return p * (v16)(((i16)shifted << 23) + (127 << 23));
}

/// ln x within 2 units in the last place for positive normal x.
///
/// x = 2^k · m with m from √½ to √2; ln m = 2 artanh((m − 1) / (m + 1)) by its series, whose remainder is below 1e-9 of it.
INLINE v16 logarithm(v16 x) {
  // The bits of √½ are taken off, so that the exponent is that of x / √½ rounded down.
  i16 bits = (i16)x - 0x3F3504F3;
  v16 k = __builtin_convertvector(bits >> 23, v16), m = (v16)((bits & 0x7FFFFF) + 0x3F3504F3);
  v16 s = (m - splat(1)) / (m + splat(1)), square = s * s;
  v16 series = multiply_add(splat(2.0f / 9), square, splat(2.0f / 7));
  series = multiply_add(series, square, splat(2.0f / 5));
  series = multiply_add(series, square, splat(2.0f / 3));
  // ln 2 in two parts: k times the first is exact.
  v16 small = multiply_add(k, splat(-2.12194440e-4f), s * square * series);
  return multiply_add(k, splat(0.693359375f), multiply_add(splat(2), s, small));
}

INLINE v16 sigmoid(v16 x) { return splat(1) / (splat(1) + exponential(-x)); }
/// x σ(x).
INLINE v16 silu(v16 x) { return x * sigmoid(x); }
/// Its derivative, σ(x) (1 + x (1 − σ(x))).
INLINE v16 silu_slope(v16 x) {
  v16 s = sigmoid(x);
  return multiply_add(s * x, splat(1) - s, s);
}

/// Φ(x), and e^(−x²/2) in `density`: Φ(−|x|) = e^(−x²/2) Q(t) / 2, t = 1 / (1 + |x| / √8), Q fitted to the scaled complementary error function.
INLINE v16 normal_distribution_and_density(v16 x, v16 *density) {
  v16 a = ((x < splat(0)) ? -x : x) * splat(0.707106781f);
  v16 t = splat(1) / multiply_add(splat(0.5f), a, splat(1));
  v16 q = multiply_add(splat(0.0588011891f), t, splat(-0.218235716f));
  q = multiply_add(q, t, splat(0.122173905f));
  q = multiply_add(q, t, splat(0.307685107f));
  q = multiply_add(q, t, splat(0.130841121f));
  q = multiply_add(q, t, splat(0.321699440f));
  q = multiply_add(q, t, splat(0.277034938f));
  *density = exponential(-a * a);
  v16 tail = splat(0.5f) * q * t * *density;
  return (x < splat(0)) ? tail : splat(1) - tail;
}
/// Φ(x): GELU is x Φ(x).
INLINE v16 normal_distribution(v16 x) {
  v16 density;
  return normal_distribution_and_density(x, &density);
}
/// The derivative of GELU, Φ(x) + x φ(x).
INLINE v16 gelu_slope(v16 x) {
  v16 density, below = normal_distribution_and_density(x, &density);
  return multiply_add(x * splat(0.398942280f), density, below);
}
