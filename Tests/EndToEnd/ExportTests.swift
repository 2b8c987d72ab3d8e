// tta export: from a stream's state to weights for other runtimes.

import Engine
import Foundation
import Safetensors
import Testing

@Suite(.enabled(if: Tool.hasModel, Comment(rawValue: Tool.untrained)))
struct ExportTests {
  private func weights(_ folder: borrowing TemporaryFolder, _ options: [String], _ name: String) throws -> SafetensorsFile {
    let result = try runTTA(["export", "--model", "shapes", "--output", folder.path(name)] + options)
    #expect(result.code == 0, "\(result.stderr)")
    return try SafetensorsFile(path: folder.path(name))
  }

  @Test func adaptedWeightsAnswerElsewhere() throws {
    let folder = try TemporaryFolder()
    let made = try runTTA([
      "corrupt", "shapes", "--images", "120", "--corruption", "gaussian-noise", "--severity", "3", "--output", folder.path("c"),
    ])
    #expect(made.code == 0, "\(made.stderr)")
    let images = folder.path("c") + "/gaussian_noise.npy"
    let (state, output) = (folder.path("s.state"), folder.path("adapted.safetensors"))
    func answers(_ options: [String]) throws -> [Substring] {
      let result = try runTTA(["adapt", images, "--batch", "60", "--quiet"] + options)
      #expect(result.code == 0, "\(result.stderr)")
      return result.stdout.split(separator: "\n").dropFirst().map { $0.split(separator: ",")[2] }
    }
    let learnt = try answers(["--model", "shapes", "--strategy", "tent", "--state-out", state])
    let exported = try runTTA([
      "export", "--model", "shapes", "--strategy", "tent", "--state", state, "--images", images, "--batch", "60", "--output", output,
    ])
    #expect(exported.code == 0, "\(exported.stderr)")
    #expect(exported.stdout.contains("after 2 batches, ") && exported.stdout.contains(", statistics of 120 images"), "\(exported.stdout)")
    // Names and shapes are the source's; only norm layers changed.
    let (source, adapted) = (try weights(folder, [], "source.safetensors"), try SafetensorsFile(path: output))
    #expect(source.names == adapted.names)
    for name in source.names where !name.contains("bn") {
      #expect(try source.tensor(name).values == adapted.tensor(name).values, "\(name)")
    }
    #expect(try source.tensor("bn1.running_mean").values != adapted.tensor("bn1.running_mean").values)
    // Alone, with stored statistics, the file answers as the adapted stream did.
    let (before, after) = (
      try answers(["--model", "shapes", "--strategy", "source"]), try answers(["--model", output, "--strategy", "source"])
    )
    func agreement(_ labels: [Substring]) -> Int { zip(labels, learnt).count { $0 == $1 } }
    #expect(agreement(before) < 60 && agreement(after) > 100, "\(agreement(before)), \(agreement(after)) of \(learnt.count)")
  }

  @Test func foldedNorms() throws {
    let folder = try TemporaryFolder()
    let (plain, folded) = (try weights(folder, [], "plain.safetensors"), try weights(folder, ["--fold-norms"], "folded.safetensors"))
    #expect(folded.metadata["tta.folded_norms"] == "true" && !folded.names.contains { $0.contains("bn") })
    #expect(folded.names.contains("conv1.bias") && folded.names.contains("layer3.1.conv2.bias"))
    let factor = try plain.tensor("bn1.weight").values[3] / (plain.tensor("bn1.running_var").values[3] + 1e-5).squareRoot()
    let width = try plain.tensor("conv1.weight").rowElementCount
    let (before, after) = (try plain.tensor("conv1.weight").values, try folded.tensor("conv1.weight").values)
    for i in 3 * width..<4 * width { #expect(abs(after[i] - before[i] * factor) <= 1e-5 * abs(after[i]) + 1e-7) }
    let shift = try plain.tensor("bn1.bias").values[3] - plain.tensor("bn1.running_mean").values[3] * factor
    #expect(abs(try folded.tensor("conv1.bias").values[3] - shift) < 1e-5)
  }

  @Test func strategiesThatMoveNoParameterSaySo() throws {
    let folder = try TemporaryFolder()
    let state = folder.path("s.state")
    let made = try runTTA(["corrupt", "shapes", "--images", "40", "--corruption", "fog", "--severity", "3", "--output", folder.path("c")])
    let learnt = try runTTA([
      "adapt", folder.path("c") + "/fog.npy", "--model", "shapes", "--strategy", "t3a", "--quiet", "--state-out", state,
    ])
    #expect(made.code == 0 && learnt.code == 0, "\(made.stderr)\(learnt.stderr)")
    let exported = try runTTA([
      "export", "--model", "shapes", "--strategy", "t3a", "--state", state, "--output", folder.path("t3a.safetensors"),
    ])
    #expect(exported.errorLines.contains("note: t3a moved no parameter; what it adapts beside them is not in the file"))
    #expect(exported.stdout.contains(" 0 of "), "\(exported.stdout)")
  }

  @Test(arguments: [
    (["--output", "x.bin"], Int32(64), "error: --output x.bin: expected a .safetensors or an .onnx file"),
    (["--output", "x.safetensors", "--state", "/no/such.state"], 66, "error: \"/no/such.state\" does not exist"),
    (["--output", "x.safetensors", "--batch", "1"], 64, "error: --batch 1: expected a number of at least 2"),
  ])
  func whatCannotWork(_ arguments: [String], _ code: Int32, _ message: String) throws {
    let result = try runTTA(["export", "--model", "shapes"] + arguments)
    #expect(result.code == code && result.stderr.hasPrefix(message), "\(result.stderr)")
    #expect(!FileManager.default.fileExists(atPath: "x.safetensors"))
  }
}
