// ONNX files with other weights.

public import Engine
import Foundation

/// What changes in a file: tensors, and nodes.
public struct OnnxChanges: Sendable {
  /// New values by name. A name that an initialiser has replaces its values; a name that a node gives (an initialiser under another name, or a constant)
  /// becomes an initialiser of its own, and the node goes; any other name is a new initialiser.
  public var tensors: [String: Tensor] = [:]
  /// New inputs of nodes, by position in the file.
  public var inputs: [Int: [String]] = [:]
  /// Nodes that only hand on their first input, by position in the file.
  public var bypassed: Set<Int> = []
  /// Batch norms of the first output of nodes, by position in the file: the names of scale, shift, mean and variance.
  public var norms: [Int: [String]] = [:]
  /// Nothing.
  public init() {}
}

extension OnnxFile {
  /// A piece of the new file.
  private enum Piece {
    case old(Range<Int>)
    case new([UInt8])
    case external(MappedFile, Range<Int>)
    case tensor(Tensor)

    var count: Int {
      switch self {
      case .old(let range), .external(_, let range): range.count
      case .new(let bytes): bytes.count
      case .tensor(let tensor): tensor.elementCount * 4
      }
    }
  }
  /// Protocol buffers end here.
  private static let sizeLimit = 1 << 31

  /// Writes the file with other tensors; everything else stays as it is, byte by byte. Tensors of other files move into this one. Throws `unsupported` beyond
  /// 2 GB, `cannotWrite`, and what reading tensors throws. Memory does not grow with the file.
  public func write(_ changes: OnnxChanges, to path: String) throws(TTAError) {
    let graph = try graphPieces(changes)
    var pieces: [Piece] = []
    var reader = ProtobufReader(content.bytes, 0..<content.bytes.count, path: self.path)
    var start = 0
    while let (field, _) = try reader.next() {
      if field == 7 {
        pieces.append(.new(Wire.key(7, 2) + Wire.varint(graph.reduce(0) { $0 + $1.count })))
        pieces += graph
      } else {
        pieces.append(.old(start..<reader.position))
      }
      start = reader.position
    }
    let size = pieces.reduce(0) { $0 + $1.count }
    guard size < Self.sizeLimit else {
      throw TTAError(
        .unsupported, "\(path): the file would have \(size) bytes, more than the 2 GB of an ONNX file",
        hint: "export safetensors instead, and load them where the model is built")
    }
    var file = try AtomicFile(path: path)
    for piece in pieces {
      var failure: TTAError?
      withBytes(of: piece) { bytes in
        do throws(TTAError) { try file.write(bytes) } catch { failure = error }
      }
      if let failure { throw failure }
    }
    try file.commit()
  }
  private func withBytes(of piece: Piece, _ body: (UnsafeRawBufferPointer) -> Void) {
    switch piece {
    case .old(let range): body(UnsafeRawBufferPointer(rebasing: content.bytes[range]))
    case .external(let other, let range): body(UnsafeRawBufferPointer(rebasing: other.bytes[range]))
    case .new(let bytes): bytes.withUnsafeBytes(body)
    case .tensor(let tensor):
      tensor.withPointer { body(UnsafeRawBufferPointer(start: UnsafeRawPointer($0), count: tensor.elementCount * 4)) }
    }
  }

