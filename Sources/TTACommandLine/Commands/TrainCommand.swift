// tta train

import ArgumentParser
import Engine
import Evaluation
import Foundation
import ModelIO
import Safetensors
import Streams
import TTA
import Vision

struct TrainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train", abstract: "Trains a small source model from scratch.",
    discussion: """
      Example: tta train --dataset shapes --architecture cifar-resnet14 --output shapes.safetensors
      Example: tta train --dataset shapes --architecture resnet26 --rotation-head --output ttt.safetensors
      Example: tta train --dataset pictures/ --architecture resnet18 --input-size 96 --augment --output mine.safetensors
      """)

  @Option(name: .long, help: ArgumentHelp("shapes, or a folder with one folder of pictures per class.", valueName: "dataset")) var dataset =
    "shapes"
  @Option(name: .long, help: "The architecture (tta list architectures).") var architecture = "cifar-resnet14"
  @Option(name: .long, help: ArgumentHelp("Where the model goes: a .safetensors file.", valueName: "file")) var output: String
  @Option(name: .long, help: "Optimiser steps.") var steps = 3_500
  @Option(name: .long, help: "Images per step.") var batch = 64
  @Option(name: .long, help: "Largest learning rate.") var learningRate: Float = 0.05
  @Option(name: .long, help: "Of weights and data.") var seed: UInt64 = 0
  @Flag(name: .long, help: "Shift pictures by up to an eighth of their side and mirror half of them.") var augment = false
  @Flag(name: .long, help: "Store 16-bit weights.") var float16 = false
  @Flag(name: .long, help: "Also train a head that tells by how many quarter turns an image was rotated: the strategy ttt needs it.")
  var rotationHead = false
  @Option(
    name: .long, help: "Kind of batch norm layers: batch, or instance-aware for the strategy note.",
    transform: { try choice($0, of: NormKind.self) })
  var norm = NormKind.batch
  @Option(name: .long, help: "Height and width of the network's input (default: the architecture's).") var inputSize: Int?
  @Option(name: .long, help: ArgumentHelp("Means of the input normalisation.", valueName: "r,g,b")) var mean = "0.485,0.456,0.406"
  @Option(name: .long, help: ArgumentHelp("Standard deviations of the input normalisation.", valueName: "r,g,b")) var std =
    "0.229,0.224,0.225"
  @OptionGroup(title: "Execution") var execution: ExecutionOptions
  @OptionGroup(title: "Output") var printing: OutputOptions

  enum NormKind: String, CaseIterable {
    case batch
    case instanceAware = "instance-aware"
  }
  private struct Result: Encodable {
    var model: String, dataset: String, steps: Int, images: Int, loss: Float, seconds: Double, digest: String
  }

  func run() async throws {
    guard output.hasSuffix(".safetensors") else {
      throw TTAError(.usage, "--output \(output): expected a .safetensors file", hint: "for example --output model.safetensors")
    }
    try requireBatch(batch, atLeast: 2)
    guard steps > 0, learningRate > 0 else {
      throw TTAError(.usage, "--steps and --learning-rate: expected positive numbers")
    }
    let images: any LabeledImages =
      try dataset == "shapes" ? ShapesDataset.training(seed: UInt32(truncatingIfNeeded: seed)) : ImageFiles.classFolders(dataset)
    let known = try Architecture.named(architecture)
    let size = inputSize ?? (dataset == "shapes" ? ShapesDataset.side : known.defaultInputSize)
    let names = images.classNames ?? []
    let configuration = ArchitectureConfiguration(
      classes: names.isEmpty ? known.defaultClasses : names.count, inputSize: size, mean: try ModelOptions.numbers(mean, "--mean"),
      deviation: try ModelOptions.numbers(std, "--std"))
    var recipe = TrainingRecipe()
    (recipe.steps, recipe.batchSize, recipe.learningRate, recipe.seed) = (steps, batch, learningRate, seed)
    // The built-in pictures come in random order, those of folders class by class.
    (recipe.shuffles, recipe.augments) = (dataset != "shapes", augment)
    recipe.warmUpSteps = min(recipe.warmUpSteps, max(1, steps / 5))
    var trainer = try Trainer(graph(known, configuration), recipe: recipe, executor: execution.makeExecutor())
    let preparation: Preprocessing =
      dataset == "shapes" ? .exactly(size) : Preprocessing(resize: .shortSide(size), centerCrop: true, inputHeight: size, inputWidth: size)
    let start = ContinuousClock.now
    var last: Float = 0
    let trained = try trainer.train(on: images, preprocessing: preparation) { progress in
      last = progress.loss
      guard !printing.quiet else { return }
      let elapsed = (ContinuousClock.now - start).seconds
      let remaining = elapsed / Double(progress.step) * Double(progress.steps - progress.step)
      let line =
        "step \(progress.step)/\(progress.steps)  loss \(Numbers.decimals(Double(progress.loss), 3))  "
        + "\(Numbers.grouped(Double(progress.step * batch) / elapsed)) img/s  ETA \(Numbers.clock(seconds: remaining))"
      if printing.verbose {
        Console.error(line)
      } else if Console.isTerminal {
        Console.progress("\r\u{1B}[K" + line)
      } else if progress.step % 350 == 0 {
        Console.error(line)
      }
    }
    if !printing.quiet, Console.isTerminal { Console.error("") }
    var description = ModelDescription()
    (description.architecture, description.mean, description.deviation) = (known.name, configuration.mean, configuration.deviation)
    (description.inputSize, description.classes) = (size, names.isEmpty ? nil : names)
    if norm == .instanceAware { description.norm = .instanceAware }
    if dataset != "shapes" { (description.resize, description.interpolation) = (size, Interpolation.bilinear.rawValue) }
    let recipeText = String(decoding: try JSONEncoder().encode(recipe), as: UTF8.self)
    try ModelLoader.save(
      trained, description: description,
      metadata: ["tta.recipe": recipeText, "tta.dataset": dataset, "tta.version": TTACommandLine.version],
      precision: float16 ? .float16 : .float32, to: output)
    let seconds = (ContinuousClock.now - start).seconds
    let result = Result(
      model: output, dataset: dataset, steps: steps, images: steps * batch, loss: last, seconds: seconds, digest: trained.parameters.digest)
    if printing.json { return try Console.json(result) }
    Console.result(
      "\(output): \(known.name) trained on \(Numbers.grouped(Double(steps * batch))) images of \(dataset) in \(Numbers.clock(seconds: seconds)), "
        + "last loss \(Numbers.decimals(Double(last), 3))")
  }
  private func graph(_ architecture: Architecture, _ configuration: ArchitectureConfiguration) throws -> Graph {
    var graph = try architecture.graph(configuration)
    if norm == .instanceAware { graph = try graph.withInstanceAwareNorms() }
    return rotationHead ? try RotationHead.add(to: graph) : graph
  }
}
