// The guard: what it measures, what it undoes, what it leaves alone.

import Engine
import Foundation
import ModelIO
import TTA
import TTATestKit
import Testing

@Suite struct GuardTests {
  /// Puts the strategy's answer in one class from a batch on, as a collapsed model would.
  private struct Collapsing: AdaptationStrategy {
    var batches = 0
    var from: Int
    var scale: ParameterID?
    mutating func configure(_ setup: inout AdaptationSetup) throws {
      setup.useBatchStatistics()
      try setup.adapt(.classifier)
      scale = try setup.classifier().bias
    }
    mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
      batches += 1
      if batches == from, let scale { context.parameters.update(scale) { $0.update { span in span[3] += 100 } } }
      return Prediction(try context.forward(batch.images))
    }
  }

  @Test func collapseIsUndone() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let executor = Executor(threads: 1)
    let batches = Fixtures.batches(6, of: 16, model)
    var stream = try AdaptationRuntime(model, Collapsing(from: 4), guard: CollapseGuard())
    var healthy = try AdaptationRuntime(model, Collapsing(from: 1_000))
    for (index, batch) in batches.enumerated() {
      let (got, expected) = (try stream.process(batch, on: executor), try healthy.process(batch, on: executor))
      if index == 3 {
        #expect(Set(got.labels) == [3])
        #expect(stream.incidents.count == 1 && stream.incidents[0].hasPrefix("batch 3: restored: predictions concentrate"))
      } else {
        #expect(got.scores.tensor == expected.scores.tensor, "batch \(index)")
      }
    }
  }
  @Test func aHealthyStreamIsLeftAlone() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let executor = Executor(threads: 1)
    var (watched, free) = (try AdaptationRuntime(model, Tent(), guard: CollapseGuard()), try AdaptationRuntime(model, Tent()))
    for batch in Fixtures.batches(6, of: 16, model) {
      #expect(try watched.process(batch, on: executor).scores.tensor == free.process(batch, on: executor).scores.tensor)
    }
    #expect(watched.incidents.isEmpty)
  }
  @Test func aHealthyStreamCostsNoForward() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let executor = Executor(threads: 1)
    var watched = try AdaptationRuntime(model, Tent(), guard: CollapseGuard())
    for batch in Fixtures.batches(4, of: 16, model) { _ = try watched.process(batch, on: executor) }
    #expect(executor.work.forwards == 4)
  }
  @Test func theGuardIsPartOfTheState() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let executor = Executor(threads: 1)
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("tta-guard-\(UUID().uuidString).safetensors").path
    let batches = Fixtures.batches(8, of: 16, model)
    var first = try AdaptationRuntime(model, Collapsing(from: 6), guard: CollapseGuard())
    for batch in batches[..<3] { _ = try first.process(batch, on: executor) }
    defer { try? FileManager.default.removeItem(atPath: path) }
    try first.save(to: path)
    var second = try AdaptationRuntime(model, Collapsing(from: 6), guard: CollapseGuard())
    try second.load(from: path)
    for batch in batches[3...] {
      #expect(try first.process(batch, on: executor).scores.tensor == second.process(batch, on: executor).scores.tensor)
    }
    #expect(first.incidents == second.incidents && first.incidents.count == 1)
  }
  @Test func guardsHaveNames() throws {
    #expect(try Registry.builtIn.watch(.keys(["name": .text("tent")])) == nil)
    for value in [OptionTree.bool(true), .text("collapse"), .keys(["on": .text("collapse"), "cool_down": .number(5)])] {
      #expect(try Registry.builtIn.watch(.keys(["name": .text("tent"), "guard": value])) is CollapseGuard)
    }
    #expect(throws: TTAError.self) { try Registry.builtIn.watch(.keys(["guard": .text("collapsed")])) }
  }
}