  private func graphPieces(_ changes: OnnxChanges) throws(TTAError) -> [Piece] {
    var pieces: [Piece] = []
    var rest = changes.tensors
    let unread = unread(after: changes)
    var reader = ProtobufReader(content.bytes, graphRange, path: path)
    var (start, place) = (reader.position, 0)
    while let (field, value) = try reader.next() {
      let whole = start..<reader.position
      start = reader.position
      switch field {
      case 1:
        let node = nodes[place]
        if let changed = try changed(node, place, changes, reader.range(value)) {
          pieces.append(.new(Wire.key(1, 2) + Wire.varint(changed.count) + changed))
          if let names = changes.norms[place] {
            let norm = Self.norm(of: node.outputs[0], names)
            pieces.append(.new(Wire.key(1, 2) + Wire.varint(norm.count) + norm))
          }
        } else if node.outputs.count != 1 || changes.tensors[node.outputs[0]] == nil {
          pieces.append(.old(whole))
        }
        place += 1
      case 5:
        let tensor = try OnnxTensor(reader.message(value), reader.range(value))
        let changed = rest.removeValue(forKey: tensor.name)
        if unread.contains(tensor.name) { continue }
        if let values = changed {
          pieces += self.pieces(tensor.name, values, tensor.shape, as: tensor.type)
        } else if case .external(let name, let offset, _) = tensor.content {
          let bytes = tensor.shape.elementCount * (tensor.type.stored?.byteCount ?? 8)
          _ = try values(of: tensor)
          pieces += Self.header(tensor.name, tensor.shape, tensor.type, bytes: bytes)
          pieces.append(.external(try externalFile(name, for: tensor), offset..<offset + bytes))
        } else {
          pieces.append(.old(whole))
        }
      default: pieces.append(.old(whole))
      }
    }
    for (name, values) in rest.sorted(by: { $0.key < $1.key }) { pieces += self.pieces(name, values, values.shape, as: type(of: name)) }
    return pieces
  }
  /// Initialisers that nodes read before the changes and no longer.
  private func unread(after changes: OnnxChanges) -> Set<String> {
    var read = Set(outputs.map(\.name))
    for (place, node) in nodes.enumerated() {
      read.formUnion(changes.bypassed.contains(place) ? Array(node.inputs.prefix(1)) : changes.inputs[place] ?? node.inputs)
    }
    return Set(nodes.flatMap(\.inputs)).subtracting(read).intersection(initializers.keys)
  }
  /// A node with other inputs, or one that hands its first input on; nil where it stays as it is.
  private func changed(_ node: OnnxNode, _ place: Int, _ changes: OnnxChanges, _ range: Range<Int>) throws(TTAError) -> [UInt8]? {
    if changes.bypassed.contains(place) {
      return Wire.text(1, node.inputs[0]) + Wire.text(2, node.outputs[0]) + Wire.text(3, node.name) + Wire.text(4, "Identity")
    }
    guard changes.inputs[place] != nil || changes.norms[place] != nil else { return nil }
    let inputs = changes.inputs[place] ?? node.inputs
    let outputs = changes.norms[place] == nil ? node.outputs : [Self.raw(node.outputs[0])] + node.outputs.dropFirst()
    var bytes = inputs.flatMap { Wire.text(1, $0) } + outputs.flatMap { Wire.text(2, $0) }
    var reader = ProtobufReader(content.bytes, range, path: path)
    var start = reader.position
    while let (field, _) = try reader.next() {
      if field > 2 { bytes += content.bytes[start..<reader.position] }
      start = reader.position
    }
    return bytes
  }
  /// The name of a value in front of its norm.
  private static func raw(_ name: String) -> String { name + ".raw" }
  /// A batch norm with ONNX's default ε, from a value's raw form to its name.
  private static func norm(of name: String, _ parameters: [String]) -> [UInt8] {
    ([raw(name)] + parameters).flatMap { Wire.text(1, $0) } + Wire.text(2, name) + Wire.text(3, name + ".norm")
      + Wire.text(4, "BatchNormalization")
  }
  /// The element type behind a name: that of the initialiser that a chain of Identity nodes hands on.
  private func type(of name: String) -> OnnxType {
    var (name, left) = (name, nodes.count)
    while initializers[name] == nil, left > 0, let node = nodes.first(where: { $0.operation == "Identity" && $0.outputs == [name] }),
      let input = node.inputs.first
    {
      name = input
      left -= 1
    }
    return initializers[name]?.type ?? .float
  }
  private func pieces(_ name: String, _ values: Tensor, _ shape: Shape, as type: OnnxType) -> [Piece] {
    switch type {
    case .float16, .bfloat16:
      let bytes = values.values.flatMap { value -> [UInt8] in
        let bits =
          type == .float16
          ? floatToHalf(value) : UInt16(truncatingIfNeeded: (value.bitPattern + 0x7FFF + (value.bitPattern >> 16 & 1)) >> 16)
        return [UInt8(truncatingIfNeeded: bits), UInt8(truncatingIfNeeded: bits >> 8)]
      }
      return Self.header(name, shape, type, bytes: bytes.count) + [.new(bytes)]
    case .double:
      let bytes = values.values.flatMap { value in withUnsafeBytes(of: Double(value).bitPattern.littleEndian) { Array($0) } }
      return Self.header(name, shape, type, bytes: bytes.count) + [.new(bytes)]
    default: return Self.header(name, shape, .float, bytes: values.elementCount * 4) + [.tensor(values)]
    }
  }
  /// Everything of a tensor's field but its values.
  private static func header(_ name: String, _ shape: Shape, _ type: OnnxType, bytes: Int) -> [Piece] {
    let dimensions = shape.dimensions.flatMap { Wire.key(1, 0) + Wire.varint($0) }
    let content = dimensions + Wire.key(2, 0) + Wire.varint(type.rawValue) + Wire.text(8, name) + Wire.key(9, 2) + Wire.varint(bytes)
    return [.new(Wire.key(5, 2) + Wire.varint(content.count + bytes) + content)]
  }
}

/// Values on the wire.
private enum Wire {
  static func varint(_ value: Int) -> [UInt8] {
    var (rest, bytes) = (UInt64(bitPattern: Int64(value)), [UInt8]())
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
    return bytes
  }
  static func key(_ field: Int, _ type: Int) -> [UInt8] { varint(field << 3 | type) }
  static func text(_ field: Int, _ text: String) -> [UInt8] { key(field, 2) + varint(text.utf8.count) + Array(text.utf8) }
}
