// Tensors of ONNX files: where their values lie, and the values.

public import Engine
import Foundation

/// Element types, numbered as in onnx.proto's TensorProto.DataType.
public enum OnnxType: Int, Sendable {
  /// Floating point.
  case float = 1, float16 = 10, double = 11, bfloat16 = 16
  /// Integers.
  case uint8 = 2, int8 = 3, uint16 = 4, int16 = 5, int32 = 6, int64 = 7, bool = 9, uint32 = 12, uint64 = 13

  /// The same type in weight files; nil for unsigned numbers of more than eight bits.
  var stored: StoredType? {
    switch self {
    case .float: .f32
    case .float16: .f16
    case .double: .f64
    case .bfloat16: .bf16
    case .uint8: .u8
    case .int8: .i8
    case .int16: .i16
    case .int32: .i32
    case .int64: .i64
    case .bool: .bool
    case .uint16, .uint32, .uint64: nil
    }
  }
  /// Whether values are integers or truth values.
  public var isInteger: Bool { stored?.isInteger ?? true }
}

/// A tensor of the file: initialisers, constants of nodes.
public struct OnnxTensor: Sendable {
  /// Where the values lie.
  enum Content: Sendable {
    case raw(Range<Int>)
    case floats([Float])
    case doubles([Double])
    case integers([Int])
    case external(file: String, offset: Int, length: Int?)
  }
  /// Its name; empty for constants of nodes.
  public let name: String
  /// Lengths of its axes.
  public let shape: Shape
  /// Type of its elements.
  public let type: OnnxType
  let content: Content
  /// The tensor's own bytes in the file.
  let range: Range<Int>

  /// Most elements of a tensor: a terabyte of floats.
  private static let elementLimit = 1 << 38

  init(_ given: ProtobufReader, _ range: Range<Int>) throws(TTAError) {
    var reader = given
    var (name, dimensions, type, raw) = ("", [Int](), 0, Range<Int>?.none)
    var (floats, doubles, integers, isExternal) = ([Float](), [Double](), [Int](), false)
    var external: [String: String] = [:]
    while let (field, value) = try reader.next() {
      switch field {
      case 1: dimensions += try reader.integers(value)
      case 2: type = try reader.integer(value)
      case 4: floats += try reader.floats(value)
      case 5, 7, 11: integers += try reader.integers(value)
      case 8: name = try reader.text(value)
      case 9: raw = try reader.range(value)
      case 10: doubles += try reader.doubles(value)
      case 13:
        var entry = try reader.message(value)
        var pair = ("", "")
        while let (field, value) = try entry.next() {
          if field == 1 { pair.0 = try entry.text(value) }
          if field == 2 { pair.1 = try entry.text(value) }
        }
        external[pair.0] = pair.1
      case 14: isExternal = try reader.integer(value) == 1
      default: continue
      }
    }
    guard let known = OnnxType(rawValue: type) else {
      throw reader.fail("tensor \"\(name)\" has elements of type \(type), which no classifier needs")
    }
    var count = 1
    for length in dimensions {
      let (product, overflow) = count.multipliedReportingOverflow(by: length)
      guard length >= 0, !overflow, product <= Self.elementLimit else {
        throw reader.fail("tensor \"\(name)\" has the shape \(dimensions)")
      }
      count = product
    }
    (self.name, shape, self.type, self.range) = (name, Shape(dimensions), known, range)
    if isExternal {
      guard let file = external["location"] else { throw reader.fail("tensor \"\(name)\" lies in another file that is not named") }
      let numbers = try ["offset", "length"].map { key throws(TTAError) -> Int? in
        guard let text = external[key] else { return nil }
        guard let number = Int(text), number >= 0 else { throw reader.fail("tensor \"\(name)\": \(key) \"\(text)\"") }
        return number
      }
      content = .external(file: file, offset: numbers[0] ?? 0, length: numbers[1])
      return
    }
    let (expected, got, unit): (Int, Int, String)
    if let raw {
      content = .raw(raw)
      (expected, got, unit) = (count * (known.stored?.byteCount ?? [.uint16: 2, .uint32: 4][known] ?? 8), raw.count, "bytes")
    } else if known == .float {
      content = .floats(floats)
      (expected, got, unit) = (count, floats.count, "values")
    } else if known == .double {
      content = .doubles(doubles)
      (expected, got, unit) = (count, doubles.count, "values")
    } else {
      content = .integers(integers)
      (expected, got, unit) = (count, integers.count, "values")
    }
    guard expected == got else { throw reader.fail("tensor \"\(name)\" of shape \(shape) has \(got) \(unit), not \(expected)") }
  }
}

extension OnnxFile {
  /// The bytes of a tensor that has them, and what keeps them alive.
  private func raw(_ tensor: OnnxTensor) throws(TTAError) -> (bytes: UnsafeRawBufferPointer, owner: AnyObject)? {
    switch tensor.content {
    case .raw(let range): return (UnsafeRawBufferPointer(rebasing: content.bytes[range]), content.owner)
    case .external(let name, let offset, let length):
      let file = try externalFile(name, for: tensor)
      let count = tensor.shape.elementCount * (tensor.type.stored?.byteCount ?? 8)
      guard length ?? count == count, offset <= file.bytes.count, count <= file.bytes.count - offset else {
        throw TTAError(
          .invalidData,
          "\(path): tensor \"\(tensor.name)\" is \(count) bytes at \(offset) of \(name), which has \(file.bytes.count)"
            + (length.map { " (the tensor claims \($0))" } ?? ""), hint: "copy the model and its data file together again")
      }
      return (UnsafeRawBufferPointer(rebasing: file.bytes[offset..<offset + count]), file)
    case .floats, .doubles, .integers: return nil
    }
  }
  /// The values as float32; contiguous float32 values are used where they lie in the file. Throws `invalidData` for data outside the file and
  /// `unsupported` for element types that no weight has.
  public func values(of tensor: OnnxTensor) throws(TTAError) -> Tensor {
    if let (bytes, owner) = try raw(tensor) {
      guard let type = tensor.type.stored else { throw unsupportedType(tensor) }
      return type.tensor(of: bytes, shape: tensor.shape, owner: owner)
    }
    switch tensor.content {
    case .floats(let values): return Tensor(values, shape: tensor.shape)
    case .doubles(let values): return Tensor(values.map { Float($0) }, shape: tensor.shape)
    case .integers(let values):
      // Half floats without raw data are the bits of integers.
      if tensor.type == .float16 || tensor.type == .bfloat16, let type = tensor.type.stored {
        let bits = values.map { UInt16(truncatingIfNeeded: $0) }
        return Tensor(bits.withUnsafeBytes { bytes in bits.indices.map { type.value($0, of: bytes) } }, shape: tensor.shape)
      }
      return Tensor(values.map { Float($0) }, shape: tensor.shape)
    case .raw, .external: throw unsupportedType(tensor)
    }
  }
  /// The values of a tensor of integers or truth values.
  public func integers(of tensor: OnnxTensor) throws(TTAError) -> [Int] {
    if case .integers(let values) = tensor.content { return values }
    guard let (bytes, owner) = try raw(tensor), let type = tensor.type.stored, type.isInteger else { throw unsupportedType(tensor) }
    defer { withExtendedLifetime(owner) {} }
    return (0..<tensor.shape.elementCount).map { type.integer($0, of: bytes) }
  }
  private func unsupportedType(_ tensor: OnnxTensor) -> TTAError {
    TTAError(
      .unsupported, "\(path): tensor \"\(tensor.name)\" has elements of type \(tensor.type)", hint: "export the model with float32 weights")
  }
}
