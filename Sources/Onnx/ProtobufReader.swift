// The wire format of protocol buffers, read in place.
//
// ONNX files are protocol buffers of up to 2 GB that consist of weights for the most part. A generated reader would copy every weight; this one
// hands out ranges of the mapped file. Specification: protobuf.dev/programming-guides/encoding.

import Engine

/// A value on the wire: a number, or a range of bytes of the file.
enum WireValue {
  case varint(UInt64)
  case fixed64(UInt64)
  case fixed32(UInt32)
  case bytes(Range<Int>)
}

/// Walks the fields of one message; every length is checked against the message's end.
struct ProtobufReader {
  private let bytes: UnsafeRawBufferPointer
  private let path: String
  private(set) var position: Int
  private let end: Int

  init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, path: String) {
    (self.bytes, self.path, position, end) = (bytes, path, range.lowerBound, range.upperBound)
  }

  func fail(_ what: String) -> TTAError {
    TTAError(
      .invalidData, "\(path): not a valid ONNX file: \(what), at byte \(position)",
      hint: "the file is damaged or of another kind; export the model again")
  }
  /// A number of seven bits per byte, lowest first.
  mutating func varint() throws(TTAError) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: 0, to: 70, by: 7) {
      guard position < end else { throw fail("a number is cut off") }
      let byte = bytes[position]
      position += 1
      guard shift < 63 || byte < 2 else { throw fail("a number of more than 64 bits") }
      value |= UInt64(byte & 0x7F) << UInt64(shift)
      if byte < 0x80 { return value }
    }
    throw fail("a number of more than ten bytes")
  }
  private mutating func take(_ count: Int) throws(TTAError) -> Range<Int> {
    guard count >= 0, count <= end - position else { throw fail("a field of \(count) bytes, where \(end - position) are left") }
    defer { position += count }
    return position..<position + count
  }
  /// The next field's number and value; nil at the end of the message.
  mutating func next() throws(TTAError) -> (field: Int, value: WireValue)? {
    guard position < end else { return nil }
    let key = try varint()
    guard key >> 3 > 0, key >> 3 < 1 << 29 else { throw fail("field number \(key >> 3)") }
    let field = Int(key >> 3)
    switch key & 7 {
    case 0: return (field, .varint(try varint()))
    case 1:
      let range = try take(8)
      return (field, .fixed64(bytes.loadUnaligned(fromByteOffset: range.lowerBound, as: UInt64.self)))
    case 2:
      let length = try varint()
      guard length <= UInt64(end) else { throw fail("a field of \(length) bytes") }
      return (field, .bytes(try take(Int(length))))
    case 5:
      let range = try take(4)
      return (field, .fixed32(bytes.loadUnaligned(fromByteOffset: range.lowerBound, as: UInt32.self)))
    default: throw fail("wire type \(key & 7)")
    }
  }
  /// Bytes as text.
  func text(_ value: WireValue) throws(TTAError) -> String {
    guard case .bytes(let range) = value else { throw fail("a number in the place of text") }
    guard let text = String(validating: bytes[range], as: UTF8.self) else { throw fail("text that is not UTF-8") }
    return text
  }
  /// A message inside this one.
  func message(_ value: WireValue) throws(TTAError) -> ProtobufReader {
    guard case .bytes(let range) = value else { throw fail("a number in the place of a message") }
    return ProtobufReader(bytes, range, path: path)
  }
  /// A range of the file.
  func range(_ value: WireValue) throws(TTAError) -> Range<Int> {
    guard case .bytes(let range) = value else { throw fail("a number in the place of bytes") }
    return range
  }
  func integer(_ value: WireValue) throws(TTAError) -> Int {
    guard case .varint(let number) = value else { throw fail("a value of another kind in the place of a number") }
    return Int(Int64(bitPattern: number))
  }
  func float(_ value: WireValue) throws(TTAError) -> Float {
    guard case .fixed32(let bits) = value else { throw fail("a value of another kind in the place of a float") }
    return Float(bitPattern: bits)
  }
  /// One number, or several packed into one field.
  func integers(_ value: WireValue) throws(TTAError) -> [Int] {
    guard case .bytes = value else { return [try integer(value)] }
    var inner = try message(value)
    var result: [Int] = []
    while inner.position < inner.end { result.append(Int(Int64(bitPattern: try inner.varint()))) }
    return result
  }
  /// One float, or several packed into one field.
  func floats(_ value: WireValue) throws(TTAError) -> [Float] {
    guard case .bytes(let range) = value else { return [try float(value)] }
    guard range.count % 4 == 0 else { throw fail("\(range.count) bytes of packed floats") }
    return stride(from: range.lowerBound, to: range.upperBound, by: 4).map { bytes.loadUnaligned(fromByteOffset: $0, as: Float.self) }
  }
  /// One double, or several packed into one field.
  func doubles(_ value: WireValue) throws(TTAError) -> [Double] {
    if case .fixed64(let bits) = value { return [Double(bitPattern: bits)] }
    guard case .bytes(let range) = value, range.count % 8 == 0 else { throw fail("packed doubles of another length") }
    return stride(from: range.lowerBound, to: range.upperBound, by: 8).map { bytes.loadUnaligned(fromByteOffset: $0, as: Double.self) }
  }
}
