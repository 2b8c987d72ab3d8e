// ONNX files on the command line: adapting, handing back, calibrating, refusing.

import Engine
import Foundation
import Testing

@Suite struct OnnxCommandTests {
  private static let small = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/onnx/small")
  private static let plain = ["--mean", "0,0,0", "--std", "1,1,1"]

  private func pictures(_ folder: borrowing TemporaryFolder) throws -> String {
    let made = try runTTA([
      "corrupt", "shapes", "--images", "60", "--corruption", "contrast", "--severity", "1", "--output", folder.path("c"), "--quiet",
    ])
    #expect(made.code == 0, "\(made.stderr)")
    return folder.path("c") + "/contrast.npy"
  }
  private func lines(_ arguments: [String]) throws -> [Substring] {
    let result = try runTTA(arguments)
    #expect(result.code == 0, "\(result.stderr)")
    return result.stdout.split(separator: "\n")
  }

  @Test func adaptedAndHandedBack() throws {
    let folder = try TemporaryFolder()
    let (images, model) = (try pictures(folder), Self.small.appendingPathComponent("convolutions.script.onnx").path)
    let tent = ["--strategy", "tent", "--set", "strategy.learning_rate=0.05"]
    let size = ["--resize", "8"]
    let state = folder.path("s.state")
    _ = try lines(["adapt", images, "--model", model, "--batch", "30", "--quiet", "--state-out", state] + Self.plain + size + tent)
    let adapted = folder.path("adapted.onnx")
    let exported = try lines(
      ["export", "--model", model, "--state", state, "--images", images, "--batch", "60", "--output", adapted] + Self.plain + size + tent)
    #expect(exported == ["\(adapted): onnx after 2 batches, 6 of 11 tensors differ from the source, statistics of 60 images"])
    // The new file answers as the safetensors of the same state would: the same tensors inside.
    let source = ["--strategy", "source", "--batch", "60", "--quiet"]
    let (before, after) = (
      try lines(["adapt", images, "--model", model] + Self.plain + size + source),
      try lines(["adapt", images, "--model", adapted] + Self.plain + size + source)
    )
    #expect(before.count == 61 && after.count == 61 && before != after)
    let folded = folder.path("folded.onnx")
    _ = try lines(
      ["export", "--model", model, "--state", state, "--images", images, "--batch", "60", "--fold-norms", "--output", folded] + Self.plain
        + size + tent)
    let labels = { (rows: [Substring]) in rows.dropFirst().map { $0.split(separator: ",")[3] } }
    let alone = try lines(["adapt", images, "--model", folded] + Self.plain + size + source)
    #expect(labels(alone) == labels(after))
  }

  @Test func calibration() throws {
    let folder = try TemporaryFolder()
    let (images, model) = (try pictures(folder), Self.small.appendingPathComponent("convolutions.script.onnx").path)
    let options = Self.plain + ["--resize", "8"]
    let bare = folder.path("bare.onnx")
    let refused = try runTTA(["calibrate", model, "--images", images, "--output", bare] + options)
    #expect(
      refused.code != 0 && refused.stderr.contains("the network has 2 norm layers; there is nothing to put back"), "\(refused.stderr)")
    let wrong = try runTTA(["calibrate", model, "--images", images, "--output", "x.safetensors"] + options)
    #expect(wrong.stderr.contains("--output x.safetensors: expected an .onnx file"))
    let kind = try runTTA(["calibrate", "shapes", "--images", images, "--output", bare])
    #expect(kind.stderr.contains("shapes: expected an .onnx file"), "\(kind.stderr)")
  }

  @Test func refusals() throws {
    let model = Self.small.appendingPathComponent("tokens.script.onnx").path
    let unknown = try runTTA(["inspect", model])
    #expect(unknown.stderr.contains("the preprocessing is unknown: no mean and standard deviation"), "\(unknown.stderr)")
    let architecture = try runTTA(["inspect", model, "--architecture", "resnet18"] + Self.plain)
    #expect(architecture.stderr.contains("an ONNX file is a whole network, --architecture names another"))
    let converted = try runTTA(["convert", model, "x.safetensors"] + Self.plain)
    #expect(converted.stderr.contains("an ONNX file holds a graph, which safetensors cannot"), "\(converted.stderr)")
    let exported = try runTTA(["export", "--model", "shapes", "--output", "x.onnx"])
    #expect(exported.stderr.contains("shapes is no ONNX file, so there is no graph to write"), "\(exported.stderr)")
    let size = try runTTA(["inspect", model, "--input-size", "32"] + Self.plain)
    #expect(size.stderr.contains("the graph is for images of 8 pixels, --input-size says 32"))
    let key = try runTTA(["inspect", model, "--checkpoint-key", "model"] + Self.plain)
    #expect(key.stderr.contains("a checkpoint key is for PyTorch checkpoints"), "\(key.stderr)")
  }
}
