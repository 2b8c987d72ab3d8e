// tta inspect

import ArgumentParser
import CEvaluation
import Engine
import Foundation
import ModelIO
import TTA

struct InspectCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Shows what a model is made of and what a strategy would change.",
    discussion: "Example: tta inspect shapes --plan --batch 200 --strategy tent")
  @Argument(
    help: ArgumentHelp("A built-in model, a .safetensors file, a PyTorch checkpoint, or an .onnx file; or --model.", valueName: "model"))
  var path: String?
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Strategy") var strategy: StrategyOptions
  @OptionGroup(title: "Configuration") var configuration: ConfigurationOptions
  @Flag(name: .long, help: "Also the memory plan and the steps of one batch.") var plan = false
  @Option(name: .long, help: "Images per batch for --plan.") var batch = 64
  @OptionGroup(title: "Execution") var execution: ExecutionOptions
  @OptionGroup(title: "Output") var output: OutputOptions

  private struct Layer: Encodable { var name: String, operation: String, output: [Int], parameters: Int }
  private struct Norm: Encodable { var name: String, kind: String, channels: Int }
  private struct Report: Encodable {
    var model: String, architecture: String, classes: Int, input: [Int]
    var description: ModelDescription
    var layers: [Layer]
    var parameters_by_role: [String: Int]
    var norms: [Norm]
    var operations_per_image: Double
    var strategy: String, adapted_parameters: [String], adapted_values: Int
    var plan: PlanSummary?, planned_memory_bytes: Int?
    var notes: [String], warnings: [String]
  }

  func run() async throws {
    let memoryAtStart = ce_resident_memory()
    if let path, let other = model.model {
      throw TTAError(.usage, "two models: \(path) and --model \(other)", hint: "tta inspect \(path) names one")
    }
    guard path != nil || model.model != nil else {
      throw TTAError(.usage, "no model: expected a file or a built-in one", hint: "for example tta inspect shapes")
    }
    try requireBatch(batch)
    let loaded = try model.load(path.map { .keys(["path": .text($0)]) })
    let tree = try configuration.tree()
    let report = try report(loaded, strategy.section(tree["strategy"] ?? .keys([:]), fallback: "tent"), memoryAtStart: memoryAtStart)
    if output.json { return try Console.json(report) }
    Console.result(
      "\(report.model): \(report.architecture), \(report.classes) classes, input \(report.input.map(String.init).joined(separator: "×"))")
    for note in report.notes { Console.result("  \(note)") }
    if let mean = report.description.mean, let deviation = report.description.deviation {
      Console.result("  normalisation: mean \(mean), std \(deviation)")
    }
    Console.result("  \(Numbers.decimals(report.operations_per_image * 1e-6, 1)) MFLOP per image")
    for (role, count) in report.parameters_by_role.sorted(by: { $0.key < $1.key }) {
      Console.result("  \(role): \(Numbers.grouped(Double(count))) values")
    }
    let kinds = Dictionary(grouping: report.norms, by: \.kind).map { "\($0.value.count) \($0.key)" }.sorted()
    Console.result("  norm layers: \(kinds.isEmpty ? "none" : kinds.joined(separator: ", "))")
    Console.result(
      "  \(report.strategy) adapts \(report.adapted_parameters.count) tensors, \(Numbers.grouped(Double(report.adapted_values))) values")
    var table = TextTable(["layer", "operation", "output", "parameters"])
    for layer in report.layers {
      table.add([
        layer.name, layer.operation, layer.output.map(String.init).joined(separator: "×"), Numbers.grouped(Double(layer.parameters)),
      ])
    }
    table.lines.forEach { Console.result("  " + $0) }
    if let plan = report.plan {
      Console.result(
        "plan for batches of \(batch)\(plan.imagesTogether != batch ? ", learnt from \(plan.imagesTogether) images at a time" : ""): arena \(Numbers.bytes(plan.arenaBytes)), separate buffers \(Numbers.bytes(plan.naiveBytes))"
      )
      let parts = [
        ("weights", plan.weightBytes), ("packed weights", plan.packedBytes), ("scratch", plan.scratchBytes), ("images", plan.imageBytes),
        ("copies that adaptation keeps", plan.adaptationBytes),
      ]
      Console.result(
        "  with " + parts.map { "\($0) \(Numbers.bytes($1))" }.joined(separator: ", ")
          + " and the program itself: \(Numbers.bytes(report.planned_memory_bytes ?? 0))")
      for (title, steps) in [("forward", plan.forward), ("backward", plan.backward)] where !steps.isEmpty {
        Console.result("  \(title):")
        for step in steps { Console.result("    \(step)") }
      }
    }
    for warning in report.warnings { Console.error("warning: \(warning)") }
  }

  private func report(_ loaded: LoadedModel, _ section: OptionTree, memoryAtStart: Int) throws -> Report {
    let graph = loaded.model.graph
    var warnings: [String] = []
    let norms = graph.normNodes.map { index in
      let node = graph.nodes[index]
      return Norm(
        name: node.name, kind: (node.operation as? any NormOperator)?.kind ?? "",
        channels: graph.parameters.first { $0.id == node.parameters.first }?.shape[0] ?? 0)
    }
    if norms.isEmpty { warnings.append("the model has no normalisation layers: tent and batch-norm cannot adapt it") }
    var adapted = ParameterSet.empty
    var summary: PlanSummary?
    do {
      let runtime = try AdaptationRuntime(loaded.model, Registry.current.compose(section))
      adapted = runtime.adapted
      if plan { summary = try runtime.planSummary(batchSize: batch, on: execution.makeExecutor()) }
    } catch let error as TTAError { warnings.append("\(section["name"]?.text ?? "the strategy") cannot run: \(error.message)") }
    let byID = Dictionary(uniqueKeysWithValues: graph.parameters.map { ($0.id, $0) })
    return Report(
      model: loaded.source, architecture: loaded.architecture, classes: graph.classCount, input: graph.inputShape.dimensions,
      description: loaded.description,
      layers: graph.nodes.map { node in
        Layer(
          name: node.name, operation: type(of: node.operation).name, output: node.shape.dimensions,
          parameters: node.parameters.reduce(0) { $0 + (byID[$1]?.shape.elementCount ?? 0) })
      },
      parameters_by_role: graph.parameters.reduce(into: [:]) { $0["\($1.role)", default: 0] += $1.shape.elementCount }, norms: norms,
      operations_per_image: graph.operationsPerImage, strategy: section["name"]?.text ?? "tent",
      adapted_parameters: adapted.ids.compactMap { byID[$0]?.name },
      adapted_values: adapted.ids.reduce(0) { $0 + (byID[$1]?.shape.elementCount ?? 0) }, plan: summary,
      planned_memory_bytes: summary.map { memoryAtStart + $0.memoryBytes }, notes: loaded.notes,
      warnings: warnings)
  }
}
