// tta prepare, and the strategies that read what it leaves.

import Foundation
import Testing

@Suite(.enabled(if: Tool.hasModel, Comment(rawValue: Tool.untrained)))
struct PrepareTests {
  private func corrupted(_ folder: borrowing TemporaryFolder) throws -> String {
    let made = try runTTA([
      "corrupt", "shapes", "--images", "40", "--corruption", "contrast", "--severity", "3", "--output", folder.path("c"),
    ])
    #expect(made.code == 0, "\(made.stderr)")
    return folder.path("c") + "/contrast.npy"
  }

  @Test(arguments: [
    ("fisher", ["--strategy", "eata", "--set", "strategy.file=FILE"]),
    ("label-shift", ["--strategy", "tent", "--adapter", "label-shift=FILE"]),
    ("vida", ["--strategy", "tent", "--adapter", "vida=FILE"]),
  ]) func preparedFilesAreUsed(_ kind: String, _ use: [String]) throws {
    let folder = try TemporaryFolder()
    let file = folder.path("prepared.safetensors")
    var arguments = ["prepare", kind, "--model", "shapes", "--images", "shapes", "--limit", "256", "--output", file, "--json"]
    if kind == "label-shift" { arguments += ["--steps", "20"] }
    let prepared = try runTTA(arguments)
    #expect(prepared.code == 0, "\(prepared.stderr)")
    #expect(prepared.stdout.contains("\"kind\" : \"\(kind)\"") || prepared.stdout.contains("\"kind\":\"\(kind)\""))
    let adapted = try runTTA(
      ["adapt", try corrupted(folder), "--model", "shapes", "--batch", "20"] + use.map { $0.replacingOccurrences(of: "FILE", with: file) })
    #expect(adapted.code == 0, "\(adapted.stderr)")
    #expect(adapted.stdout.split(separator: "\n").count == 41)
  }
  @Test func whatIsMissingIsNamed() throws {
    let folder = try TemporaryFolder()
    let file = folder.path("prepared.safetensors")
    let none = try runTTA(["prepare", "fisher", "--model", "shapes", "--output", file])
    #expect(none.code == 64)
    #expect(none.errorLines.first == "error: no source images: expected --images")
    let unlabelled = try runTTA(["prepare", "label-shift", "--model", "shapes", "--images", try corrupted(folder), "--output", file])
    #expect(unlabelled.code == 65)
    #expect(
      unlabelled.errorLines.first?.hasSuffix("contrast.npy[0]: expected a label from 0 to 9, got none") == true, "\(unlabelled.stderr)")
    #expect(!FileManager.default.fileExists(atPath: file))
  }
  @Test func aGuardReportsWhatItDid() throws {
    let folder = try TemporaryFolder()
    let images = try runTTA([
      "corrupt", "shapes", "--images", "400", "--corruption", "gaussian-noise", "--severity", "5", "--output", folder.path("c"),
    ])
    #expect(images.code == 0)
    let base = [
      "adapt", folder.path("c") + "/gaussian_noise.npy", "--model", "shapes", "--strategy", "tent", "--batch", "20", "--set",
      "strategy.learning_rate=0.5",
    ]
    let watched = try runTTA(base + ["--guard"])
    #expect(watched.code == 0)
    #expect(watched.stderr.contains("restored: predictions concentrate"), "\(watched.stderr)")
  }
}
