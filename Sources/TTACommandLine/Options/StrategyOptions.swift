// Which strategy, composed of which parts.

import ArgumentParser
import Engine
import TTA

struct StrategyOptions: ParsableArguments {
  @Option(name: .customLong("strategy"), help: "A strategy (tta list strategies).")
  var name: String?
  @Option(name: .long, help: "A named set of defaults of the strategy.")
  var preset: String?
  @Option(name: .long, help: "A filter that chooses images to learn from; repeatable.")
  var filter: [String] = []
  @Option(name: .long, help: "An adjuster that corrects predictions; repeatable.")
  var adjuster: [String] = []
  @Option(name: .long, help: ArgumentHelp("An adapter that extends the model, with its file; repeatable.", valueName: "name[=file]"))
  var adapter: [String] = []
  @Flag(name: .customLong("guard"), help: "Watch the strategy: undo collapse, let the source answer where the stream contradicts it.")
  var watches = false

  /// Flags over the `strategy:` section of a configuration.
  func section(_ tree: OptionTree, fallback: String) throws -> OptionTree {
    var section = tree
    switch tree {
    case .text(let name): section = .keys(["name": .text(name)])
    case .keys: break
    default:
      throw TTAError(.usage, "strategy: expected a name, or keys and values, got \(tree)", hint: "for example strategy: { name: tent }")
    }
    if let name { section["name"] = .text(name) }
    if section["name"] == nil { section["name"] = .text(fallback) }
    if let preset { section["preset"] = .text(preset) }
    if !filter.isEmpty { section["filter"] = .list(filter.map { Self.part(section["filter"], $0) }) }
    if !adjuster.isEmpty { section["adjuster"] = .list(adjuster.map { Self.part(section["adjuster"], $0) }) }
    if !adapter.isEmpty { section["adapter"] = .list(adapter.map { Self.adapter(section["adapter"], $0) }) }
    if watches, section["guard"] == nil { section["guard"] = .bool(true) }
    return section
  }
  /// `name` or `name=file`.
  private static func adapter(_ options: OptionTree?, _ text: String) -> OptionTree {
    let pieces = text.split(separator: "=", maxSplits: 1).map(String.init)
    var part = part(options, pieces.first ?? "")
    if pieces.count > 1 { part["file"] = .text(pieces[1]) }
    return part
  }
  /// A part by name, with the options that `--set strategy.filter.key=value` gave it.
  private static func part(_ options: OptionTree?, _ name: String) -> OptionTree {
    guard case .keys(var keys)? = options, keys["name"] == nil || keys["name"]?.text == name else { return .keys(["name": .text(name)]) }
    keys["name"] = .text(name)
    return .keys(keys)
  }
}
