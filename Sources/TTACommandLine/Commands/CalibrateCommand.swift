// tta calibrate

import ArgumentParser
import Engine
import Foundation
import ModelIO
import Streams
import TTA
import Vision

struct CalibrateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "calibrate", abstract: "Puts norm layers behind the convolutions of an ONNX network whose export lost them.",
    discussion: """
      Exporters make batch norms part of the convolutions; methods that adapt norms then have nothing to adapt. From a few hundred clean pictures this puts
      a batch norm behind every convolution, calibrated so that the network answers as before. What statistics of batches cost on clean pictures is printed.
      Exporting again with the norms kept is better (datasets-scripts/export_onnx.py).
      Example: tta calibrate folded.onnx --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --images clean/ --output calibrated.onnx
      """)
  @Argument(help: ArgumentHelp("The .onnx file.", valueName: "in")) var input: String
  @OptionGroup(title: "Model") var model: ModelOptions
  @Option(name: .long, help: ArgumentHelp("Clean pictures: a file, folder or .npy.", valueName: "input")) var images: String
  @Option(name: .long, help: "Images per batch.") var batch = 64
  @Option(name: .long, help: ArgumentHelp("The new .onnx file.", valueName: "file")) var output: String
  @OptionGroup(title: "Execution") var execution: ExecutionOptions
  @OptionGroup(title: "Output") var printing: OutputOptions

  private struct Result: Encodable {
    var output: String, norms: Int, images: Int, same_as_source: Double, same_with_batch_statistics: Double, batch: Int
  }

  func run() async throws {
    guard output.hasSuffix(ModelLoader.onnxEnding) else {
      throw TTAError(.usage, "--output \(output): expected an .onnx file", hint: "for example --output calibrated.onnx")
    }
    guard batch > 1 else { throw TTAError(.usage, "--batch \(batch): expected a number of at least 2") }
    let loaded = try model.load(.keys(["path": .text(input)]))
    guard let origin = loaded.origin else {
      throw TTAError(.usage, "\(input): expected an .onnx file", hint: "weight files keep their norm layers: adapt them as they are")
    }
    let source = try ImageInputs.open([images])
    let ranges = stride(from: 0, to: source.count, by: batch).map { $0..<min(source.count, $0 + batch) }.filter { $0.count > 1 }
    guard !ranges.isEmpty else {
      throw TTAError(
        .usage, "\(images): expected at least 2 pictures, got \(source.count)", hint: "a few hundred clean pictures make good statistics")
    }
    let (executor, preprocessing) = (try execution.makeExecutor(), try loaded.preprocessing())
    func pictures(_ index: Int) throws -> Tensor {
      ImageBatch.tensor(of: try ranges[index].map { try preprocessing.apply(to: source.image(at: $0), name: source.name(at: $0)) })
    }
    let norms = try origin.writeCalibrated(loaded, batches: ranges.count, on: executor, to: output) { index in
      printing.detail("calibration: batch \(index + 1) of \(ranges.count)")
      return try pictures(index)
    }
    let calibrated = try ModelLoader.load(path: output, overrides: loaded.description)
    var (same, close, total) = (0, 0, 0)
    let programs = (Program(loaded.model.graph), Program(calibrated.model.graph))
    for index in ranges.indices {
      let images = try pictures(index)
      func labels(_ program: Program, _ model: Model, _ options: ForwardOptions) throws -> [Int] {
        Prediction(try executor.forward(images, program, at: model.parameters, options)).labels
      }
      let before = try labels(programs.0, loaded.model, ForwardOptions())
      let after = try labels(programs.1, calibrated.model, ForwardOptions())
      let adapted = try labels(programs.1, calibrated.model, ForwardOptions().with(.batch))
      same += zip(before, after).count { $0 == $1 }
      close += zip(before, adapted).count { $0 == $1 }
      total += before.count
    }
    let result = Result(
      output: output, norms: norms, images: total, same_as_source: Double(same) / Double(total),
      same_with_batch_statistics: Double(close) / Double(total),
      batch: batch)
    if printing.json { return try Console.json(result) }
    func percent(_ part: Double) -> String { String(format: "%.1f %%", 100 * part) }
    Console.result(
      "\(output): \(norms) norms; of \(Numbers.grouped(Double(total))) clean pictures \(percent(result.same_as_source)) are answered as before, "
        + "\(percent(result.same_with_batch_statistics)) with the statistics of batches of \(batch)")
  }
}
