// YAML files of options.

import Engine
import Foundation
import TTA
import Yams

enum ConfigurationFile {
  /// Aliases counted where they stand.
  private static let mostValues = 100_000

  /// Reads a file; errors name line and column.
  static func read(_ path: String) throws -> OptionTree {
    let text = try MappedFile(path: path).text()
    do {
      guard let node = try Yams.compose(yaml: text) else { return .keys([:]) }
      var values = 0
      let tree = try self.tree(node, path, &values)
      guard case .keys = tree else {
        throw TTAError(.invalidData, "\(path): expected keys and values, got \(tree)", hint: "write, for example, strategy: { name: tent }")
      }
      return tree
    } catch let error as YamlError {
      throw TTAError(.invalidData, "\(path): not valid YAML: \(reason(error))", hint: "check indentation and quotes", cause: error)
    }
  }
  /// A value on the command line: `{every: 2}` as in a file, all else as it is.
  static func value(_ text: String) throws -> OptionTree {
    guard text.hasPrefix("{") else { return OptionTree(scalar: text) }
    do {
      var values = 0
      return try Yams.compose(yaml: text).map { try tree($0, text, &values) } ?? .null
    } catch let error as YamlError {
      throw TTAError(.usage, "\(text): not valid YAML: \(reason(error))", hint: "put what holds brackets or colons in quotes", cause: error)
    }
  }
  private static func reason(_ error: YamlError) -> String {
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
      "line \(mark.line), column \(mark.column): \(problem)"
    default: "\(error)".split(separator: "\n").first.map(String.init) ?? "\(error)"
    }
  }
  private static func tree(_ node: Node, _ path: String, _ values: inout Int) throws -> OptionTree {
    values += 1
    guard values <= mostValues else {
      throw TTAError(.invalidData, "\(path): more than \(mostValues) values", hint: "aliases of aliases grow fast: write values out")
    }
    switch node {
    case .scalar(let scalar):
      if scalar.style == .doubleQuoted || scalar.style == .singleQuoted { return .text(scalar.string) }
      return OptionTree(scalar: scalar.string)
    case .sequence(let sequence): return .list(try sequence.map { try tree($0, path, &values) })
    case .mapping(let mapping):
      var keys: [String: OptionTree] = [:]
      for (key, value) in mapping {
        guard let name = key.string else { throw TTAError(.invalidData, "\(path): expected a name as a key, got a \(key.tag)") }
        keys[name] = try tree(value, path, &values)
      }
      return .keys(keys)
    case .alias: throw TTAError(.invalidData, "\(path): an alias without an anchor", hint: "write the value out")
    }
  }
}
