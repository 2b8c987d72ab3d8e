// Options as text brings them.

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
    default: self = Double(scalar).map(OptionTree.number) ?? .text(scalar)
    }
  }
  var json: Any {
    switch self {
    case .null: ""
    case .bool(let flag): flag
    case .number(let number): number
    case .text(let text): text
    case .list(let list): list.map(\.json)
    case .keys(let keys): keys.mapValues(\.json)
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
