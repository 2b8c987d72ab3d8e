// Laws and particulars of the strategies.

import Engine
import ModelIO
import TTA
import TTATestKit
import Testing

@Suite struct StrategyTests {
  @Test(arguments: ["source", "batch-norm", "alpha-batch-norm", "ema-batch-norm", "tent"])
  func laws(_ name: String) throws {
    let model = try Fixtures.model()
    let strategy = try Registry.builtIn.compose(.keys(["name": .text(name)]))
    #expect(try StrategyLaws(strategy, on: model, batches: Fixtures.batches(4, of: 6, model)).broken() == [])
  }
  @Test(arguments: ["resnet26", "vit-post-norm-cifar"]) func lawsOnOtherNorms(_ architecture: String) throws {
    let model = try Fixtures.model(architecture)
    var options = Tent.Options()
    options.update = UpdateOptions(.sgd, learningRate: 1e-2)
    #expect(try StrategyLaws(Tent(options), on: model, batches: Fixtures.batches(4, of: 3, model)).broken() == [])
  }

  @Test func tentWithoutLearningRateIsBatchNorm() throws {
    let model = try Fixtures.model()
    var options = Tent.Options()
    options.update.learningRate = 0
    let executor = Executor(threads: 2)
    var tent = try AdaptationRuntime(model, Tent(options))
    var reference = try AdaptationRuntime(model, BatchNormAdaptation())
    for batch in Fixtures.batches(3, of: 5, model) {
      let (one, other) = (try tent.process(batch, on: executor), try reference.process(batch, on: executor))
      #expect(one.scores.tensor == other.scores.tensor)
    }
    #expect(tent.state.parameters == model.parameters)
  }
  @Test func tentAnswersFromBeforeTheUpdate() throws {
    let model = try Fixtures.model()
    let executor = Executor(threads: 2)
    var (tent, reference) = (try AdaptationRuntime(model, Tent()), try AdaptationRuntime(model, BatchNormAdaptation()))
    let batches = Fixtures.batches(2, of: 5, model)
    #expect(try tent.process(batches[0], on: executor).scores.tensor == reference.process(batches[0], on: executor).scores.tensor)
    #expect(try tent.process(batches[1], on: executor).scores.tensor != reference.process(batches[1], on: executor).scores.tensor)
  }
  @Test func tentLowersTheEntropy() throws {
    let model = try Fixtures.model()
    let executor = Executor(threads: 2)
    var tent = try AdaptationRuntime(model, Tent())
    let batch = Fixtures.batches(1, of: 16, model)[0]
    let losses = try (0..<8).map { _ in try #require(try tent.process(batch, on: executor).loss) }
    #expect(losses[7] < losses[0] - 0.01)
  }
  @Test func alphaOneIsTheUnbiasedBatch() throws {
    let model = try Fixtures.model()
    let images = Fixtures.images(4, model)
    let executor = Executor(threads: 2)
    var options = AlphaBatchNorm.Options()
    options.alpha = 0
    var zero = try AdaptationRuntime(model, AlphaBatchNorm(options))
    var source = try AdaptationRuntime(model, Source())
    let (a, b) = (try zero.process(Batch(images), on: executor), try source.process(Batch(images), on: executor))
    #expect(largestDifference(a.scores.tensor, b.scores.tensor) < 1e-4)
  }
  @Test func emaBatchNormMovesRunningStatisticsOnly() throws {
    let model = try Fixtures.model()
    let executor = Executor(threads: 2)
    var stream = try AdaptationRuntime(model, EMABatchNorm())
    _ = try stream.process(Fixtures.batches(1, of: 6, model)[0], on: executor)
    for info in model.graph.parameters {
      let running = [.runningMean, .runningVariance].contains(info.role)
      #expect((stream.state.parameters[info.id] != model.parameters[info.id]) == running, "\(info.name)")
    }
  }
  @Test func aHundredStepsCopyEachAdaptedTensorOnce() throws {
    let model = try Fixtures.model()
    let executor = Executor(threads: 2)
    var stream = try AdaptationRuntime(model, Tent())
    let batch = Fixtures.batches(1, of: 4, model)[0]
    func addresses(_ parameters: Parameters) -> [UInt] {
      stream.adapted.ids.map { parameters[$0].withSpan { span in span.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) } } }
    }
    _ = try stream.process(batch, on: executor)
    // The first step copied what it changed away from the source; from then on every tensor stays where it is.
    let first = addresses(stream.state.parameters)
    #expect(Set(first).isDisjoint(with: addresses(model.parameters)))
    for _ in 0..<99 { _ = try stream.process(batch, on: executor) }
    #expect(addresses(stream.state.parameters) == first)
    for info in model.graph.parameters where !stream.adapted.contains(info.id) {
      #expect(stream.state.parameters[info.id].stamp == model.parameters[info.id].stamp, "\(info.name) was copied")
    }
  }
  @Test func resetPolicies() throws {
    let model = try Fixtures.model()
    let executor = Executor(threads: 2)
    let batches = Fixtures.batches(4, of: 5, model)
    var (episodic, fresh) = (try AdaptationRuntime(model, Tent()), try AdaptationRuntime(model, Tent()))
    episodic.reset = .eachBatch
    for batch in batches {
      fresh.resetToSource()
      #expect(try episodic.process(batch, on: executor).scores.tensor == fresh.process(batch, on: executor).scores.tensor)
    }
    var periodic = try AdaptationRuntime(model, Tent())
    periodic.reset = .every(2)
    let answers = try batches.map { try periodic.process($0, on: executor).scores.tensor }
    fresh.resetToSource()
    #expect(try fresh.process(batches[2], on: executor).scores.tensor == answers[2])
    #expect(try fresh.process(batches[3], on: executor).scores.tensor == answers[3])
  }
}

@Suite struct SnapshotTests {
  @Test func snapshotsCostNothingUntilTheNextStep() throws {
    let model = try Fixtures.model()
    let executor = Executor(threads: 1)
    var stream = try AdaptationRuntime(model, Tent())
    let batch = Fixtures.batches(1, of: 3, model)[0]
    _ = try stream.process(batch, on: executor)
    let one = stream.state
    _ = try stream.process(batch, on: executor)
    #expect(one.parameters != stream.state.parameters)
    stream.restore(one)
    #expect(one.parameters == stream.state.parameters)
  }
}
