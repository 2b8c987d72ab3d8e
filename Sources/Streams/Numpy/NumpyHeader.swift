// The header of NumPy array files, read without trusting it.

public import Engine

/// What the header of a `.npy` file says.
public struct NumpyHeader: Hashable, Sendable {
  /// The element type.
  public var type: NumpyType
  /// The lengths of the axes, outermost first.
  public var shape: [Int]
  /// Where the elements start in the file.
  public var offset: Int

  static let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]
  /// No header of a plain array is longer.
  static let longest = 65_536

  /// Reads a header and checks that exactly the elements it promises follow it; `name` is what errors call the file.
  public init(reading bytes: UnsafeRawBufferPointer, name: String) throws(TTAError) {
    guard bytes.starts(with: Self.magic) else {
      let start = bytes.isEmpty ? "it is empty" : "it starts with \(bytes.prefix(6).map(hex).joined(separator: " "))"
      throw TTAError(
        .invalidData, "\"\(name)\" is not a NumPy array: \(start), expected 93 4E 55 4D 50 59", hint: "write it with numpy.save")
    }
    guard bytes.count >= 10 else { throw Self.truncated(name, expected: "a header of at least 10 bytes", bytes.count) }
    let version = (bytes[6], bytes[7])
    guard (1...3).contains(version.0), version.1 == 0 else {
      throw TTAError(
        .unsupported, "\"\(name)\" has NumPy format \(version.0).\(version.1), expected 1.0, 2.0 or 3.0", hint: "write it with numpy.save")
    }
    let prefix = version.0 == 1 ? 10 : 12
    guard bytes.count >= prefix else { throw Self.truncated(name, expected: "a header of at least \(prefix) bytes", bytes.count) }
    let length = bytes[8..<prefix].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= Self.longest else {
      throw TTAError(
        .invalidData, "\"\(name)\" has a header of \(length) bytes, at most \(Self.longest) are allowed", hint: "write it with numpy.save")
    }
    guard bytes.count >= prefix + length else {
      throw Self.truncated(name, expected: "a header of \(prefix + length) bytes", bytes.count)
    }
    var parser = NumpyHeaderParser(bytes[prefix..<prefix + length], name: name)
    let fields = try parser.parse()
    if fields.fortran {
      throw TTAError(.unsupported, "\"\(name)\" is in Fortran order, expected C order", hint: "save numpy.ascontiguousarray(array)")
    }
    guard let type = NumpyType(rawValue: fields.descr == "<u1" || fields.descr == "u1" ? "|u1" : fields.descr) else {
      let known = NumpyType.allCases.map { "\($0.name) (\($0.rawValue))" }.joined(separator: ", ")
      throw TTAError(
        .unsupported, "\"\(name)\" holds elements of type \"\(fields.descr)\", expected one of \(known)",
        hint: "convert it with array.astype")
    }
    self.type = type
    shape = fields.shape
    offset = prefix + length
    guard let size = byteCount else {
      throw TTAError(.invalidData, "\"\(name)\" promises an array of \(shapeText), which no memory holds", hint: "the header is damaged")
    }
    let found = bytes.count - offset
    guard found >= size else {
      throw TTAError(
        .invalidData, "\"\(name)\" is truncated: \(shapeText) \(type.name) are \(size) bytes, \(found) follow the header",
        hint: "copy or download the file again")
    }
    guard found == size else {
      throw TTAError(
        .invalidData, "\"\(name)\" has \(found - size) bytes after its \(shapeText) \(type.name) elements",
        hint: "the header does not belong to the data, or several arrays were written to one file")
    }
  }

  /// The lengths joined by ×.
  var shapeText: String { shape.isEmpty ? "one element" : shape.map(String.init).joined(separator: "×") }

  /// Bytes of all elements, unless that is more than an `Int` holds. As in NumPy, an axis of nothing does not excuse the others.
  private var byteCount: Int? {
    var size = type.size
    for length in shape where length > 0 {
      let (product, overflow) = size.multipliedReportingOverflow(by: length)
      if overflow { return nil }
      size = product
    }
    return shape.contains(0) ? 0 : size
  }

  /// The bytes of a version 1 header, padded with blanks so that the elements start at a multiple of 64; at least `minimum` bytes long.
  package static func encoded(type: NumpyType, shape: [Int], minimum: Int = 0) -> [UInt8] {
    let axes = shape.map { "\($0), " }.joined()
    let text =
      "{'descr': '\(type.rawValue)', 'fortran_order': False, 'shape': (\(shape.count > 1 ? String(axes.dropLast(2)) : String(axes.dropLast()))), }"
    let length = max((10 + text.utf8.count + 1 + 63) / 64 * 64, minimum)
    let padding = [UInt8](repeating: 0x20, count: length - 10 - text.utf8.count - 1)
    let size = length - 10
    return magic + [1, 0, UInt8(size & 255), UInt8(size >> 8)] + Array(text.utf8) + padding + [0x0A]
  }

  private static func truncated(_ name: String, expected: String, _ found: Int) -> TTAError {
    TTAError(.invalidData, "\"\(name)\" is truncated: expected \(expected), got \(found)", hint: "copy or download the file again")
  }
}

private func hex(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true) }
