// Reading safetensors files.

public import Engine
import Foundation

/// A safetensors file, mapped and checked: an eight-byte length, a JSON header, then the bytes of the tensors.
///
/// The format is that of Hugging Face's safetensors 0.x. Nothing in the header is trusted: lengths, offsets, shapes and types are checked before use.
public final class SafetensorsFile: Sendable {
  /// Element types of the format that are read.
  public enum ElementType: String, Sendable, CaseIterable {
    /// Floating point.
    case f64 = "F64", f32 = "F32", f16 = "F16", bf16 = "BF16"
    /// Integers.
    case i64 = "I64", i32 = "I32", i16 = "I16", i8 = "I8", u8 = "U8", bool = "BOOL"
    /// Bytes of one element.
    public var byteCount: Int {
      switch self {
      case .f64, .i64: 8
      case .f32, .i32: 4
      case .f16, .bf16, .i16: 2
      case .i8, .u8, .bool: 1
      }
    }
  }
  /// One tensor of the file.
  public struct Entry: Sendable {
    /// Its name, type and shape.
    public let name: String, type: ElementType, shape: Shape
    let range: Range<Int>
  }
  /// Where the file is.
  public let path: String
  /// Text beside the tensors.
  public let metadata: [String: String]
  /// By name.
  public let entries: [String: Entry]
  private let content: UnsafeContent

