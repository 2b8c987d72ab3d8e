// Writing safetensors files.

public import Engine
import Foundation

/// Writes safetensors files, atomically, tensors in the given order.
public enum SafetensorsWriter {
  /// How weights are stored.
  public enum Precision: String, Sendable {
    /// 32 bits.
    case float32 = "F32"
    /// 16 bits, rounded to nearest even.
    case float16 = "F16"
  }

  /// Writes tensors and text. Throws `cannotWrite`; what was at `path` stays until the new file is complete.
  public static func write(
    _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:], precision: Precision = .float32, to path: String
  ) throws(TTAError) {
    try write(tensors.map { ($0.name, $0.tensor.shape) }, metadata: metadata, precision: precision, to: path) { tensors[$0].tensor }
  }
  /// Writes tensors that are made one after the other: `tensor` gets the place of each in the list. Throws `cannotWrite`.
  package static func write(
    _ entries: [(name: String, shape: Shape)], metadata: [String: String] = [:], precision: Precision = .float32, to path: String,
    tensor: (Int) -> Tensor
  ) throws(TTAError) {
    let size = precision == .float32 ? 4 : 2
    var offset = 0
    var parts: [String] = []
    if !metadata.isEmpty {
      let items = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
      parts.append("\"__metadata__\":{\(items.joined(separator: ","))}")
    }
    for (name, shape) in entries {
      let end = offset + shape.elementCount * size
      let shape = shape.dimensions.map(String.init).joined(separator: ",")
      parts.append("\(quoted(name)):{\"dtype\":\"\(precision.rawValue)\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var header = Array("{\(parts.joined(separator: ","))}".utf8)
    while header.count % 64 != 56 { header.append(UInt8(ascii: " ")) }
    var file = try AtomicFile(path: path)
    try write([UInt64(header.count).littleEndian], to: &file)
    try write(header, to: &file)
    for index in entries.indices {
      let values = tensor(index).values
      if precision == .float32 { try write(values, to: &file) } else { try write(values.map(floatToHalf), to: &file) }
    }
    try file.commit()
  }

  private static func write<T>(_ values: [T], to file: inout AtomicFile) throws(TTAError) {
    var failure: TTAError?
    values.withUnsafeBytes { bytes in
      do throws(TTAError) { try file.write(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  private static func quoted(_ text: String) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    guard let data = try? encoder.encode(text) else { return "\"\"" }
    return String(decoding: data, as: UTF8.self)
  }
}
