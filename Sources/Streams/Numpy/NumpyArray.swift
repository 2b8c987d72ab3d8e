// Reading NumPy array files.

public import Engine

/// An array of a `.npy` file; the elements stay in the file until they are touched.
public struct NumpyArray: Sendable {
  /// Where it came from; what errors call it.
  public let name: String
  /// The element type.
  public let type: NumpyType
  /// The lengths of the axes, outermost first.
  public let shape: [Int]
  /// Where the elements start in the file.
  let offset: Int
  /// Keeps the elements in memory.
  private let owner: any AnyObject & Sendable
  private let elements: ElementBytes

  /// A pointer whose memory lives as long as its owner and is never written.
  private struct ElementBytes: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
  }
  /// Bytes that were in memory already.
  private final class HeldBytes: @unchecked Sendable {
    let buffer: UnsafeMutableRawBufferPointer
    init(_ bytes: [UInt8]) {
      buffer = .allocate(byteCount: bytes.count, alignment: 16)
      buffer.copyBytes(from: bytes)
    }
    deinit { buffer.deallocate() }
  }

  /// Maps a file; everything about it that is not an array of a known type in C order is an error.
  public init(path: String) throws(TTAError) {
    let file = try MappedFile(path: path)
    try self.init(file.bytes, owner: file, name: path)
  }
  /// An array from the bytes of a file.
  public init(bytes: [UInt8], name: String) throws(TTAError) {
    let held = HeldBytes(bytes)
    try self.init(UnsafeRawBufferPointer(held.buffer), owner: held, name: name)
  }
  private init(_ bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable, name: String) throws(TTAError) {
    let header = try NumpyHeader(reading: bytes, name: name)
    self.name = name
    type = header.type
    shape = header.shape
    offset = header.offset
    self.owner = owner
    elements = ElementBytes(bytes: UnsafeRawBufferPointer(rebasing: bytes[header.offset...]))
  }

  /// Length of the first axis; 1 without axes.
  public var count: Int { shape.first ?? 1 }
  /// `500×32×32×3 uint8`.
  public var description: String { "\(shape.isEmpty ? "one" : shape.map(String.init).joined(separator: "×")) \(type.name)" }

  /// Read access to the bytes of all elements.
  public func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    defer { withExtendedLifetime(owner) {} }
    return try body(elements.bytes)
  }

  /// The elements as class numbers; the array must have one axis and whole numbers. -1 stands for a class that the model does not know.
  public func labels() throws(TTAError) -> [Int] {
    guard shape.count == 1, type != .float32 else {
      throw TTAError(
        .invalidData, "\"\(name)\" is \(description), expected labels: one axis of uint8, int32, uint32 or int64",
        hint: "save them with numpy.save(path, labels.astype('int64'))")
    }
    let labels = withBytes { bytes in
      (0..<count).map { position in
        let offset = position * type.size
        return switch type {
        case .uint8: Int(bytes[offset])
        case .int32: Int(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self)))
        case .uint32: Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
        default: Int(Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Int64.self)))
        }
      }
    }
    if let position = labels.firstIndex(where: { $0 < -1 }) {
      throw TTAError(
        .invalidData, "\"\(name)\": label \(labels[position]) at place \(position), expected -1 or more",
        hint: "classes are numbered from 0; -1 is an unknown class")
    }
    return labels
  }

  /// The elements as a tensor; the array must hold float32.
  public func tensor() throws(TTAError) -> Tensor {
    guard type == .float32 else {
      throw TTAError(.invalidData, "\"\(name)\" is \(description), expected float32", hint: "save array.astype('float32')")
    }
    let values = withBytes { bytes in
      (0..<bytes.count / 4).map { Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self))) }
    }
    return Tensor(values, shape: Shape(shape))
  }
}
