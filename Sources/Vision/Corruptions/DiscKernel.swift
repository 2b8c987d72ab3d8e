// A disc with a smoothed edge.

import Foundation

/// A disc of weights that sum to one; the same mirrored in both axes.
package struct DiscKernel: Sendable {
  /// Largest offset with a weight.
  package let reach: Int
  /// Whether the disc lies on half pixels: the weights of 0, 1, … are those of the offsets d and -(d + 1).
  package let isEven: Bool
  /// Weight at (|dy|, |dx|), `reach + 1` squared, rounded to float as the original stores it.
  package let weights: [Float]

  /// A disc on a grid of at least 17×17, or of half pixels where the radius is 8.5, 9.5, …, smoothed by a Gaussian of 3×3 taps (5×5 above radius 8), the grid's border reflected.
  package init(radius: Double, deviation: Double) {
    isEven = radius > 8 && radius != radius.rounded()
    let taps = radius <= 8 ? 1 : 2
    let side = radius <= 8 ? 17 : Int(2 * radius) + 1
    let half = side / 2
    let middle = Double(side - 1) / 2
    var disc = (0..<side * side).map { i -> Float in
      let (y, x) = (Double(i / side) - middle, Double(i % side) - middle)
      return x * x + y * y <= radius * radius ? 1 : 0
    }
    let count = disc.reduce(0, +)
    disc = disc.map { $0 / count }
    disc = Self.smoothed(disc, side: side, deviation: deviation, taps: taps)
    let quarter = { (y: Int, x: Int) in disc[(half + y) * side + half + x] }
    var reach = 0
    for y in 0..<side - half { for x in 0..<side - half where quarter(y, x) != 0 { reach = max(reach, x, y) } }
    self.reach = reach
    let width = reach + 1
    weights = (0..<width * width).map { quarter($0 / width, $0 % width) }
  }

  /// A separable Gaussian of `2 taps + 1` weights in float, rows first, border reflected without repeating its edge.
  private static func smoothed(_ plane: [Float], side: Int, deviation: Double, taps: Int) -> [Float] {
    guard deviation > 0 else { return plane }
    let raw = (0...taps).map { exp(-Double($0 * $0) / (2 * deviation * deviation)) }
    let total = raw[0] + 2 * raw.dropFirst().reduce(0, +)
    let weights = raw.map { Float($0 / total) }
    func pass(_ input: [Float], step: Int, along: (Int) -> Int) -> [Float] {
      input.indices.map { i in
        let position = along(i)
        var sum = weights[0] * input[i]
        for k in 1...taps {
          let before = input[i + (reflected(position - k, side) - position) * step]
          let after = input[i + (reflected(position + k, side) - position) * step]
          sum += weights[k] * (before + after)
        }
        return sum
      }
    }
    return pass(pass(plane, step: 1) { $0 % side }, step: side) { $0 / side }
  }
}

/// A position outside 0..<count folded back in at the borders, whose edge is not repeated.
private func reflected(_ position: Int, _ count: Int) -> Int {
  guard count > 1 else { return 0 }
  var result = position
  while result < 0 || result >= count { result = result < 0 ? -result : 2 * (count - 1) - result }
  return result
}
