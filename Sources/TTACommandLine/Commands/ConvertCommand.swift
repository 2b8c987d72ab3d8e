// tta convert

import ArgumentParser
import Engine
import Foundation
import ModelIO
import TTA

struct ConvertCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert", abstract: "Writes a model with its description (architecture, preprocessing, classes) into one file.",
    discussion: "Example: tta convert shapes copy.safetensors")
  @Argument(help: ArgumentHelp("A built-in model, a .safetensors file, or a PyTorch checkpoint.", valueName: "in")) var input: String
  @Argument(help: ArgumentHelp("The new .safetensors file.", valueName: "out")) var output: String
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Output") var printing: OutputOptions

  private struct Result: Encodable { var output: String, architecture: String, tensors: Int }

  func run() async throws {
    guard output.hasSuffix(".safetensors") else {
      throw TTAError(.usage, "\(output): expected a .safetensors file", hint: "name the result, for example, model.safetensors")
    }
    let loaded = try model.load(.keys(["path": .text(input)]))
    guard loaded.origin == nil else {
      throw TTAError(
        .unsupported, "\(input): an ONNX file holds a graph, which safetensors cannot",
        hint: "use it as it is; \(input.dropLast(5)).tta.yaml beside it can hold mean, std and classes")
    }
    try ModelLoader.save(loaded.model, description: loaded.description, to: output)
    let result = Result(output: output, architecture: loaded.architecture, tensors: loaded.model.graph.parameters.count)
    if printing.json { return try Console.json(result) }
    Console.result("\(output): \(result.architecture), \(result.tensors) tensors, described")
  }
}
