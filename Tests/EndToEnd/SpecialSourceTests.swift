// Sources that methods need trained for them, and methods that see whole sets.

import Foundation
import Testing

@Suite(.enabled(if: Tool.hasModel, Comment(rawValue: Tool.untrained)))
struct SpecialSourceTests {
  private func corrupted(_ folder: borrowing TemporaryFolder, images: Int = 24) throws -> String {
    let made = try runTTA([
      "corrupt", "shapes", "--images", "\(images)", "--corruption", "contrast", "--severity", "3", "--output", folder.path("c"),
    ])
    #expect(made.code == 0, "\(made.stderr)")
    return folder.path("c") + "/contrast.npy"
  }
  private func rows(_ result: ToolResult) -> Int { result.stdout.split(separator: "\n").count - 1 }

  @Test func aRotationHeadIsTrainedAndUsed() throws {
    let folder = try TemporaryFolder()
    let file = folder.path("headed.safetensors")
    let trained = try runTTA([
      "train", "--architecture", "cifar-resnet14", "--rotation-head", "--steps", "30", "--batch", "16", "--output", file, "--quiet",
    ])
    #expect(trained.code == 0, "\(trained.stderr)")
    let inspected = try runTTA(["inspect", file, "--strategy", "ttt"])
    #expect(inspected.stdout.contains("adapter rotation-head:") && inspected.stderr.isEmpty, "\(inspected.stdout)\(inspected.stderr)")
    let images = try corrupted(folder)
    let adapt = ["adapt", images, "--model", file, "--batch", "8", "--set", "strategy.views=4", "--quiet"]
    let (one, other) = (try runTTA(adapt + ["--strategy", "ttt"]), try runTTA(adapt + ["--strategy", "ttt", "--threads", "1"]))
    #expect(one.code == 0 && rows(one) == 24, "\(one.stderr)")
    #expect(one.stdout == other.stdout)
    // It learns, so later answers differ from the source's; a state goes on bit for bit.
    let source = try runTTA(["adapt", images, "--model", file, "--batch", "8", "--strategy", "source", "--quiet"])
    #expect(one.stdout != source.stdout)
    // A converted file keeps the head.
    let copy = folder.path("copy.safetensors")
    #expect(try runTTA(["convert", file, copy]).code == 0)
    #expect(
      try runTTA(["adapt", images, "--model", copy, "--batch", "8", "--set", "strategy.views=4", "--quiet", "--strategy", "ttt"]).stdout
        == one.stdout)
    // The built-in model has none.
    let refused = try runTTA(["adapt", images, "--model", "shapes", "--strategy", "ttt"])
    #expect(refused.code == 64)
    #expect(
      refused.errorLines == [
        "error: ttt: the model has no rotation head",
        "hint: train the source with its head: tta train --rotation-head; or use a strategy that needs none, such as tent",
      ])
  }
  @Test func anInstanceAwareSourceIsTrainedAndUsed() throws {
    let folder = try TemporaryFolder()
    let file = folder.path("aware.safetensors")
    let trained = try runTTA([
      "train", "--architecture", "cifar-resnet14", "--norm", "instance-aware", "--steps", "12", "--batch", "8", "--output", file, "--quiet",
    ])
    #expect(trained.code == 0, "\(trained.stderr)")
    let inspected = try runTTA(["inspect", file, "--json"])
    #expect(inspected.stdout.contains("\"kind\" : \"instance-aware batch\"") && !inspected.stdout.contains("\"kind\" : \"batch\""))
    #expect(inspected.stdout.contains("\"norm\" : \"instance-aware\""))
    let images = try corrupted(folder)
    for strategy in ["source", "note", "tent", "batch-norm"] {
      let adapted = try runTTA(["adapt", images, "--model", file, "--batch", "8", "--strategy", strategy, "--quiet"])
      #expect(adapted.code == 0 && rows(adapted) == 24, "\(strategy): \(adapted.stderr)")
    }
    let plain = try runTTA([
      "adapt", images, "--model", file, "--batch", "8", "--strategy", "note", "--set", "strategy.instance_aware=false",
    ])
    #expect(plain.code == 64)
    #expect(plain.errorLines.first == "error: note: instance_aware: the source was trained with instance-aware norm, got false")
    let none = try runTTA([
      "train", "--architecture", "resnet26", "--norm", "instance-aware", "--steps", "2", "--output", folder.path("x.safetensors"),
    ])
    #expect(none.code == 69)
    #expect(none.errorLines.first == "error: the architecture has no batch norm layers that could be instance-aware")
    let odd = try runTTA(["train", "--norm", "layer", "--output", folder.path("x.safetensors")])
    #expect(odd.code == 64 && odd.stderr.contains("expected batch, instance-aware, got layer"), "\(odd.stderr)")
  }

  @Test func wholeSetsAreLearntFromFiles() throws {
    let folder = try TemporaryFolder()
    let images = try corrupted(folder)
    let adapt = ["adapt", images, "--model", "shapes", "--strategy", "shot-offline", "--batch", "8", "--set", "strategy.epochs=2"]
    let adapted = try runTTA(adapt)
    #expect(adapted.code == 0 && rows(adapted) == 24, "\(adapted.stderr)")
    #expect(adapted.stderr.contains("learning from 24 images before answering"))
    #expect(adapted.stdout != (try runTTA(["adapt", images, "--model", "shapes", "--strategy", "source", "--batch", "8"])).stdout)
    // A stream without an end is no set.
    let endless = try runTTA(["adapt", "-", "--raw", "32x32", "--model", "shapes", "--strategy", "shot-offline"])
    #expect(endless.code == 64)
    #expect(
      endless.errorLines == [
        "error: shot-offline learns from a whole set of images before it answers: frames on standard input have no end",
        "hint: give files or folders, or use a strategy for streams, such as shot",
      ])
    let forgetful = try runTTA(adapt + ["--set", "strategy.reset=each-batch"])
    #expect(forgetful.code == 64)
    #expect(
      forgetful.errorLines.first
        == "error: shot-offline: reset: expected never, got before each batch: it would forget what it learnt from the whole set")
    let demo = try runTTA(["demo", "--strategies", "source,shot-offline"])
    #expect(demo.code == 64)
    #expect(demo.errorLines.first == "error: shot-offline learns from a whole set of images before it answers; the demo is a stream")
  }
  @Test func wholeDomainsAreLearntFromInReplays() throws {
    let folder = try TemporaryFolder()
    let base = [
      "replay", "--model", "shapes", "--data", "shapes", "--limit", "60", "--batch", "20", "--corruptions", "contrast,fog", "--strategies",
      "source,shot-offline:epochs=3", "--quiet",
    ]
    let run = try runTTA(base + ["--output", folder.path("a")])
    #expect(run.code == 0, "\(run.stderr)")
    let table = try String(contentsOfFile: folder.path("a") + "/results.csv", encoding: .utf8)
    #expect(table.split(separator: "\n").filter { $0.contains("shot-offline(epochs=3)") }.count == 2, "\(table)")
    let manifest = try String(contentsOfFile: folder.path("a") + "/manifest.json", encoding: .utf8)
    #expect(manifest.contains("after it has learnt from the whole domain"))
    let limited = try runTTA(base + ["--setting", "time-constrained", "--output", folder.path("b")])
    #expect(limited.code == 64)
    #expect(
      limited.stderr.contains(
        "shot-offline(epochs=3) learns from a whole domain before it answers, which time-constrained has no time for"),
      "\(limited.stderr)")
  }
  @Test func everyStrategyIsBenchmarked() throws {
    let run = try runTTA(["bench", "--model", "shapes", "--strategy", "all", "--batch", "2", "--repeats", "1", "--json", "--quiet"])
    #expect(run.code == 0, "\(run.stderr)")
    let report = try #require(try JSONSerialization.jsonObject(with: Data(run.stdout.utf8)) as? [String: Any])
    let rows = try #require(report["strategies"] as? [[String: Any]])
    let listed = try #require(
      try JSONSerialization.jsonObject(with: Data(runTTA(["list", "strategies", "--json"]).stdout.utf8)) as? [[String: Any]])
    let names = listed.filter { $0["kind"] as? String == "strategy" }.compactMap { $0["name"] as? String }
    #expect(rows.compactMap { $0["strategy"] as? String } == names && (report["left_out"] as? [String])?.isEmpty == true, "\(run.stdout)")
    for row in rows {
      for key in [
        "images_per_second", "milliseconds_per_batch", "forwards_per_image", "backwards_per_image", "peak_memory_bytes", "arena_bytes",
      ] {
        #expect(row[key] != nil, "\(key)")
      }
    }
    func count(_ name: String, _ key: String) -> Double? { rows.first { $0["strategy"] as? String == name }?[key] as? Double }
    #expect(count("tent", "forwards_per_image") == 1 && count("tent", "backwards_per_image") == 1)
    #expect(count("memo", "forwards_per_image") == 33 && count("ttt", "forwards_per_image") == 33)
    let table = try runTTA(["bench", "--model", "shapes", "--strategy", "all", "--batch", "2", "--repeats", "1", "--quiet"])
    #expect(table.stdout.split(separator: "\n").count == names.count + 3, "\(table.stdout)")
  }
}
