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
    var object = try encoded(base)
    let places = places(of: object)
    guard case .keys(let written) = tree else { return base }
    for (key, value) in written where key != "preset" && !ignored.contains(key) {
      guard let place = places[key] else {
        let near = NearestNames.nearest(to: key, in: places.keys)
        throw TTAError(
          .usage, "\(component): unknown option \"\(key)\"",
          hint: near.isEmpty ? "\(component) has no options" : "nearest options: \(near.joined(separator: ", "))")
      }
      try set(value, key: key, at: place, in: &object, component: component)
    }
    let options: O
    do {
      let decoder = JSONDecoder()
      options = try decoder.decode(O.self, from: JSONSerialization.data(withJSONObject: object))
    } catch let error as DecodingError {
      throw TTAError(.usage, "\(component): \(text(error))", hint: "tta list strategies \(component) shows all options")
    }
    try options.validate()
    return options
  }

  /// All options with types and defaults.
  static func describe<O: ComponentOptions>(_ type: O.Type) -> [OptionDescription] {
    guard let object = try? encoded(O()) else { return [] }
    return places(of: object).sorted { $0.key < $1.key }.map { key, place in
      let value = place.reduce(object as Any) { ($0 as? [String: Any])?[$1] ?? "" }
      return OptionDescription(
        key: key, type: kind(value), value: "\(shown(value))", meaning: O.meanings[key] ?? UpdateOptions.meanings[key] ?? "")
    }
  }

  private static func encoded(_ options: some ComponentOptions) throws -> [String: Any] {
    let data = try JSONEncoder().encode(options)
    return try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
  }
  /// Where each written key lies in the encoded value.
  private static func places(of object: [String: Any]) -> [String: [String]] {
    var result: [String: [String]] = [:]
    for (key, value) in object {
      if let nested = value as? [String: Any] {
        for inner in nested.keys { result[snakeCase(inner)] = [key, inner] }
      } else {
        result[snakeCase(key)] = [key]
      }
    }
    return result
  }
  static func snakeCase(_ name: String) -> String {
    name.reduce(into: "") { result, character in
      if character.isUppercase {
        result += "_" + character.lowercased()
      } else {
        result.append(character)
      }
    }
  }
  private static func isBool(_ value: Any) -> Bool {
    type(of: value) == Bool.self || (value as? NSNumber).map { $0 === kCFBoolean($0) } ?? false
  }
  private static func kCFBoolean(_ number: NSNumber) -> NSNumber? { String(cString: number.objCType) == "c" ? number : nil }
  private static func kind(_ value: Any) -> String {
    if isBool(value) { return "true or false" }
    if value is String { return "text" }
    if let number = value as? NSNumber {
      return number.doubleValue == number.doubleValue.rounded() && !"\(number)".contains("e") ? "number" : "number"
    }
    return "list"
  }
  private static func shown(_ value: Any) -> String {
    if isBool(value) { return (value as? Bool) == true ? "true" : "false" }
    if let number = value as? NSNumber { return "\(Float(number.doubleValue))".replacing(/\.0$/, with: "") }
    return "\(value)"
  }
  private static func set(
    _ value: OptionTree, key: String, at place: [String], in object: inout [String: Any], component: String
  ) throws {
    let old = place.reduce(object as Any) { ($0 as? [String: Any])?[$1] ?? "" }
    func fail(_ expected: String) -> TTAError {
      TTAError(
        .usage, "\(component): \(key): expected \(expected), got \(value)", hint: "tta list strategies \(component) shows all options")
    }
    let new: Any
    if isBool(old) {
      guard case .bool(let flag) = value else { throw fail("true or false") }
      new = flag
    } else if old is NSNumber {
      guard case .number(let number) = value else { throw fail("a number") }
      new = number
    } else if old is String {
      guard let text = value.text else { throw fail("text") }
      new = text
    } else {
      new = value.json
    }
    if place.count == 2 {
      var nested = object[place[0]] as? [String: Any] ?? [:]
      nested[place[1]] = new
      object[place[0]] = nested
    } else {
      object[place[0]] = new
    }
  }
  private static func text(_ error: DecodingError) -> String {
    switch error {
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context), .keyNotFound(_, let context):
      let key = context.codingPath.last.map { snakeCase($0.stringValue) } ?? "options"
      return "\(key): \(context.debugDescription)"
    @unknown default: return "\(error)"
    }
  }
}
