// Options as text brings them.

public import Engine
import Foundation

/// Options as text brings them: YAML, JSON, `--set`.
public indirect enum OptionTree: Hashable, Sendable {
  /// Nothing.
  case null
  /// true or false.
  case bool(Bool)
  /// Any number.
  case number(Double)
  /// Any text.
  case text(String)
  /// In order.
  case list([OptionTree])
  /// By key.
  case keys([String: OptionTree])

  /// The value of a key.
  public subscript(key: String) -> OptionTree? {
    get {
      guard case .keys(let keys) = self else { return nil }
      return keys[key]
    }
    set {
      var keys: [String: OptionTree] = [:]
      if case .keys(let old) = self { keys = old }
      keys[key] = newValue
      self = .keys(keys)
    }
  }
  /// The text of a text; the shortest form of a number.
  public var text: String? {
    switch self {
    case .text(let text): text
    case .number(let number): number == number.rounded() && abs(number) < 1e15 ? String(Int64(number)) : String(number)
    default: nil
    }
  }
  /// The number of a number.
  public var number: Double? {
    guard case .number(let number) = self else { return nil }
    return number
  }
  /// The whole number of a key; nil without the key. Throws for anything else.
  public func wholeNumber(_ key: String, in section: String) throws(TTAError) -> Int? {
    guard let value = self[key] else { return nil }
    guard let number = value.number.flatMap({ Int(exactly: $0) }) else {
      throw TTAError(.usage, "\(section).\(key): expected a whole number, got \(value)", hint: "for example \(section).\(key)=64")
    }
    return number
  }
  /// Sets the value at a path of keys (`strategy.learning_rate`), making sections on the way.
  public mutating func set(_ path: some Collection<String>, to value: OptionTree) {
    guard let first = path.first else {
      self = value
      return
    }
    var inner = self[first] ?? .keys([:])
    inner.set(path.dropFirst(), to: value)
    self[first] = inner
  }
  /// A scalar as YAML reads it.
  public init(scalar: String) {
    switch scalar {
    case "true", "True", "yes": self = .bool(true)
    case "false", "False", "no": self = .bool(false)
    case "null", "~", "": self = .null
    default: self = Double(scalar).flatMap { $0.isFinite ? OptionTree.number($0) : nil } ?? .text(scalar)
    }
  }

  /// What a value of this kind is called.
  var kind: String {
    switch self {
    case .null: "nothing"
    case .bool: "true or false"
    case .number: "a number"
    case .text: "text"
    case .list: "a list"
    case .keys: "keys and values"
    }
  }
  /// Whether a written value can stand where this one stands; numbers can stand for text.
  func isOfKind(_ written: OptionTree) -> Bool {
    switch (self, written) {
    case (.null, _), (.bool, .bool), (.number, .number), (.text, .text), (.text, .number), (.list, .list), (.keys, .keys): true
    default: false
    }
  }
  /// The tree of an encodable value.
  init(encoding value: some Encodable) throws {
    self = try JSONDecoder().decode(OptionTree.self, from: JSONEncoder().encode(value))
  }
  /// The value of a tree.
  func decode<T: Decodable>(_ type: T.Type) throws -> T { try JSONDecoder().decode(type, from: JSONEncoder().encode(self)) }
}

extension OptionTree: Codable {
  /// Any JSON.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let flag = try? container.decode(Bool.self) {
      self = .bool(flag)
    } else if let number = try? container.decode(Double.self) {
      self = .number(number)
    } else if let text = try? container.decode(String.self) {
      self = .text(text)
    } else if let list = try? container.decode([OptionTree].self) {
      self = .list(list)
    } else {
      self = .keys(try container.decode([String: OptionTree].self))
    }
  }
  /// As JSON.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let flag): try container.encode(flag)
    case .number(let number): try container.encode(number)
    case .text(let text): try container.encode(text)
    case .list(let list): try container.encode(list)
    case .keys(let keys): try container.encode(keys)
    }
  }
}

extension OptionTree: CustomStringConvertible {
  /// As YAML's flow style.
  public var description: String {
    switch self {
    case .null: "nothing"
    case .bool(let flag): flag ? "true" : "false"
    case .number: text ?? ""
    case .text(let text): "\"\(text)\""
    case .list(let list): "[\(list.map(\.description).joined(separator: ", "))]"
    case .keys(let keys): "{\(keys.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", "))}"
    }
  }
}
