// Counter-based random numbers.

/// Philox4x32-10: a function from a 64-bit key and a 128-bit counter to four random words.
///
/// Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. Any word of any sequence costs the same, so draws do not
/// depend on thread counts, batch sizes or order.
public struct Philox: Hashable, Codable, Sendable {
  /// The key: which sequence.
  public var key: (low: UInt32, high: UInt32) { (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)) }
  /// The key as one number.
  public let seed: UInt64

  /// The function with the key `seed` (low word first).
  public init(seed: UInt64) { self.seed = seed }

  /// The four words at a counter; `low` holds counter words 0 and 1, `high` words 2 and 3.
  @inlinable public func block(_ low: UInt64, _ high: UInt64 = 0) -> SIMD4<UInt32> {
    var c0 = UInt32(truncatingIfNeeded: low)
    var c1 = UInt32(truncatingIfNeeded: low >> 32)
    var c2 = UInt32(truncatingIfNeeded: high)
    var c3 = UInt32(truncatingIfNeeded: high >> 32)
    var k0 = UInt32(truncatingIfNeeded: seed)
    var k1 = UInt32(truncatingIfNeeded: seed >> 32)
    for _ in 0..<10 {
      let p0 = UInt64(c0) &* 0xD251_1F53
      let p1 = UInt64(c2) &* 0xCD9E_8D57
      let n0 = UInt32(truncatingIfNeeded: p1 >> 32) ^ c1 ^ k0
      let n2 = UInt32(truncatingIfNeeded: p0 >> 32) ^ c3 ^ k1
      c1 = UInt32(truncatingIfNeeded: p1)
      c3 = UInt32(truncatingIfNeeded: p0)
      c0 = n0
      c2 = n2
      k0 = k0 &+ 0x9E37_79B9
      k1 = k1 &+ 0xBB67_AE85
    }
    return SIMD4(c0, c1, c2, c3)
  }
}
