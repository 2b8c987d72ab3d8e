// ONNX files: the graph as it is written, nothing computed.

public import Engine
import Foundation
import Synchronization

/// An attribute of a node.
public enum OnnxAttribute: Sendable {
  /// One number or text.
  case float(Float), integer(Int), text(String)
  /// Several.
  case floats([Float]), integers([Int]), texts([String])
  /// A constant.
  case tensor(OnnxTensor)
  /// A graph inside the node, or another kind that no classifier needs.
  case other
}

/// One operation.
public struct OnnxNode: Sendable {
  /// Its name in the file, often empty.
  public var name: String
  /// `Conv`.
  public var operation: String
  /// Empty for the operators of ONNX itself.
  public var domain: String
  /// Names of values; an empty name is an input that is left out.
  public var inputs: [String], outputs: [String]
  /// By name.
  public var attributes: [String: OnnxAttribute]
  /// The node's own bytes in the file.
  var range: Range<Int>

  /// A node that stands for others of the file.
  public init(_ operation: String, _ inputs: [String], _ outputs: [String], name: String, attributes: [String: OnnxAttribute] = [:]) {
    (self.operation, self.inputs, self.outputs, self.name, self.attributes) = (operation, inputs, outputs, name, attributes)
    (domain, range) = ("", 0..<0)
  }
  /// How messages name the node.
  public var title: String { "\(operation) \"\(name.isEmpty ? outputs.first ?? "" : name)\"" }
}

/// An input or output of the graph.
public struct OnnxValueInfo: Sendable {
  /// Its name.
  public let name: String
  /// Type of its elements; nil where it is no tensor.
  public let type: OnnxType?
  /// Lengths, nil where the file leaves one open; nil where nothing is said.
  public let lengths: [Int?]?
}

/// A mapped ONNX file.
///
/// Specification: onnx.proto of ONNX 1.23, IR version 10. Functions of the file's own and other domains are kept by name and refused where they
/// are imported; training information and quantisation are not read.
public struct OnnxFile: Sendable {
  /// Where it is.
  public let path: String
  /// Version of the operators of ONNX itself.
  public let opset: Int
  /// Program that wrote it.
  public let producer: String
  /// In the order of the file, which is an order that can be executed.
  public let nodes: [OnnxNode]
  /// Constants by name.
  public let initializers: [String: OnnxTensor]
  /// Inputs that are not initialisers, and outputs.
  public let inputs: [OnnxValueInfo], outputs: [OnnxValueInfo]
  let content: Content
  /// Where the graph lies in the file.
  let graphRange: Range<Int>
  private let externals = ExternalFiles()

  /// Bytes and what keeps them alive.
  struct Content: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    let owner: AnyObject
  }
  private final class Forever {}

  /// Files that hold tensors, opened when they are needed.
  private final class ExternalFiles: Sendable {
    let opened = Mutex<[String: MappedFile]>([:])
  }

  /// Maps a file and reads its graph. Throws `missingInput`, and `invalidData` with the position for what is no ONNX file.
  public init(path: String) throws(TTAError) {
    let file = try MappedFile(path: path)
    try self.init(Content(bytes: file.bytes, owner: file), path: path)
  }
  /// Reads bytes that stay where they are as long as anything of this value is used; `name` stands for the path.
  public init(bytes: UnsafeRawBufferPointer, name: String) throws(TTAError) {
    try self.init(Content(bytes: bytes, owner: Forever()), path: name)
  }
  private init(_ content: Content, path: String) throws(TTAError) {
    (self.content, self.path) = (content, path)
    var reader = ProtobufReader(content.bytes, 0..<content.bytes.count, path: path)
    var (opset, producer, graph) = (0, "", Range<Int>?.none)
    while let (field, value) = try reader.next() {
      switch field {
      case 2: producer = try reader.text(value)
      case 7:
        guard graph == nil else { throw reader.fail("a second graph") }
        graph = try reader.range(value)
      case 8:
        var entry = try reader.message(value)
        var (domain, version) = ("", 0)
        while let (field, value) = try entry.next() {
          if field == 1 { domain = try entry.text(value) }
          if field == 2 { version = try entry.integer(value) }
        }
        if domain.isEmpty || domain == "ai.onnx" { opset = version }
      default: continue
      }
    }
    guard let graph else { throw reader.fail("there is no graph") }
    (self.opset, self.producer, graphRange) = (opset, producer, graph)
    reader = ProtobufReader(content.bytes, graph, path: path)
    var (nodes, initializers) = ([OnnxNode](), [String: OnnxTensor]())
    var (inputs, outputs) = ([OnnxValueInfo](), [OnnxValueInfo]())
    while let (field, value) = try reader.next() {
      switch field {
      case 1: nodes.append(try OnnxNode(reader.message(value), reader.range(value)))
      case 5:
        let tensor = try OnnxTensor(reader.message(value), reader.range(value))
        guard initializers.updateValue(tensor, forKey: tensor.name) == nil else { throw reader.fail("two tensors \"\(tensor.name)\"") }
      case 11: inputs.append(try OnnxValueInfo(reader.message(value)))
      case 12: outputs.append(try OnnxValueInfo(reader.message(value)))
      default: continue
      }
    }
    (self.nodes, self.initializers, self.outputs) = (nodes, initializers, outputs)
    self.inputs = inputs.filter { initializers[$0.name] == nil }
  }

  /// A file of tensors beside this one. Its name may not lead out of the folder.
  func externalFile(_ name: String, for tensor: OnnxTensor) throws(TTAError) -> MappedFile {
    if let known = externals.opened.withLock({ $0[name] }) { return known }
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().resolvingSymlinksInPath()
    let place = folder.appendingPathComponent(name).standardizedFileURL.resolvingSymlinksInPath()
    let inside = place.path.hasPrefix(folder.path.hasSuffix("/") ? folder.path : folder.path + "/")
    guard !name.hasPrefix("/"), !name.split(separator: "/").contains(".."), inside else {
      throw TTAError(
        .invalidData, "\(path): tensor \"\(tensor.name)\" lies in \"\(name)\", outside the model's folder",
        hint: "only files beside the model are read; export the model again, or save its data inside the file")
    }
    let file: MappedFile
    do { file = try MappedFile(path: place.path) } catch {
      throw TTAError(
        error.code, "\(path): tensor \"\(tensor.name)\" lies in \(name): \(error.message)", hint: "copy the data file beside the model",
        cause: error)
    }
    externals.opened.withLock { $0[name] = file }
    return file
  }
}

