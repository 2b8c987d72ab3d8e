// A stream of random numbers whose position is a number.

import Foundation

/// Counter-based random numbers: the same seed and position give the same draw on any machine and any thread count.
///
/// A value: a copy continues on its own, a stored one continues where it was.
public struct RandomSource: RandomNumberGenerator, Hashable, Codable, Sendable {
  /// Names the sequence.
  public let seed: UInt64
  /// How many 64-bit draws were taken.
  public private(set) var position: UInt64

  /// The sequence `seed` from `position` on.
  public init(seed: UInt64, position: UInt64 = 0) {
    self.seed = seed
    self.position = position
  }

  /// The next 64 random bits.
  public mutating func next() -> UInt64 {
    let words = Philox(seed: seed).block(position >> 1, Self.domain)
    let odd = position & 1 == 1
    position &+= 1
    return odd ? UInt64(words.w) << 32 | UInt64(words.z) : UInt64(words.y) << 32 | UInt64(words.x)
  }
  /// Counter words 2 and 3 of every draw.
  static let domain: UInt64 = 0x7474_6152
  /// Takes whole blocks of four 32-bit words, two draws each, for a kernel to compute; the first one's number.
  mutating func takeBlocks(_ count: Int) -> UInt64 {
    let first = (position &+ 1) >> 1
    position = (first &+ UInt64(count)) << 1
    return first
  }
  /// A draw from [0, 1) with 24 random bits.
  public mutating func uniform() -> Float { Float(next() >> 40) * 0x1p-24 }
  /// A draw from [low, high).
  public mutating func uniform(_ low: Float, _ high: Float) -> Float { low + (high - low) * uniform() }
  /// Normal draws of mean 0, by the method of Box and Muller.
  public mutating func normals(_ shape: Shape, deviation: Float) -> Tensor {
    var values: [Float] = []
    values.reserveCapacity(shape.elementCount + 1)
    while values.count < shape.elementCount {
      let radius = (-2 * log(1 - Double(uniform()))).squareRoot()
      let angle = 2 * Double.pi * Double(uniform())
      values.append(deviation * Float(radius * cos(angle)))
      values.append(deviation * Float(radius * sin(angle)))
    }
    return Tensor(Array(values.prefix(shape.elementCount)), shape: shape)
  }
  /// An independent sequence that depends on this one's seed and on the label only, not on the position.
  public func stream(_ label: UInt64) -> RandomSource {
    let words = Philox(seed: seed).block(label, 0x7374_7265_616D)
    return RandomSource(seed: UInt64(words.y) << 32 | UInt64(words.x))
  }
}
