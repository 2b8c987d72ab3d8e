// How any composition becomes one file although no author writes serialisation code.
//
// Saving encodes a value as JSON. Each tensor goes into the file's tensor table under its coding path (`strategy.learner.optimizer.first.tensors.12`)
// and leaves that name behind. Loading needs no registry of types: the runtime that loads was built by the same code or configuration;
// its own parts, encoded once, tell the decoder which type stands where.

/// Tensors by path and types of parts by path, while a state is written or read. Used by one encoding or decoding at a time.
public final class StateTable: @unchecked Sendable {
  /// The tensors met so far.
  public private(set) var tensors: [String: Tensor]
  private var types: [String: any (Encodable & Decodable).Type] = [:]
  /// The parameters that others are stored as a difference to.
  public let source: Parameters

  /// A table with the given tensors; `source` gives values to parameters that are not stored.
  public init(tensors: [String: Tensor] = [:], source: Parameters) { (self.tensors, self.source) = (tensors, source) }
  func add(_ tensor: Tensor, at path: String) { tensors[path] = tensor }
  func tensor(at path: String) -> Tensor? { tensors[path] }
  func note(_ type: any (Encodable & Decodable).Type, at path: String) { types[path] = type }
  func type(at path: String) -> (any (Encodable & Decodable).Type)? { types[path] }
  /// Takes over the types that an encoding of the running instance found.
  public func adoptTypes(of other: StateTable) { types = other.types }
}

extension CodingUserInfoKey {
  /// Where encoders and decoders of states keep their table.
  public static let stateTable: CodingUserInfoKey = {
    guard let key = CodingUserInfoKey(rawValue: "tta.state") else { fatalError("a coding key needs a name") }
    return key
  }()
}

private func path(_ keys: [any CodingKey]) -> String { keys.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".") }

extension Tensor: Codable {
  /// Into the table, leaving name and shape.
  public func encode(to encoder: any Encoder) throws {
    guard let table = encoder.userInfo[.stateTable] as? StateTable else {
      throw TTAError(.internal, "tensors encode into a state file only")
    }
    let name = path(encoder.codingPath)
    table.add(self, at: name)
    var container = encoder.singleValueContainer()
    try container.encode(name)
  }
  /// From the table.
  public init(from decoder: any Decoder) throws {
    let name = try decoder.singleValueContainer().decode(String.self)
    guard let tensor = (decoder.userInfo[.stateTable] as? StateTable)?.tensor(at: name) else {
      throw TTAError(.invalidData, "the state lacks the tensor \(name)", hint: "the file is incomplete; start from an earlier state")
    }
    self = tensor
  }
}

extension Parameters: Codable {
  private enum Key: String, CodingKey { case changed }
  /// The tensors that differ from the source's, by index.
  public func encode(to encoder: any Encoder) throws {
    guard let table = encoder.userInfo[.stateTable] as? StateTable else {
      throw TTAError(.internal, "parameters encode into a state file only")
    }
    var changed: [String: Tensor] = [:]
    for index in 0..<count {
      let id = ParameterID(index)
      if index >= table.source.count || self[id] != table.source[id] { changed[String(index)] = self[id] }
    }
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(changed, forKey: .changed)
  }
  /// The source's tensors, replaced where the file has others.
  public init(from decoder: any Decoder) throws {
    guard let table = decoder.userInfo[.stateTable] as? StateTable else {
      throw TTAError(.internal, "parameters decode from a state file only")
    }
    let changed = try decoder.container(keyedBy: Key.self).decode([String: Tensor].self, forKey: .changed)
    self = table.source
    for (name, tensor) in changed {
      guard let index = Int(name), index >= 0, index < count else {
        throw TTAError(
          .invalidData, "the state changes parameter \(name) of a model with \(count)", hint: "load it with the model it was saved with")
      }
      let expected = self[ParameterID(index)].shape
      guard tensor.shape == expected else {
        throw TTAError(
          .invalidData, "the state's parameter \(name) is \(tensor.shape), expected \(expected)",
          hint: "load it with the model it was saved with")
      }
      update(ParameterID(index)) { $0 = tensor }
    }
  }
}

/// A stored part of any type that still encodes; `any Objective` inside a struct whose coding is synthesised.
@propertyWrapper public struct Slot<Part>: Codable {
  /// The part.
  public var wrappedValue: Part
  /// A slot that holds it.
  public init(wrappedValue: Part) { self.wrappedValue = wrappedValue }
  /// Encodes the part itself and notes its type.
  public func encode(to encoder: any Encoder) throws {
    guard let part = wrappedValue as? any (Encodable & Decodable) else { throw TTAError(.internal, "\(Part.self) is not Codable") }
    (encoder.userInfo[.stateTable] as? StateTable)?.note(type(of: part), at: path(encoder.codingPath))
    try part.encode(to: encoder)
  }
  /// Decodes a part of the type that the running strategy has here.
  public init(from decoder: any Decoder) throws {
    let name = path(decoder.codingPath)
    guard let type = (decoder.userInfo[.stateTable] as? StateTable)?.type(at: name), let part = try type.init(from: decoder) as? Part else {
      throw TTAError(
        .invalidData, "the state has a part \(name) that this strategy lacks", hint: "load it with the configuration it was saved with")
    }
    wrappedValue = part
  }
}
extension Slot: Sendable where Part: Sendable {}

/// A list of parts of any type.
@propertyWrapper public struct Slots<Part>: Codable {
  /// The parts, in order.
  public var wrappedValue: [Part]
  /// A list that holds them.
  public init(wrappedValue: [Part]) { self.wrappedValue = wrappedValue }
  /// Encodes each.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.unkeyedContainer()
    for part in wrappedValue { try container.encode(Slot(wrappedValue: part)) }
  }
  /// Decodes each.
  public init(from decoder: any Decoder) throws {
    var container = try decoder.unkeyedContainer()
    wrappedValue = []
    while !container.isAtEnd { wrappedValue.append(try container.decode(Slot<Part>.self).wrappedValue) }
  }
}
extension Slots: Sendable where Part: Sendable {}
