// A checksum of parameter values.

extension Parameters {
  /// A 64-bit checksum of all values and shapes as 16 hexadecimal digits: tells models apart, protects against nothing.
  ///
  /// - Complexity: one pass over all values.
  public var digest: String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for index in 0..<count {
      let tensor = self[ParameterID(index)]
      for length in tensor.shape.dimensions { hash = (hash ^ UInt64(length)) &* 0x0000_0100_0000_01B3 }
      tensor.withSpan { values in
        for i in values.indices {
          hash = (hash ^ UInt64(values[i].bitPattern)) &* 0x0000_0100_0000_01B3
          hash ^= hash >> 29
        }
      }
    }
    let text = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
  }
}
