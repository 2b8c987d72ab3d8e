// Recorded random draws in NumPy files of whatever number type.

public import Foundation

/// The numbers of a NumPy file of float32 or of small whole numbers.
public enum RecordedDraws {
  /// What a file of draws must not be.
  public struct Unreadable: Error {
    /// The file and its header.
    public var text: String
  }

  /// All numbers of a version 1 file, flattened.
  public static func load(_ url: URL) throws -> [Float] {
    let bytes = [UInt8](try Data(contentsOf: url))
    guard bytes.count > 10, bytes[1...5].elementsEqual("NUMPY".utf8), bytes[6] == 1 else {
      throw Unreadable(text: "\(url.path): no header")
    }
    let start = 10 + Int(bytes[8]) + Int(bytes[9]) << 8
    let header = String(decoding: bytes[10..<start], as: UTF8.self)
    func numbers<N: BitwiseCopyable>(_ type: N.Type) -> [N] {
      bytes[start...].withUnsafeBytes { raw in
        (0..<raw.count / MemoryLayout<N>.size).map { raw.loadUnaligned(fromByteOffset: $0 * MemoryLayout<N>.size, as: N.self) }
      }
    }
    if header.contains("'<f4'") { return numbers(Float.self) }
    if header.contains("'|i1'") { return numbers(Int8.self).map(Float.init) }
    if header.contains("'<i2'") { return numbers(Int16.self).map(Float.init) }
    throw Unreadable(text: "\(url.path): \(header)")
  }
}
