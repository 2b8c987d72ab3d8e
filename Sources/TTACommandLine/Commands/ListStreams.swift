// tta list settings, tta list datasets

import ArgumentParser
import Engine
import Foundation
import Streams

struct ListSettings: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "settings", abstract: "Settings of streams; with a name, its options.",
    discussion: """
      Example: tta list settings correlated
      Example: tta list settings --draw drawings
      """)
  @Argument(help: "One name.") var name: String?
  @Option(name: .long, help: ArgumentHelp("Draw each construction as DIR/NAME.svg: classes and domains over time.", valueName: "dir"))
  var draw: String?
  @OptionGroup var output: OutputOptions

  private struct Row: Encodable { var name: String, summary: String, source: String, options: [String: SettingOption] }

  func run() async throws {
    if let draw { return try drawExamples(in: draw) }
    if let name {
      let kind = try SettingKind.named(name)
      if output.json { return try Console.json(row(kind)) }
      Console.result("\(kind.name): \(kind.summary)")
      Console.result("  source:  \(kind.source)")
      let options = kind.options.sorted { $0.key < $1.key }
      Console.result(options.isEmpty ? "  options: none" : "  options:")
      for (key, value) in options { Console.result("    \(key) = \(value.description.isEmpty ? "\"\"" : value.description)") }
      return
    }
    if output.json { return try Console.json(SettingKind.all.map(row)) }
    var table = TextTable(["name", "what", "source"])
    for kind in SettingKind.all { table.add([kind.name, kind.summary, kind.source]) }
    table.lines.forEach(Console.result)
  }
  private func row(_ kind: SettingKind) -> Row {
    Row(name: kind.name, summary: kind.summary, source: kind.source, options: kind.options)
  }

  private func drawExamples(in folder: String) throws {
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw TTAError(.cannotWrite, "cannot make the folder \"\(folder)\"", hint: "check the path and its permissions", cause: error)
    }
    let examples = try ExamplePlans.all().filter { name == nil || $0.plan.setting == name }
    guard !examples.isEmpty else { throw NearestNames.unknown("setting", name ?? "", in: SettingKind.all.map(\.name)) }
    for example in examples {
      let path = "\(folder)/\(example.name).svg"
      try AtomicFile.write(PlanDrawing(example.plan, labels: example.contents.labels, classNames: ShapesDataset.classes).svg, to: path)
      Console.result(path)
    }
  }
}

struct ListDatasets: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "datasets", abstract: "Data sets and the layouts by which they are known; with a path, what it is.",
    discussion: "Example: tta list datasets shapes")
  @Argument(help: "A folder, a .npy file or shapes.") var path: String?
  @OptionGroup var output: OutputOptions

  private struct Row: Encodable { var name: String, summary: String, layout: String }
  private struct Found: Encodable { var path: String, kind: String, pictures: Int, classes: Int?, domains: [String] }

  func run() async throws {
    if let path {
      let (kind, images) = try DatasetFolder.open(path)
      let classes = images.classNames?.count ?? images.labels.map { ($0.max() ?? -1) + 1 }
      let domains = images.parts.isEmpty ? images.corruptions : images.parts.map(\.name)
      if output.json {
        return try Console.json(Found(path: path, kind: kind.name, pictures: images.count, classes: classes, domains: domains))
      }
      Console.result("\(path): \(kind.name), \(kind.summary)")
      Console.result("  pictures: \(images.count)")
      Console.result("  classes:  \(classes.map(String.init) ?? "no labels")")
      if !domains.isEmpty { Console.result("  domains:  \(domains.joined(separator: ", "))") }
      return
    }
    if output.json { return try Console.json(DatasetKind.all.map { Row(name: $0.name, summary: $0.summary, layout: $0.layout) }) }
    var table = TextTable(["name", "what", "layout"])
    for kind in DatasetKind.all { table.add([kind.name, kind.summary, kind.layout]) }
    table.lines.forEach(Console.result)
  }
}
