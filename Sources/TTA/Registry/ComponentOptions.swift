// Options of components as users write them.

import Engine
import Foundation

/// The options of a component: what `init()` sets, overlaid by what the user wrote. Keys are the stored properties in snake_case; a nested
/// options value takes its keys flat. Unknown keys, wrong types and `validate` end in errors that name the key.
public protocol ComponentOptions: Codable, Sendable {
  /// The defaults.
  init()
  /// Named sets of defaults that say where they are from: `cifar`, `imagenet`, `paper`, `code`.
  static var presets: [String: Self] { get }
  /// One sentence per key, for `tta list` and for error messages.
  static var meanings: [String: String] { get }
  /// Throws for values that cannot be.
  func validate() throws
}
extension ComponentOptions {
  /// None.
  public static var presets: [String: Self] { [:] }
  /// None.
  public static var meanings: [String: String] { [:] }
  /// All is well.
  public func validate() throws {}
  /// Throws for a number outside of 0…1, naming the key.
  public func requireShare(_ value: Float, _ key: String) throws {
    guard (0...1).contains(value) else { throw TTAError(.usage, "\(key): expected a number from 0 to 1, got \(value)") }
  }
  /// Throws for a number of things below `least` or above 100,000, naming the key.
  public func requireCount(_ value: Int, _ key: String, atLeast least: Int = 1) throws {
    guard value >= least else { throw TTAError(.usage, "\(key): expected at least \(least), got \(value)") }
    guard value <= 100_000 else { throw TTAError(.usage, "\(key): expected at most 100000, got \(value)") }
  }
}

/// One option as `tta list strategies NAME` shows it.
public struct OptionDescription: Codable, Hashable, Sendable {
  /// The key, in snake_case.
  public let key: String
  /// `number`, `integer`, `text`, `true or false`.
  public let type: String
  /// The default as text.
  public let value: String
  /// One sentence.
  public let meaning: String
}

/// Options between text and values.
enum OptionCoding {
  /// Reads options: defaults or a preset, overlaid by the keys of the tree but for the ignored ones.
  static func read<O: ComponentOptions>(_ tree: OptionTree, component: String, ignoring ignored: Set<String>) throws -> O {
    var base = O()
    if let preset = tree["preset"]?.text {
      guard let found = O.presets[preset] else {
        let names = O.presets.keys.sorted()
        throw TTAError(
          .usage, "\(component): unknown preset \"\(preset)\"",
          hint: names.isEmpty ? "\(component) has no presets" : "presets: \(names.joined(separator: ", "))")
      }
      base = found
    }
    guard case .keys(let written) = tree else { return base }
    var encoded = try OptionTree(encoding: base)
    let places = places(in: encoded)
    for (key, value) in written.sorted(by: { $0.key < $1.key }) where key != "preset" && !ignored.contains(key) {
      let value = key == "parameters" ? try UpdateOptions.parameters(value) : value
      guard let place = places[key] else {
        let near = NearestNames.nearest(to: key, in: places.keys.sorted())
        throw TTAError(
          .usage, "\(component): unknown option \"\(key)\"",
          hint: near.isEmpty ? "\(component) has no options" : "nearest options: \(near.joined(separator: ", "))")
      }
      let standard = place.reduce(encoded) { $0[$1] ?? .null }
      guard standard.isOfKind(value) else {
        throw TTAError(
          .usage, "\(component): \(key): expected \(standard.kind), got \(value)",
          hint: "tta list strategies \(component) shows all options")
      }
      encoded.set(place, to: value)
    }
    let options: O
    do { options = try encoded.decode(O.self) } catch let error as DecodingError {
      throw TTAError(
        .usage, "\(component): \(text(error, of: O.self, written))", hint: "tta list strategies \(component) shows all options")
    }
    try options.validate()
    return options
  }

  /// All options with types and defaults.
  static func describe<O: ComponentOptions>(_ type: O.Type) -> [OptionDescription] {
    guard let encoded = try? OptionTree(encoding: O()) else { return [] }
    return places(in: encoded).sorted { $0.key < $1.key }.map { key, place in
      let value = place.reduce(encoded) { $0[$1] ?? .null }
      return OptionDescription(
        key: key, type: value.kind, value: value.text ?? "\(value)", meaning: O.meanings[key] ?? UpdateOptions.meanings[key] ?? "")
    }
  }

  /// Where each written key lies in the encoded value: a nested value takes its keys flat.
  private static func places(in encoded: OptionTree) -> [String: [String]] {
    var result: [String: [String]] = [:]
    guard case .keys(let keys) = encoded else { return result }
    func add(_ key: String, _ place: [String]) {
      precondition(result[key] == nil, "two options of one component are called \(key)")
      result[key] = place
    }
    for (key, value) in keys {
      if case .keys = value {
        for (inner, place) in places(in: value) { add(inner, [key] + place) }
      } else {
        add(snakeCase(key), [key])
      }
    }
    return result
  }
  private static func snakeCase(_ name: String) -> String {
    name.reduce(into: "") { $0 += $1.isUppercase ? "_" + $1.lowercased() : String($1) }
  }
  private static func text<O: ComponentOptions>(_ error: DecodingError, of type: O.Type, _ written: [String: OptionTree]) -> String {
    switch error {
    case .dataCorrupted(let context):
      // A number that does not fit leaves no path.
      func isOdd(_ value: OptionTree) -> Bool { value.number.map { Int32(exactly: $0) == nil } ?? false }
      if context.codingPath.isEmpty, let (key, value) = written.sorted(by: { $0.key < $1.key }).first(where: { isOdd($0.value) }) {
        return "\(key): expected a smaller or a whole number, got \(value)"
      }
      let key = context.codingPath.last.map { snakeCase($0.stringValue) } ?? "options"
      // Of a text, one of a few words: the meaning names them.
      guard case .text(let word)? = written[key], let words = O.meanings[key] ?? UpdateOptions.meanings[key] else {
        return "\(key): \(context.debugDescription)"
      }
      return "\(key): expected \(words), got \"\(word)\""
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context):
      let key = context.codingPath.last.map { snakeCase($0.stringValue) } ?? "options"
      return "\(key): \(context.debugDescription)"
    @unknown default: return "\(error)"
    }
  }
}