extension OnnxNode {
  fileprivate init(_ given: ProtobufReader, _ range: Range<Int>) throws(TTAError) {
    var reader = given
    self.init("", [], [], name: "")
    self.range = range
    while let (field, value) = try reader.next() {
      switch field {
      case 1: inputs.append(try reader.text(value))
      case 2: outputs.append(try reader.text(value))
      case 3: name = try reader.text(value)
      case 4: operation = try reader.text(value)
      case 5:
        let (name, attribute) = try Self.attribute(reader.message(value))
        attributes[name] = attribute
      case 7: domain = try reader.text(value)
      default: continue
      }
    }
    if domain == "ai.onnx" { domain = "" }
  }
  private static func attribute(_ given: ProtobufReader) throws(TTAError) -> (String, OnnxAttribute) {
    var reader = given
    var (name, kind) = ("", 0)
    var (single, floats, integers, texts) = (OnnxAttribute?.none, [Float](), [Int](), [String]())
    while let (field, value) = try reader.next() {
      switch field {
      case 1: name = try reader.text(value)
      case 2: single = .float(try reader.float(value))
      case 3: single = .integer(try reader.integer(value))
      case 4: single = .text(try reader.text(value))
      case 5: single = .tensor(try OnnxTensor(reader.message(value), reader.range(value)))
      case 7: floats += try reader.floats(value)
      case 8: integers += try reader.integers(value)
      case 9: texts.append(try reader.text(value))
      case 20: kind = try reader.integer(value)
      default: continue
      }
    }
    // Zeros and empty lists may be left out of the file: the kind decides.
    switch kind {
    case 1: return (name, single ?? .float(0))
    case 2: return (name, single ?? .integer(0))
    case 3: return (name, single ?? .text(""))
    case 4: return (name, single ?? .other)
    case 6: return (name, .floats(floats))
    case 7: return (name, .integers(integers))
    case 8: return (name, .texts(texts))
    case 0:
      if let single { return (name, single) }
      return (name, !floats.isEmpty ? .floats(floats) : !integers.isEmpty ? .integers(integers) : .other)
    default: return (name, .other)
    }
  }
}

extension OnnxValueInfo {
  fileprivate init(_ given: ProtobufReader) throws(TTAError) {
    var reader = given
    var (name, type, lengths) = ("", OnnxType?.none, [Int?]?.none)
    while let (field, value) = try reader.next() {
      if field == 1 { name = try reader.text(value) }
      guard field == 2 else { continue }
      var kind = try reader.message(value)
      while let (field, value) = try kind.next() {
        guard field == 1 else { continue }
        var tensor = try kind.message(value)
        while let (field, value) = try tensor.next() {
          if field == 1 { type = OnnxType(rawValue: try tensor.integer(value)) }
          guard field == 2 else { continue }
          var (shape, found) = (try tensor.message(value), [Int?]())
          while let (field, value) = try shape.next() {
            guard field == 1 else { continue }
            var (dimension, length) = (try shape.message(value), Int?.none)
            while let (field, value) = try dimension.next() { if field == 1 { length = try dimension.integer(value) } }
            found.append(length)
          }
          lengths = found
        }
      }
    }
    (self.name, self.type, self.lengths) = (name, type, lengths)
  }
}
