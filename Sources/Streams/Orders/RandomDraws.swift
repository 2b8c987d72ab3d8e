// Draws that orders are made of.

package import Engine

extension RandomSource {
  /// A draw from [0, 1) with 53 random bits.
  package mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
  /// A draw from 0 ..< bound.
  package mutating func below(_ bound: Int) -> Int { Int(next().multipliedFullWidth(by: UInt64(bound)).high) }

  /// Puts elements in a uniformly random order.
  package mutating func shuffle<T>(_ elements: inout [T]) {
    for last in stride(from: elements.count - 1, to: 0, by: -1) { elements.swapAt(last, below(last + 1)) }
  }
  /// The elements in a uniformly random order.
  package mutating func shuffled<T>(_ elements: some Sequence<T>) -> [T] {
    var result = Array(elements)
    shuffle(&result)
    return result
  }

  /// A draw of the standard normal law (Marsaglia's polar method).
  package mutating func normal() -> Double {
    while true {
      let (x, y) = (2 * unit() - 1, 2 * unit() - 1)
      let square = x * x + y * y
      if square > 0, square < 1 { return x * (-2 * PortableMath.log(square) / square).squareRoot() }
    }
  }

  /// The logarithm of a draw of the gamma law with scale 1; a logarithm because small shapes underflow.
  ///
  /// Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", 2000.
  package mutating func logGamma(shape: Double) -> Double {
    if shape < 1 {
      let uniform = 1 - unit()
      return logGamma(shape: shape + 1) + PortableMath.log(uniform) / shape
    }
    let d = shape - 1.0 / 3
    let c = 1 / (9 * d).squareRoot()
    while true {
      let x = normal()
      let root = 1 + c * x
      guard root > 0 else { continue }
      let v = root * root * root
      if PortableMath.log(1 - unit()) < 0.5 * x * x + d * (1 - v + PortableMath.log(v)) { return PortableMath.log(d * v) }
    }
  }

  /// Shares that sum to 1: a draw of the symmetric Dirichlet law.
  package mutating func dirichlet(count: Int, concentration: Double) -> [Double] {
    let logs = (0..<count).map { _ in logGamma(shape: concentration) }
    let largest = logs.max() ?? 0
    let values = logs.map { PortableMath.exp($0 - largest) }
    let total = values.reduce(0, +)
    return values.map { $0 / total }
  }

  /// A draw of Zipf's law: k = 1, 2, … with probability proportional to k^-exponent (Devroye's rejection method).
  package mutating func zipf(exponent: Double) -> Double {
    let slope = exponent - 1
    let bound = PortableMath.power(2, slope)
    while true {
      let x = slope == 1 ? (1 / (1 - unit())).rounded(.down) : PortableMath.power(1 - unit(), -1 / slope).rounded(.down)
      guard x < 0x1p50 else { continue }
      let ratio = slope == 1 ? 1 + 1 / x : PortableMath.power(1 + 1 / x, slope)
      if unit() * x * (ratio - 1) / (bound - 1) <= ratio / bound { return x }
    }
  }

  /// A number with the probabilities given by `weights`, which need not sum to 1.
  package mutating func choice(_ weights: [Double]) -> Int {
    var left = unit() * weights.reduce(0, +)
    for (number, weight) in weights.enumerated() {
      left -= weight
      if left < 0 { return number }
    }
    return weights.lastIndex { $0 > 0 } ?? 0
  }
}
