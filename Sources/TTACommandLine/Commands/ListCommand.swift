// tta list

import ArgumentParser
import Engine
import Foundation
import ModelIO
import TTA
import Vision

struct ListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Lists what there is: strategies, architectures, corruptions, settings, datasets.",
    discussion: "Example: tta list strategies tent",
    subcommands: [ListStrategies.self, ListArchitectures.self, ListCorruptions.self, ListSettings.self, ListDatasets.self])
}

struct ListStrategies: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "strategies", abstract: "Strategies and the parts they are composed of; with a name, its options.",
    discussion: "Example: tta list strategies tent")
  @Argument(help: "One name.") var name: String?
  @OptionGroup var output: OutputOptions

  private struct Row: Encodable {
    var name: String, kind: String
    var summary: Summary
    var presets: [String]
    var options: [OptionDescription]
  }

  func run() async throws {
    let entries = Registry.Kind.allCases.flatMap { Registry.current.entries($0) }
    guard let name else {
      if output.json { return try Console.json(entries.map(row)) }
      var table = TextTable(["name", "kind", "updates", "forwards", "backwards", "paper"])
      for entry in entries {
        let summary = entry.summary
        table.add([entry.name, entry.kind.rawValue, summary.updates, summary.forwards, summary.backwards, summary.paper])
      }
      return table.lines.forEach(Console.result)
    }
    guard let entry = entries.first(where: { $0.name == name }) else {
      throw NearestNames.unknown("strategy", name, in: entries.map(\.name))
    }
    if output.json { return try Console.json(row(entry)) }
    let summary = entry.summary
    Console.result("\(entry.name) (\(entry.kind.rawValue)): \(summary.text)")
    Console.result("  paper:    \(summary.paper)")
    if !summary.updates.isEmpty { Console.result("  updates:  \(summary.updates)") }
    if !summary.needs.isEmpty { Console.result("  needs:    \(summary.needs.joined(separator: "; ")); labels: never") }
    Console.result("  per batch: \(summary.forwards) forwards, \(summary.backwards) backwards")
    if !entry.presets.isEmpty { Console.result("  presets:  \(entry.presets.joined(separator: ", "))") }
    guard !entry.options.isEmpty else { return Console.result("  options:  none") }
    Console.result("  options:")
    for option in entry.options { Console.result("    \(option.key) = \(option.value)  (\(option.type))  \(option.meaning)") }
  }
  private func row(_ entry: Registry.Entry) -> Row {
    Row(name: entry.name, kind: entry.kind.rawValue, summary: entry.summary, presets: entry.presets, options: entry.options)
  }
}

struct ListArchitectures: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "architectures", abstract: "Architectures by name.", discussion: "Example: tta list architectures")
  @OptionGroup var output: OutputOptions
  private struct Row: Encodable {
    var name: String, aliases: [String], summary: String, classes: Int, input_size: Int, parameters: Int, operations: Double
  }

  func run() async throws {
    let rows = try Architecture.all.map { architecture in
      let graph = try architecture.graph(.init(classes: architecture.defaultClasses, inputSize: architecture.defaultInputSize))
      let running: [ParameterRole] = [.runningMean, .runningVariance]
      return Row(
        name: architecture.name, aliases: architecture.aliases, summary: architecture.summary, classes: architecture.defaultClasses,
        input_size: architecture.defaultInputSize,
        parameters: graph.parameters.filter { !running.contains($0.role) }.reduce(0) { $0 + $1.shape.elementCount },
        operations: graph.operationsPerImage)
    }
    if output.json { return try Console.json(rows) }
    var table = TextTable(["name", "parameters", "GFLOP", "input", "what"])
    for row in rows {
      table.add([
        row.name, Numbers.grouped(Double(row.parameters)), Numbers.decimals(row.operations * 1e-9, 2), "\(row.input_size)", row.summary,
      ])
    }
    table.lines.forEach(Console.result)
  }
}

struct ListCorruptions: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "corruptions", abstract: "Corruptions by name, their groups, and the parameters of both published tables.",
    discussion: "Example: tta list corruptions --group noise")
  @Option(name: .long, help: "standard, extra, all, noise, blur, weather, digital, or a name.") var group = "all"
  @OptionGroup var output: OutputOptions
  private struct Row: Encodable {
    var name: String, family: String, standard: Bool
    var parameters: [String], cifar: [[Double]], imagenet: [[Double]]
  }

  func run() async throws {
    let kinds = try CorruptionKind.group(group)
    if output.json {
      return try Console.json(
        kinds.map {
          Row(
            name: $0.name, family: $0.family.rawValue, standard: $0.isStandard, parameters: $0.parameters.names,
            cifar: $0.parameters.cifar, imagenet: $0.parameters.imagenet)
        })
    }
    var table = TextTable(["name", "groups", "parameters", "cifar 1…5", "imagenet 1…5"])
    for kind in kinds {
      table.add([
        kind.name, (kind.isStandard ? "standard" : "extra") + ", \(kind.family.rawValue)", kind.parameters.names.joined(separator: ", "),
        Self.rows(kind.parameters.cifar), Self.rows(kind.parameters.imagenet),
      ])
    }
    table.lines.forEach(Console.result)
  }
  /// `1 2 3`, or `(6, 1) (6, 1.5)` where a severity has several numbers.
  private static func rows(_ rows: [[Double]]) -> String {
    rows.map { row in
      let numbers = row.map { String(format: "%g", $0) }.joined(separator: ", ")
      return row.count == 1 ? numbers : "(\(numbers))"
    }.joined(separator: " ")
  }
}
