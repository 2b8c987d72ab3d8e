// The standard normal law, with arithmetic that is the same on every machine.

/// The standard normal law.
enum NormalLaw {
  /// The value below which a share `p` in (0, 1) lies.
  ///
  /// Wichura, "Algorithm AS 241: The Percentage Points of the Normal Distribution", 1988: quotients of polynomials with 16 digits. Only
  /// + - × ÷ and square roots are used, so that a seed gives the same picture with any mathematics library.
  static func quantile(_ p: Double) -> Double {
    let q = p - 0.5
    if abs(q) <= 0.425 {
      let r = 0.180625 - q * q
      return q * ratio(r, centre)
    }
    let r = (-logarithm(q < 0 ? p : 1 - p)).squareRoot()
    let magnitude = r <= 5 ? ratio(r - 1.6, middle) : ratio(r - 5, tail)
    return q < 0 ? -magnitude : magnitude
  }

  /// The natural logarithm of a normal number to about 16 digits: exponent, and a series of the mantissa.
  static func logarithm(_ x: Double) -> Double {
    var mantissa = x.significand
    var exponent = Double(x.exponent)
    if mantissa > 1.4142135623730951 {
      mantissa /= 2
      exponent += 1
    }
    let s = (mantissa - 1) / (mantissa + 1)
    let z = s * s
    var series = 0.0
    for divisor in stride(from: 23.0, through: 1, by: -2) { series = series * z + 1 / divisor }
    return exponent * 0.6931471805599453 + 2 * s * series
  }

  private typealias Coefficients = (SIMD8<Double>, SIMD8<Double>)

  /// Two polynomials of degree 7, lowest coefficient first, divided.
  @inline(__always) private static func ratio(_ r: Double, _ coefficients: Coefficients) -> Double {
    let (a, b) = coefficients
    var above = a[7]
    var below = b[7]
    for k in stride(from: 6, through: 0, by: -1) {
      above = above * r + a[k]
      below = below * r + b[k]
    }
    return above / below
  }

  private static let centre: Coefficients = (
    [
      3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
      45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727,
    ],
    [
      1, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077,
      21213.794301586595867, 39307.895800092710610, 28729.085735721942674, 5226.4952788528545610,
    ]
  )
  private static let middle: Coefficients = (
    [
      1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
      1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833, 0.000774545014278341407640,
    ],
    [
      1, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550,
      0.148103976427480074590, 0.0151986665636164571966, 0.000547593808499534494600, 1.05075007164441684324e-9,
    ]
  )
  private static let tail: Coefficients = (
    [
      6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 0.296560571828504891230,
      0.0265321895265761230930, 0.00124266094738807843860, 0.0000271155556874348757815, 2.01033439929228813265e-7,
    ],
    [
      1, 0.599832206555887937690, 0.136929880922735805310, 0.0148753612908506148525,
      0.000786869131145613259100, 0.0000184631831751005468180, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
    ]
  )
}
