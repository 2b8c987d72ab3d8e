// tta prepare

import ArgumentParser
import Engine
import Foundation
import ModelIO
import Streams
import TTA
import Vision

struct PrepareCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prepare", abstract: "Runs the source stage of a method on clean source images.",
    discussion: """
      KIND is fisher (for eata), label-shift (for the adapter of that name) or vida. The file records which model it belongs to.
      Example: tta prepare fisher --model shapes --images shapes --output fisher.safetensors
      """)

  enum Kind: String, ExpressibleByArgument, CaseIterable {
    case fisher
    case labelShift = "label-shift"
    case vida
  }
  @Argument(help: "fisher, label-shift or vida.") var kind: Kind
  @OptionGroup(title: "Model") var model: ModelOptions
  @Option(name: .long, help: ArgumentHelp("Source images: an .npy array, a folder, or shapes.", valueName: "input")) var images: String?
  @Option(name: .long, help: ArgumentHelp("Labels of an .npy array of images.", valueName: "file")) var labels: String?
  @Option(name: .long, help: ArgumentHelp("Where the result goes: a .safetensors file.", valueName: "file")) var output: String
  @Option(name: .long, help: "Images of the source that are used at most.") var limit = 2_000
  @Option(name: .long, help: "Images per step.") var batch = 64
  @Option(name: .long, help: "Steps of label-shift; passes over the images of vida.") var steps: Int?
  @Option(
    name: .long, help: "Rank of label-shift's addition to the classifier, 0 for a full one (default: full, or 32 for large classifiers).")
  var rank: Int?
  @OptionGroup(title: "Execution") var execution: ExecutionOptions
  @OptionGroup(title: "Output") var printing: OutputOptions

  private struct Result: Encodable { var kind: String, output: String, images: Int, tensors: Int, seconds: Double, model_digest: String }

  func run() async throws {
    guard output.hasSuffix(".safetensors") else {
      throw TTAError(.usage, "--output \(output): expected a .safetensors file", hint: "for example --output prepared.safetensors")
    }
    try requireBatch(batch, atLeast: 2)
    guard limit > 1 else { throw TTAError(.usage, "--limit \(limit): expected at least 2 images") }
    if let steps, steps < 1 { throw TTAError(.usage, "--steps \(steps): expected a number of at least 1") }
    let loaded = try model.load()
    let source = try openSource()
    let preprocessing: Preprocessing = try loaded.preprocessing()
    let count = min(limit, source.count)
    let executor = try execution.makeExecutor()
    let start = ContinuousClock.now
    func load(_ range: Range<Int>) throws -> Tensor {
      ImageBatch.tensor(of: try range.map { try preprocessing.apply(to: source.image(at: $0), name: source.name(at: $0)) })
    }
    func label(_ index: Int) throws -> Int {
      guard let label = source.label(at: index), label >= 0, label < loaded.model.graph.classCount else {
        throw TTAError(
          .invalidData,
          "\(source.name(at: index)): expected a label from 0 to \(loaded.model.graph.classCount - 1), got \(source.label(at: index).map(String.init) ?? "none")",
          hint: "give labels with --labels, or a folder per class")
      }
      return label
    }
    let ranges = stride(from: 0, to: count, by: batch).map { $0..<min(count, $0 + batch) }.filter { $0.count > 1 }
    func progress(_ done: Int, _ all: Int, _ what: String) {
      guard !printing.quiet else { return }
      let elapsed = (ContinuousClock.now - start).seconds
      let line =
        "\(kind.rawValue)  \(done)/\(all)  \(what)  ETA \(Numbers.clock(seconds: elapsed / Double(max(1, done)) * Double(all - done)))"
      if printing.verbose {
        Console.error(line)
      } else if Console.isTerminal {
        Console.progress("\r\u{1B}[K" + line)
      } else if done == all || done % max(1, all / 5) == 0 {
        Console.error(line)
      }
    }
    let tensors: Int
    switch kind {
    case .fisher:
      // Loading fails where a picture is damaged: an importance from fewer images than asked for would go unnoticed.
      var batches: [Tensor] = []
      for range in ranges { batches.append(try load(range)) }
      let importance = try FisherInformation.diagonal(of: loaded.model, batches: batches, on: executor)
      try FisherInformation.write(importance, model: loaded.model, to: output)
      tensors = importance.count
    case .labelShift:
      let (features, classes) = try collectFeatures(loaded.model, ranges, load, label, executor, progress)
      var recipe = LabelShiftTraining.Recipe()
      if let steps { recipe.steps = steps }
      recipe.rank = rank
      let network = try LabelShiftTraining(recipe).train(loaded.model, features: features, labels: classes) { step, loss in
        progress(step, recipe.steps, "loss \(Numbers.decimals(loss, 3))")
      }
      try LabelShiftTraining.write(network, model: loaded.model, to: output)
      tensors = network.factors == nil ? 5 : 7
    case .vida:
      let passes = steps ?? 1
      var batches: [(images: Tensor, labels: [Int])] = []
      for range in ranges { batches.append((try load(range), try range.map(label))) }
      let all = Array(repeating: batches, count: passes).flatMap { $0 }
      let branches = try ViDAWarmUp().train(loaded.model, batches: all, on: executor) { step, loss in
        progress(step, all.count, "loss \(Numbers.decimals(Double(loss), 3))")
      }
      try ViDAWarmUp.write(branches, model: loaded.model, to: output)
      tensors = branches.count
    }
    if !printing.quiet, Console.isTerminal { Console.error("") }
    let seconds = (ContinuousClock.now - start).seconds
    if printing.json {
      return try Console.json(
        Result(
          kind: kind.rawValue, output: output, images: count, tensors: tensors, seconds: seconds,
          model_digest: loaded.model.parameters.digest))
    }
    Console.result(
      "\(output): \(kind.rawValue) of \(Numbers.grouped(Double(count))) images in \(Numbers.clock(seconds: seconds)), \(tensors) tensors")
  }

  private func openSource() throws -> any LabeledImages {
    guard let path = images else {
      throw TTAError(.usage, "no source images: expected --images", hint: "tta prepare fisher --model shapes --images shapes …")
    }
    if path == "shapes" { return ShapesDataset.training(seed: 0) }
    if path.hasSuffix(".npy") { return try NumpyImages(path: path, labels: labels) }
    return try DatasetFolder.open(path).images
  }
  private func collectFeatures(
    _ model: Model, _ ranges: [Range<Int>], _ load: (Range<Int>) throws -> Tensor, _ label: (Int) throws -> Int, _ executor: Executor,
    _ progress: (Int, Int, String) -> Void
  ) throws -> (Tensor, [Int]) {
    var options = ForwardOptions()
    options.taps.insert(.features)
    let program = Program(model.graph)
    var (values, labels): ([Float], [Int]) = ([], [])
    for (done, range) in ranges.enumerated() {
      let output = try executor.forward(load(range), program, at: model.parameters, options)
      values += output.features?.values ?? []
      labels += try range.map(label)
      progress(done + 1, ranges.count, "features")
    }
    return (Tensor(values, shape: [labels.count, values.count / max(1, labels.count)]), labels)
  }
}
