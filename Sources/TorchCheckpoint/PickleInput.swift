// The bytes of a pickle.

import Engine

/// The opcodes that state dicts need.
enum PickleCode: UInt8 {
  case proto = 0x80, frame = 0x95, stop = 0x2E, mark = 0x28, pop = 0x30, popMark = 0x31, duplicate = 0x32
  case none = 0x4E, newTrue = 0x88, newFalse = 0x89
  case binInt = 0x4A, binInt1 = 0x4B, binInt2 = 0x4D, long1 = 0x8A, long4 = 0x8B, binFloat = 0x47
  case binUnicode = 0x58, shortBinUnicode = 0x8C, binUnicode8 = 0x8D, binString = 0x54, shortBinString = 0x55
  case binBytes = 0x42, shortBinBytes = 0x43
  case emptyTuple = 0x29, emptyList = 0x5D, emptyDictionary = 0x7D, tuple = 0x74, tuple1 = 0x85, tuple2 = 0x86, tuple3 = 0x87
  case list = 0x6C, dictionary = 0x64, append = 0x61, appends = 0x65, setItem = 0x73, setItems = 0x75
  case binPut = 0x71, longBinPut = 0x72, memoize = 0x94, binGet = 0x68, longBinGet = 0x6A
  case global = 0x63, stackGlobal = 0x93, persistentID = 0x51, reduce = 0x52, build = 0x62
}

/// Reads a pickle from front to back; every length is checked.
struct PickleInput {
  let path: String
  private let raw: UnsafeRawBufferPointer
  private(set) var position = 0

  init(_ raw: UnsafeRawBufferPointer, path: String) { (self.raw, self.path) = (raw, path) }

  func fail(_ what: String) -> TTAError {
    TTAError(
      .invalidData, "\(path): not a valid PyTorch checkpoint: \(what), at byte \(position) of the pickle",
      hint: "the file is damaged or of another kind; save the state dict again with torch.save")
  }
  /// The message for pickles that call what this reader does not know.
  func refuseFunction(_ name: String) -> TTAError {
    TTAError(
      .unsupported, "\(path): the pickle names \(name): only tensors and containers of tensors are read, never code", hint: Self.way)
  }
  func refuseCode(at place: Int) -> TTAError {
    TTAError(
      .unsupported, "\(path): the pickle has the opcode 0x\(String(raw[place], radix: 16)) at byte \(place), which no state dict needs",
      hint: Self.way)
  }
  private static let way =
    "where you trust the file, save its weights alone: python3 -c \"import torch; m = torch.load('IN', weights_only=False); "
    + "torch.save(m.state_dict() if hasattr(m, 'state_dict') else m['state_dict'], 'OUT.pt')\""

  mutating func byte() throws(TTAError) -> UInt8 {
    guard position < raw.count else { throw fail("it ends too early") }
    defer { position += 1 }
    return raw[position]
  }
  private mutating func take(_ count: Int) throws(TTAError) -> UnsafeRawBufferPointer {
    guard count >= 0, count <= raw.count - position else { throw fail("\(count) bytes announced, \(raw.count - position) left") }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: raw[position..<position + count])
  }
  /// A little-endian number of 1, 2, 4 or 8 bytes.
  mutating func integer(_ count: Int) throws(TTAError) -> Int {
    var value: UInt64 = 0
    for (i, byte) in try take(count).enumerated() { value |= UInt64(byte) << (8 * UInt64(i)) }
    guard let number = Int(exactly: value) else { throw fail("a length of \(value)") }
    return number
  }
  /// A number in two's complement; those of more than eight bytes (the magic number of old files) become their text.
  mutating func long(bytes count: Int) throws(TTAError) -> PickleValue {
    let bytes = try take(count)
    guard count <= 8 else { return .bytes(Array(bytes)) }
    var value: UInt64 = (bytes.last ?? 0) & 0x80 != 0 ? ~0 : 0
    for byte in bytes.reversed() { value = value << 8 | UInt64(byte) }
    return .integer(Int(bitPattern: UInt(value)))
  }
  mutating func bigEndianDouble() throws(TTAError) -> Double {
    var bits: UInt64 = 0
    for byte in try take(8) { bits = bits << 8 | UInt64(byte) }
    return Double(bitPattern: bits)
  }
  mutating func bytes(_ count: Int) throws(TTAError) -> [UInt8] { Array(try take(count)) }
  mutating func text(bytes count: Int) throws(TTAError) -> String {
    let bytes = try take(count)
    guard let text = String(validating: bytes, as: UTF8.self) else { throw fail("text that is not UTF-8") }
    return text
  }
  /// Text up to a line end.
  mutating func line() throws(TTAError) -> String {
    guard let end = raw[position...].firstIndex(of: 0x0A) else { throw fail("a name without an end") }
    let text = try text(bytes: end - position)
    position += 1
    return text
  }
}
