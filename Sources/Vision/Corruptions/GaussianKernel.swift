// The weights of Gaussians.

import CVision
import Foundation

/// One half of a Gaussian cut off at a number of deviations, in double, normalised as scipy.ndimage does it.
struct GaussianKernel: Sendable {
  /// The weights at the distances 0, 1, …
  let weights: [Double]

  /// A Gaussian of `deviation` pixels that reaches `truncate` deviations, rounded to whole pixels; deviation 0 is the picture itself.
  init(deviation: Double, truncate: Double = 4) {
    let radius = Int(truncate * deviation + 0.5)
    guard radius > 0 else {
      weights = [1]
      return
    }
    let half = (0...radius).map { exp(-0.5 / (deviation * deviation) * Double($0 * $0)) }
    let sum = Self.pairwiseSum(half.dropFirst().reversed() + half)
    weights = half.map { $0 / sum }
  }

  /// Lends the weights to a loop.
  func withLoopKernel<R>(_ body: (cvision_gaussian) -> R) -> R {
    weights.withUnsafeBufferPointer { body(cvision_gaussian(weights: $0.baseAddress, radius: weights.count - 1)) }
  }

  /// The sum in the order of additions of NumPy: eight running sums in blocks of at most 128, longer arrays halved.
  private static func pairwiseSum(_ values: [Double]) -> Double {
    let count = values.count
    guard count >= 8 else { return values.reduce(0, +) }
    if count > 128 {
      let half = count / 2 - count / 2 % 8
      return pairwiseSum(Array(values[..<half])) + pairwiseSum(Array(values[half...]))
    }
    var sums = Array(values[..<8])
    let whole = count - count % 8
    for i in 8..<max(whole, 8) { sums[i % 8] += values[i] }
    let total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
    return values[whole...].reduce(total, +)
  }
}
