// The memory that a plan says against the peak of a process.

import Foundation
import Testing

@Suite(.enabled(if: Tool.hasModel, Comment(rawValue: Tool.missing)))
struct MemoryPlanTests {
  private func number(_ name: String, _ arguments: [String]) throws -> Double {
    let result = try runTTA(arguments + ["--json"])
    #expect(result.code == 0, "\(result.stderr)")
    let report = try #require(try JSONSerialization.jsonObject(with: Data(result.stdout.utf8)) as? [String: Any])
    return try #require(report[name] as? Double)
  }

  static let streams = [
    ["tent", "--model", "shapes", "--batch", "300"],
    ["tent", "--architecture", "vit-tiny-patch16-224", "--random-weights", "--batch", "24"],
    // In parts.
    ["tent", "--architecture", "vit-tiny-patch16-224", "--random-weights", "--batch", "64"],
    ["sar", "--architecture", "resnet50-gn", "--random-weights", "--input-size", "96", "--batch", "64", "--set", "strategy.factor=100"],
    // Weights of a mapped file give their memory back once they are packed.
    ["source", "--architecture", "resnet50", "--random-weights", "--batch", "1"],
    ["source", "--architecture", "resnet18", "--random-weights", "--batch", "1"],
    // All weights learn: what moved, gradients, moments, a teacher, and packed weights of the networks that are only asked.
    ["shot", "--architecture", "resnet18", "--random-weights", "--input-size", "64", "--batch", "16"],
    ["cotta", "--architecture", "resnet18", "--random-weights", "--input-size", "64", "--batch", "16", "--set", "strategy.views=2"],
    ["vida", "--architecture", "vit-tiny-patch16-224", "--random-weights", "--batch", "8", "--set", "strategy.views=2"],
    // Views of a batch, two passes at a time, a memory of images, views of an image, supports.
    [
      "cotta", "--architecture", "vit-tiny-patch16-224", "--random-weights", "--input-size", "96", "--batch", "150", "--set",
      "strategy.views=2",
    ],
    ["roid", "--architecture", "vit-tiny-patch16-224", "--random-weights", "--input-size", "96", "--batch", "64"],
    ["note", "--architecture", "cifar-resnet20", "--random-weights", "--batch", "64"],
    ["memo", "--architecture", "resnet18", "--random-weights", "--input-size", "96", "--batch", "1"],
    ["t3a", "--architecture", "vit-tiny-patch16-224", "--random-weights", "--batch", "8"],
  ]
  /// Three batches: learnt weights are others at each, and what was packed of earlier ones must not stay.
  @Test(arguments: streams) func thePeakIsAsPlanned(_ stream: [String]) throws {
    let bench = ["bench", "--threads", "2", "--repeats", "3", "--strategy"] + stream
    let (planned, peak) = (try number("planned_memory_bytes", bench), try number("peak_memory_bytes", bench))
    #expect(abs(planned / peak - 1) < 0.05, "planned \(planned / 1e6) MB, measured \(peak / 1e6) MB")
  }
  @Test func inspectSaysTheSame() throws {
    let bench = ["bench", "--model", "shapes", "--strategy", "tent", "--threads", "2", "--repeats", "1", "--batch", "300"]
    let peak = try number("peak_memory_bytes", bench)
    let inspect = ["inspect", "shapes", "--plan", "--strategy", "tent", "--threads", "2", "--batch", "300"]
    let planned = try number("planned_memory_bytes", inspect)
    #expect(abs(planned / peak - 1) < 0.05, "planned \(planned / 1e6) MB, measured \(peak / 1e6) MB")
  }
}
