// tta export

import ArgumentParser
import Engine
import Foundation
import ModelIO
import Safetensors
import Streams
import TTA
import Vision

struct ExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Writes an adapted classifier: weights with PyTorch's names, or the ONNX file it came from.",
    discussion: """
      Strategy and options must be those the state was written with. Strategies that normalise with the statistics of each batch need --images:
      recent pictures, whose statistics become the running ones; else the running statistics are those of the state.
      Example: tta adapt pictures/ --model shapes --strategy tent --state-out s.state --quiet > rows.csv
               tta export --model shapes --strategy tent --state s.state --images pictures/ --output adapted.safetensors
      A model that came from an ONNX file can also become one: --output adapted.onnx changes the weights and leaves the rest of the file as it is.
      """)
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Strategy") var strategy: StrategyOptions
  @OptionGroup(title: "Configuration") var configuration: ConfigurationOptions
  @Option(name: .long, help: ArgumentHelp("The state of the stream (tta adapt --state-out); without it, the source.", valueName: "file"))
  var state: String?
  @Option(name: .long, help: ArgumentHelp("Pictures whose statistics become the running ones: a file, folder or .npy.", valueName: "input"))
  var images: String?
  @Option(name: .long, help: "Images per batch of --images.") var batch = 64
  @Flag(name: .long, help: "Make batch norms part of the convolutions before them: fewer tensors, fixed for good.") var foldNorms = false
  @Option(name: .long, help: ArgumentHelp("The new .safetensors or .onnx file.", valueName: "file")) var output: String
  @OptionGroup(title: "Execution") var execution: ExecutionOptions
  @OptionGroup(title: "Output") var printing: OutputOptions

  private struct Result: Encodable {
    var output: String, architecture: String, tensors: Int, changed: Int, batches: Int, statistics_images: Int, folded: Bool
  }

  func run() async throws {
    let isOnnx = output.hasSuffix(ModelLoader.onnxEnding)
    guard isOnnx || output.hasSuffix(".safetensors") else {
      throw TTAError(
        .usage, "--output \(output): expected a .safetensors or an .onnx file", hint: "for example --output adapted.safetensors")
    }
    try requireBatch(batch, atLeast: 2)
    let tree = try configuration.tree()
    let loaded = try model.load(tree["model"])
    guard !isOnnx || loaded.origin != nil else {
      throw TTAError(
        .usage, "--output \(output): \(loaded.source) is no ONNX file, so there is no graph to write",
        hint: "give --output a name that ends in .safetensors")
    }
    let section = try strategy.section(tree["strategy"] ?? .keys([:]), fallback: "source")
    var runtime = try AdaptationRuntime(loaded.model, Registry.current.compose(section), guard: Registry.current.watch(section))
    guard runtime.graph.parameters.map(\.name) == loaded.model.graph.parameters.map(\.name) else {
      throw TTAError(
        .unsupported, "\(section["name"]?.text ?? "the strategy") extends the model with layers that \(loaded.architecture) does not have",
        hint: "export needs a strategy that changes the model's own parameters only")
    }
    if let changed = zip(runtime.graph.nodes, loaded.model.graph.nodes).first(where: { type(of: $0.operation) != type(of: $1.operation) }) {
      throw TTAError(
        .unsupported,
        "\(section["name"]?.text ?? "the strategy") answers with another kind of layer than the file has: \(changed.0.name) is \(type(of: changed.0.operation).name)",
        hint: "--set strategy.instance_aware=false keeps the layers of the model")
    }
    if let state { try runtime.load(from: state) }
    var adapted = try Model(graph: loaded.model.graph, parameters: runtime.answering)
    let executor = try execution.makeExecutor()
    printing.detail(machineWith: executor)
    var seen = 0
    if let images {
      (adapted, seen) = try withStatistics(of: images, adapted, loaded.preprocessing(), executor)
    } else if !printing.quiet, state != nil, !loaded.model.graph.normNodes.isEmpty {
      Console.error("note: running statistics are those of the state; --images sets them to those of recent pictures")
    }
    let changed = loaded.model.graph.parameters.count { adapted.parameters[$0.id].values != loaded.model.parameters[$0.id].values }
    if !printing.quiet, changed == 0, runtime.state.batches > 0 {
      Console.error("note: \(section["name"]?.text ?? "the strategy") moved no parameter; what it adapts beside them is not in the file")
    }
    let written: Int
    if isOnnx, let origin = loaded.origin {
      written = try origin.write(adapted, source: loaded.model, foldsNorms: foldNorms, to: output)
    } else {
      written = try writeTensors(of: adapted, loaded, batches: runtime.state.batches)
    }
    let result = Result(
      output: output, architecture: loaded.architecture, tensors: written, changed: changed, batches: runtime.state.batches,
      statistics_images: seen, folded: foldNorms)
    if printing.json { return try Console.json(result) }
    Console.result(
      "\(output): \(loaded.architecture) after \(Numbers.grouped(Double(result.batches))) batches, \(changed) of \(loaded.model.graph.parameters.count) tensors "
        + "differ from the source" + (seen > 0 ? ", statistics of \(Numbers.grouped(Double(seen))) images" : "")
        + (foldNorms ? ", norms folded" : ""))
  }

  /// Weights with PyTorch's names; how many tensors.
  private func writeTensors(of adapted: Model, _ loaded: LoadedModel, batches: Int) throws -> Int {
    let tensors: [(name: String, tensor: Tensor)] =
      try foldNorms ? adapted.foldingNorms() : loaded.model.graph.parameters.map { ($0.name, adapted.parameters[$0.id]) }
    var metadata = loaded.description.metadata
    metadata["tta.batches"] = String(batches)
    if foldNorms { metadata["tta.folded_norms"] = "true" }
    try SafetensorsWriter.write(tensors, metadata: metadata, to: output)
    return tensors.count
  }
  private func withStatistics(
    of path: String, _ model: Model, _ preprocessing: Preprocessing, _ executor: Executor
  ) throws -> (model: Model, images: Int) {
    let source = try ImageInputs.open([path])
    let ranges = stride(from: 0, to: source.count, by: batch).map { $0..<min(source.count, $0 + batch) }.filter { $0.count > 1 }
    guard !ranges.isEmpty else {
      throw TTAError(.usage, "\(path): expected at least 2 pictures, got \(source.count)", hint: "statistics need more than one picture")
    }
    let result = try model.withStatistics(ofBatches: ranges.count, on: executor) { index in
      printing.detail("statistics: batch \(index + 1) of \(ranges.count)")
      return ImageBatch.tensor(of: try ranges[index].map { try preprocessing.apply(to: source.image(at: $0), name: source.name(at: $0)) })
    }
    return (result, ranges.reduce(0) { $0 + $1.count })
  }
}
