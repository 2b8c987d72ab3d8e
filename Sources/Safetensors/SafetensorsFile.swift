// Reading safetensors files.

public import Engine
import Foundation

/// A safetensors file, mapped and checked: an eight-byte length, a JSON header, then the bytes of the tensors.
///
/// The format is that of Hugging Face's safetensors 0.x. Nothing in the header is trusted: lengths, offsets, shapes and types are checked before use.
public final class SafetensorsFile: Sendable {
  /// One tensor of the file.
  public struct Entry: Sendable {
    /// Its name, type and shape.
    public let name: String, type: StoredType, shape: Shape
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
        guard let type = StoredType(rawValue: dtype) else {
          throw fail("\"\(name)\" has the type \(dtype); expected one of \(StoredType.allCases.map(\.rawValue).joined(separator: ", "))")
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
    return entry.type.tensor(of: UnsafeRawBufferPointer(rebasing: content.bytes[entry.range]), shape: entry.shape, owner: content.owner)
  }
  /// A tensor of any type as integers; floating-point values are refused.
  public func integers(_ name: String) throws(TTAError) -> [Int] {
    let entry = try entry(name)
    guard entry.type.isInteger else {
      throw TTAError(.invalidData, "\(path): \"\(name)\": expected integers, got \(entry.type.rawValue)", hint: "store labels as integers")
    }
    let raw = UnsafeRawBufferPointer(rebasing: content.bytes[entry.range])
    return (0..<entry.shape.elementCount).map { entry.type.integer($0, of: raw) }
  }
}
