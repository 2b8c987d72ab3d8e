// TensorBoard's event files.

import CEvaluation
import Engine

/// Scalars as TensorBoard reads them: a TFRecord file (length, masked CRC-32C, payload, masked CRC-32C) of `Event` protocol buffers.
struct EventFile {
  private(set) var bytes: [UInt8] = []
  private let time: Double

  /// A file that begins at a time, in seconds since 1970.
  init(time: Double) {
    self.time = time
    // Event: 1 wall_time, 2 step, 3 file_version, 5 summary.
    append(Self.double(1, time) + Self.text(3, "brain.Event:2"))
  }
  /// Adds a scalar.
  mutating func add(_ tag: String, _ value: Double, step: Int) {
    // Summary.Value: 1 tag, 2 simple_value. Summary: 1 value.
    let content = Self.text(1, tag) + [2 << 3 | 5] + Self.little(Float(value).bitPattern)
    let summary = Self.message(1, content)
    append(Self.double(1, time) + [2 << 3] + Self.variable(UInt64(step)) + Self.message(5, summary))
  }

  private mutating func append(_ payload: [UInt8]) {
    let length = Self.little(UInt64(payload.count))
    bytes += length + Self.little(Self.maskedChecksum(length)) + payload + Self.little(Self.maskedChecksum(payload))
  }
  private static func maskedChecksum(_ bytes: [UInt8]) -> UInt32 {
    let checksum = ce_crc32c(bytes, bytes.count)
    return (checksum >> 15 | checksum << 17) &+ 0xA282_EAD8
  }
  private static func little(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
  private static func variable(_ value: UInt64) -> [UInt8] {
    var (value, result) = (value, [UInt8]())
    while value > 127 {
      result.append(UInt8(value & 127) | 128)
      value >>= 7
    }
    return result + [UInt8(value)]
  }
  private static func double(_ field: UInt8, _ value: Double) -> [UInt8] { [field << 3 | 1] + little(value.bitPattern) }
  private static func message(_ field: UInt8, _ content: [UInt8]) -> [UInt8] {
    [field << 3 | 2] + variable(UInt64(content.count)) + content
  }
  private static func text(_ field: UInt8, _ text: String) -> [UInt8] { message(field, Array(text.utf8)) }
}
