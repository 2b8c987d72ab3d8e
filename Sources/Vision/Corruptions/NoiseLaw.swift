// The law of a noise as a table that one random word per sample draws from.

import CVision

/// For each of the 256 values of a sample the probabilities of its 256 outcomes, as alias tables.
///
/// Walker, "An efficient method for generating discrete random variables with general distributions", 1977. Probabilities are kept to
/// 2⁻³². Only + - × ÷ are used to make them, so that a seed gives the same picture with any mathematics library.
struct NoiseLaw: Sendable {
  private let entries: [UInt32]

  /// `probabilities(v)` gives the 256 probabilities of the outcomes of value v.
  init(_ probabilities: (Int) -> [Double]) {
    entries = (0..<256).flatMap { Self.aliasRow(probabilities($0)) }
  }

  /// Noise with a normal law: `deviation(v)` in levels is the deviation of value v. Sums are clipped and truncated.
  init(normalDeviation deviation: (Int) -> Double) {
    self.init { value in
      var row = [Double](repeating: 0, count: 256)
      let spread = deviation(value)
      guard spread > 0 else {
        row[value] = 1
        return row
      }
      var below = 0.0
      for level in 0..<255 {
        let next = Self.normalDistribution(Double(level + 1 - value) / spread)
        row[level] = next - below
        below = next
      }
      row[255] = 1 - below
      return row
    }
  }

  /// The picture with every sample drawn anew.
  func sample(_ image: Image, _ words: cvision_words) -> Image {
    image.changed { samples, out in cvision_sample_table(words, entries, samples, out, image.pixels.count) }
  }

  /// An entry's upper 24 bits are how often its own outcome is kept, the lower 8 the outcome that is taken otherwise.
  private static func aliasRow(_ probabilities: [Double]) -> [UInt32] {
    var shares = probabilities.map { $0 * 256 }
    var row = (0..<256).map { UInt32(0xFFFFFF) << 8 | UInt32($0) }
    var small = [Int]()
    var large = [Int]()
    for outcome in 0..<256 {
      if shares[outcome] < 1 { small.append(outcome) } else { large.append(outcome) }
    }
    while let poor = small.popLast(), let rich = large.last {
      row[poor] = UInt32(min((shares[poor] * 0x1p24).rounded(), 0x1p24 - 1)) << 8 | UInt32(rich)
      shares[rich] -= 1 - shares[poor]
      if shares[rich] < 1 { small.append(large.removeLast()) }
    }
    return row
  }

  /// e to the power of a number that is not positive.
  static func exponential(_ x: Double) -> Double {
    var (term, sum) = (1.0, 1.0)
    let part = x / 1024
    for k in 1...24 {
      term *= part / Double(k)
      sum += term
    }
    for _ in 0..<10 { sum *= sum }
    return sum
  }

  /// The distribution function of the standard normal law: Φ(x) = 1/2 + φ(x) (x + x³/3 + x⁵/15 + …).
  static func normalDistribution(_ x: Double) -> Double {
    guard abs(x) < 8.3 else { return x < 0 ? 0 : 1 }
    var (term, sum, k) = (x, x, 1.0)
    while abs(term) > abs(sum) * 1e-17 {
      k += 2
      term *= x * x / k
      sum += term
    }
    return 0.5 + exponential(-x * x / 2) * sum * 0.398942280401432678
  }
}
