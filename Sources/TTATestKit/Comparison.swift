// Comparing tensors.

public import Engine

/// How far two values may be apart: |got − expected| <= absolute + relative · |expected|.
public struct Tolerance: Hashable, Sendable {
  /// In the values' own unit, and as a share of the expected value.
  public var absolute: Float, relative: Float
  /// A tolerance.
  public init(absolute: Float, relative: Float = 0) { (self.absolute, self.relative) = (absolute, relative) }
}

/// What a comparison found.
public struct Comparison: Sendable, CustomStringConvertible {
  /// The largest excess over the tolerance; at most 0 when all is well.
  public let excess: Float
  /// Where it is, what was found and what was expected there.
  public let index: Int, got: Float, expected: Float
  /// True when every value is within the tolerance.
  public var isWithin: Bool { excess <= 0 }
  /// `at 17: got 1.5, expected 1.0`.
  public var description: String {
    index < 0 ? "shapes differ" : "worst at \(index): got \(got), expected \(expected), beyond the tolerance by \(excess)"
  }

  /// Compares all values; different numbers of values are never within.
  public init(_ got: Tensor, _ expected: Tensor, _ tolerance: Tolerance) {
    guard got.elementCount == expected.elementCount else {
      (excess, index, self.got, self.expected) = (.infinity, -1, 0, 0)
      return
    }
    let (a, b) = (got.values, expected.values)
    var worst: (excess: Float, index: Int) = (-.infinity, 0)
    for i in a.indices {
      let difference = abs(a[i] - b[i]) - tolerance.absolute - tolerance.relative * abs(b[i])
      let excess = difference.isNaN ? Float.infinity : difference
      if excess > worst.excess { worst = (excess, i) }
    }
    (excess, index) = worst
    (self.got, self.expected) = a.isEmpty ? (0, 0) : (a[worst.index], b[worst.index])
  }
}

/// The largest difference of two tensors of one size.
public func largestDifference(_ left: Tensor, _ right: Tensor) -> Float {
  zip(left.values, right.values).reduce(0) { max($0, abs($1.0 - $1.1)) }
}
