// Checksums of bytes as text.

import CEvaluation

/// 64-bit checksums (FNV-1a): they tell files apart and protect against nothing.
public enum Digest {
  /// The checksum of bytes, continued from another one.
  static func of(_ bytes: UnsafeRawBufferPointer, after hash: UInt64 = 0xCBF2_9CE4_8422_2325) -> UInt64 {
    ce_digest(bytes.baseAddress, bytes.count, hash)
  }
  /// 16 hexadecimal digits.
  static func text(_ hash: UInt64) -> String {
    let text = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
  }
  /// The checksum of a text.
  public static func of(_ text: String) -> String {
    var text = text
    return text.withUTF8 { Self.text(of(UnsafeRawBufferPointer($0))) }
  }
}