  /// Bytes and what keeps them alive.
  private struct UnsafeContent: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    let owner: AnyObject
  }
  private final class Forever {}

  /// Largest header that is read, as in the reference implementation.
  private static let headerLimit = 100_000_000
  /// Alphabetical.
  public var names: [String] { entries.keys.sorted() }

  /// Maps and checks a file. Throws `missingInput` or `invalidData`; the message says what was expected and what was found.
  public init(path: String) throws(TTAError) {
    self.path = path
    let file = try MappedFile(path: path)
    content = UnsafeContent(bytes: file.bytes, owner: file)
    (metadata, entries) = try Self.parse(file.bytes, path: path)
  }
  /// Checks bytes that live as long as the process: a file inside the binary.
  public init(bytes: UnsafeRawBufferPointer, name: String) throws(TTAError) {
    path = name
    content = UnsafeContent(bytes: bytes, owner: Forever())
    (metadata, entries) = try Self.parse(bytes, path: name)
  }

  /// Checks a header; used by the fuzz target as well.
  package static func parse(
    _ bytes: UnsafeRawBufferPointer, path: String
  ) throws(TTAError) -> (metadata: [String: String], entries: [String: Entry]) {
    func fail(_ what: String) -> TTAError {
      TTAError(
        .invalidData, "\(path): not a valid safetensors file: \(what)", hint: "the file is damaged or of another format; write it again")
    }
    guard bytes.count >= 8 else { throw fail("expected at least 8 bytes, got \(bytes.count)") }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(headerLimit) else { throw fail("the header says it has \(length) bytes, more than \(headerLimit)") }
    guard length <= UInt64(bytes.count - 8) else {
      throw fail("the header says it has \(length) bytes, the file has \(bytes.count - 8) more")
    }
    let header = Data(bytes[8..<8 + Int(length)])
    let object: [String: HeaderValue]
    do { object = try JSONDecoder().decode([String: HeaderValue].self, from: header) } catch {
      throw fail("the header is not a JSON object of tensors")
    }
    let available = bytes.count - 8 - Int(length)
    var metadata: [String: String] = [:]
    var entries: [String: Entry] = [:]
    for (name, value) in object {
      switch value {
      case .metadata(let text):
        guard name == "__metadata__" else { throw fail("\"\(name)\" has no dtype, shape and data_offsets") }
        metadata = text
      case .tensor(let dtype, let shape, let offsets):
        guard let type = ElementType(rawValue: dtype) else {
          throw fail("\"\(name)\" has the type \(dtype); expected one of \(ElementType.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        var size = type.byteCount
        for dimension in shape {
          let (product, overflow) = size.multipliedReportingOverflow(by: dimension)
          guard dimension >= 0, !overflow else { throw fail("\"\(name)\" has the shape \(shape)") }
          size = product
        }
        guard offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] <= available else {
          throw fail("\"\(name)\" lies at bytes \(offsets) of \(available)")
        }
        guard offsets[1] - offsets[0] == size else {
          throw fail("\"\(name)\" has \(offsets[1] - offsets[0]) bytes, its shape \(Shape(shape)) of \(dtype) needs \(size)")
        }
        let start = 8 + Int(length)
        entries[name] = Entry(name: name, type: type, shape: Shape(shape), range: start + offsets[0]..<start + offsets[1])
      }
    }
    return (metadata, entries)
  }

  private enum HeaderValue: Decodable {
    case tensor(dtype: String, shape: [Int], offsets: [Int])
    case metadata([String: String])
    enum Key: String, CodingKey { case dtype, shape, offsets = "data_offsets" }
    init(from decoder: any Decoder) throws {
      if let container = try? decoder.container(keyedBy: Key.self), container.contains(.dtype), container.contains(.offsets) {
        self = .tensor(
          dtype: try container.decode(String.self, forKey: .dtype), shape: try container.decode([Int].self, forKey: .shape),
          offsets: try container.decode([Int].self, forKey: .offsets))
      } else {
        self = .metadata(try decoder.singleValueContainer().decode([String: String].self))
      }
    }
  }

  /// An entry, or an error with the nearest names.
  public func entry(_ name: String) throws(TTAError) -> Entry {
    guard let entry = entries[name] else {
      throw TTAError(
        .invalidData, "\(path): there is no tensor \"\(name)\"",
        hint: "nearest names: \(NearestNames.nearest(to: name, in: entries.keys).joined(separator: ", "))")
    }
    return entry
  }
  /// The raw bytes of a tensor; valid as long as the file object lives.
  public func bytes(_ name: String) throws(TTAError) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: content.bytes[try entry(name).range])
  }
  /// A tensor as float32. Float32 values in place are not copied; other types are converted.
  public func tensor(_ name: String) throws(TTAError) -> Tensor {
    let entry = try entry(name)
    let raw = UnsafeRawBufferPointer(rebasing: content.bytes[entry.range])
    if entry.type == .f32, let base = raw.baseAddress, UInt(bitPattern: base) % 4 == 0, entry.shape.elementCount > 0 {
      return Tensor(borrowing: base.assumingMemoryBound(to: Float.self), shape: entry.shape, owner: content.owner)
    }
    return Tensor((0..<entry.shape.elementCount).map { Self.element($0, of: raw, entry.type) }, shape: entry.shape)
  }
  /// A tensor of any type as integers; floating-point values are refused.
  public func integers(_ name: String) throws(TTAError) -> [Int] {
    let entry = try entry(name)
    let raw = UnsafeRawBufferPointer(rebasing: content.bytes[entry.range])
    let count = entry.shape.elementCount
    switch entry.type {
    case .i64: return (0..<count).map { Int(raw.loadUnaligned(fromByteOffset: $0 * 8, as: Int64.self)) }
    case .i32: return (0..<count).map { Int(raw.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self)) }
    case .i16: return (0..<count).map { Int(raw.loadUnaligned(fromByteOffset: $0 * 2, as: Int16.self)) }
    case .i8: return (0..<count).map { Int(raw.loadUnaligned(fromByteOffset: $0, as: Int8.self)) }
    case .u8, .bool: return (0..<count).map { Int(raw[$0]) }
    case .f64, .f32, .f16, .bf16:
      throw TTAError(.invalidData, "\(path): \"\(name)\": expected integers, got \(entry.type.rawValue)", hint: "store labels as integers")
    }
  }
  private static func element(_ i: Int, of raw: UnsafeRawBufferPointer, _ type: ElementType) -> Float {
    switch type {
    case .f64: Float(raw.loadUnaligned(fromByteOffset: i * 8, as: Double.self))
    case .f32: raw.loadUnaligned(fromByteOffset: i * 4, as: Float.self)
    case .f16: halfToFloat(raw.loadUnaligned(fromByteOffset: i * 2, as: UInt16.self))
    case .bf16: Float(bitPattern: UInt32(raw.loadUnaligned(fromByteOffset: i * 2, as: UInt16.self)) << 16)
    case .i64: Float(raw.loadUnaligned(fromByteOffset: i * 8, as: Int64.self))
    case .i32: Float(raw.loadUnaligned(fromByteOffset: i * 4, as: Int32.self))
    case .i16: Float(raw.loadUnaligned(fromByteOffset: i * 2, as: Int16.self))
    case .i8: Float(raw.loadUnaligned(fromByteOffset: i, as: Int8.self))
    case .u8, .bool: Float(raw[i])
    }
  }
}

/// IEEE half precision to single, subnormals included.
func halfToFloat(_ bits: UInt16) -> Float {
  let sign = UInt32(bits & 0x8000) << 16
  let exponent = UInt32(bits >> 10 & 0x1F)
  let fraction = UInt32(bits & 0x3FF)
  switch exponent {
  case 0: return Float(bitPattern: sign) + Float(fraction) * (sign == 0 ? 0x1p-24 : -0x1p-24)
  case 31: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
  default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
  }
}
