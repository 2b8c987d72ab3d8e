// Logarithm and exponential from IEEE operations alone.

/// Elementary functions that give the same bits on every machine, which a system's mathematics library does not promise.
package enum PortableMath {
  private static let ln2High = 0x1.62e42feep-1
  private static let ln2Low = 0x1.a39ef35793c76p-33

  /// The natural logarithm of a positive normal number; within 2 units in the last place.
  package static func log(_ x: Double) -> Double {
    var significand = x.significand
    var exponent = Double(x.exponent)
    if significand > 1.414_213_562_373_095_1 {
      significand /= 2
      exponent += 1
    }
    let s = (significand - 1) / (significand + 1)
    let square = s * s
    var series = 0.0
    for k in stride(from: 25.0, through: 3, by: -2) { series = (series + 1 / k) * square }
    return exponent * ln2High + (2 * s + (2 * s * series + exponent * ln2Low))
  }

  /// The exponential; 0 below -708, infinity above 709.
  package static func exp(_ x: Double) -> Double {
    if x < -708 { return 0 }
    if x > 709 { return .infinity }
    let power = (x / (ln2High + ln2Low)).rounded()
    let rest = (x - power * ln2High) - power * ln2Low
    var series = 1.0
    for k in stride(from: 16.0, through: 1, by: -1) { series = 1 + series * rest / k }
    return Double(sign: .plus, exponent: Int(power), significand: series)
  }

  /// A positive base to a power.
  package static func power(_ base: Double, _ exponent: Double) -> Double { exponent == 0 ? 1 : exp(exponent * log(base)) }

  /// The whole part of a number of at least 0, where a product that is whole but for rounding counts as whole.
  package static func wholePart(_ x: Double) -> Int { Int((x + max(x, 1) * 1e-12).rounded(.down)) }
}
