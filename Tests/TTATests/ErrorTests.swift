// What cannot work, and the exact words about it.

import Engine
import Foundation
import ModelIO
import TTA
import Testing

@Suite struct ErrorTests {
  private func message(_ body: () throws -> Void) -> String? {
    do { try body() } catch let error as TTAError { return error.message } catch { return "\(error)" }
    return nil
  }

  @Test func noBatchNorm() throws {
    let model = try Fixtures.model("vit-post-norm-cifar")
    #expect(
      message { _ = try AdaptationRuntime(model, BatchNormAdaptation()) }
        == "batch-norm: the model has no batch norm layers (it has layer norm)")
  }
  @Test func noNormAtAll() throws {
    var builder = GraphBuilder(inputShape: [3, 4, 4])
    let pooled = try builder.add("pool", Mean(over: .positions), [Graph.images])
    try builder.add("fc", Linear(outputs: 2), [pooled], parameters: [("weight", .weight, [2, 3]), ("bias", .bias, [2])])
    let model = try RandomWeights.model(builder.build(), seed: 1)
    do {
      _ = try AdaptationRuntime(model, Tent())
      Issue.record("TENT ran on a model without norm layers")
    } catch let error as TTAError {
      #expect(error.message == "no parameter of the model matches (norm scale or norm shift)")
      #expect(error.hint == "the model has no normalisation layers; nearest parameter names: fc.weight, fc.bias")
    }
  }
  @Test func aBatchOfOne() throws {
    let model = try Fixtures.model()
    let executor = Executor(threads: 1)
    var stream = try AdaptationRuntime(model, Tent())
    let one = Batch(Fixtures.images(1, model))
    #expect(
      message { _ = try stream.process(one, on: executor) }
        == "a batch of 1: expected at least 2 images: batch norm layers take their statistics from the batch, and those of one image say nothing about the stream"
    )
    #expect(stream.state.batches == 0)
    stream.smallBatch = .source
    var source = try AdaptationRuntime(model, Source())
    #expect(try stream.process(one, on: executor).scores.tensor == source.process(one, on: executor).scores.tensor)
    #expect(stream.state.parameters == model.parameters && stream.incidents.count == 1)
  }
  @Test func imagesThatAreNotFinite() throws {
    let model = try Fixtures.model()
    let executor = Executor(threads: 1)
    for policy in NonFinitePolicy.allCases {
      var stream = try AdaptationRuntime(model, Tent())
      stream.nonFinite = policy
      var images = Fixtures.images(4, model)
      images.update { $0[7] = .nan }
      #expect(message { _ = try stream.process(Batch(images), on: executor) } == "batch 0: the images hold values that are not finite")
      #expect(stream.state.parameters == model.parameters)
    }
  }
  @Test func aLossThatIsNotFinite() throws {
    let model = try Fixtures.model()
    let executor = Executor(threads: 1)
    var broken = model.parameters
    let bias = try #require(model.graph.parameter(named: "fc.bias"))
    broken.update(bias.id) { tensor in tensor.update { $0[0] = .infinity } }
    let images = Batch(Fixtures.images(4, model))
    var stream = try AdaptationRuntime(try Model(graph: model.graph, parameters: broken), Tent())
    #expect(message { _ = try stream.process(images, on: executor) }?.hasPrefix("the loss of a batch is not finite") == true)
    #expect(stream.state.parameters == broken && stream.state.batches == 0)
  }
  @Test func skippingKeepsTheStream() throws {
    let model = try Fixtures.model()
    let executor = Executor(threads: 1)
    var stream = try AdaptationRuntime(model, Exploding())
    let images = Batch(Fixtures.images(4, model))
    #expect(message { _ = try stream.process(images, on: executor) } == "the loss of a batch is not finite (nan)")
    stream.nonFinite = .skip
    let answer = try stream.process(images, on: executor)
    #expect(answer.scores.tensor.isFinite && stream.state.batches == 1 && stream.state.parameters == model.parameters)
    #expect(stream.incidents == ["batch 0: not learnt from: the loss of a batch is not finite (nan)"])
  }
  /// A strategy that answers from after its step.
  @Test func anAnswerThatIsNotANumber() throws {
    let model = try Fixtures.model()
    let executor = Executor(threads: 1)
    var options = MEMO.Options()
    (options.update.learningRate, options.views) = (1e30, 2)
    var stream = try AdaptationRuntime(model, MEMO(options))
    let images = Batch(Fixtures.images(2, model))
    #expect(message { _ = try stream.process(images, on: executor) } == "the answer to a batch is not a number")
    stream.nonFinite = .skip
    #expect(try stream.process(images, on: executor).scores.tensor.isFinite && stream.state.parameters == model.parameters)
    #expect(stream.incidents == ["batch 0: not learnt from: the answer to a batch is not a number"])
  }
  @Test func aLearnerThatNobodyConfigured() throws {
    let model = try Fixtures.model()
    #expect(message { _ = try AdaptationRuntime(model, Forgetful()) } == "Forgetful learns nothing: its learner was not configured")
  }
  @Test func imagesOfAnotherShape() throws {
    let model = try Fixtures.model()
    var stream = try AdaptationRuntime(model, Source())
    let images = Tensor(zeros: [2, 3, 16, 16])
    #expect(message { _ = try stream.process(Batch(images), on: Executor(threads: 1)) } == "images: expected n×3×32×32, got 2×3×16×16")
  }
  @Test func unknownNamesAndOptions() throws {
    let registry = Registry.builtIn
    func compose(_ keys: [String: OptionTree]) -> TTAError? {
      do { _ = try registry.compose(.keys(keys)) } catch { return error as? TTAError }
      return nil
    }
    #expect(compose(["name": .text("tnet")])?.message == "unknown strategy \"tnet\"")
    #expect(compose(["name": .text("tent"), "learnin_rate": .number(1)])?.hint?.hasPrefix("nearest options: learning_rate") == true)
    #expect(
      compose(["name": .text("tent"), "learning_rate": .text("fast")])?.message == "tent: learning_rate: expected a number, got \"fast\"")
    #expect(
      compose(["name": .text("tent"), "learning_rate": .number(-1)])?.message == "learning_rate: expected a number of at least 0, got -1.0")
    #expect(compose(["name": .text("tent"), "steps": .number(0)])?.message == "steps: expected at least 1, got 0")
    #expect(compose(["name": .text("memo"), "views": .number(1e15)])?.message == "views: expected at most 100000, got 1000000000000000")
    #expect(compose(["name": .text("tent"), "preset": .text("mnist")])?.hint == "presets: cifar, imagenet")
    #expect(
      compose(["name": .text("source"), "objective": .text("entropy")])?.message == "source learns nothing that an objective could change")
    #expect(compose(["name": .text("tent"), "filter": .text("none")])?.message == "unknown filter \"none\"")
    #expect(compose(["name": .text("tent"), "objective": .text("entropy"), "preset": .text("imagenet")]) == nil)
  }
  @Test func statesOfAnotherModelOrStrategy() throws {
    let model = try Fixtures.model()
    let folder = FileManager.default.temporaryDirectory
    let path = folder.appendingPathComponent("tta-state-\(UUID().uuidString).safetensors").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try AdaptationRuntime(model, Tent()).save(to: path)
    var source = try AdaptationRuntime(model, Source())
    #expect(message { try source.load(from: path) } == "\(path): the state is of another strategy: expected Source, got Tent")
    let other = try Fixtures.model(seed: 4)
    var elsewhere = try AdaptationRuntime(other, Tent())
    #expect(message { try elsewhere.load(from: path) }?.hasPrefix("\(path): the state is of another model: expected ") == true)
    var options = Tent.Options()
    options.steps = 2
    var configured = try AdaptationRuntime(model, Tent(options))
    #expect(message { try configured.load(from: path) }?.hasPrefix("\(path): the state is of another configuration: expected ") == true)
    try Data("no state".utf8).write(to: URL(fileURLWithPath: path))
    #expect(message { try source.load(from: path) }?.hasPrefix("\(path): not a valid safetensors file: ") == true)
  }
}

/// A strategy that forgets to configure its learner.
private struct Forgetful: GradientStrategy {
  var learner = Learner(minimizing: Entropy(), optimizer: SGD(learningRate: 1))
  mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    try learner.learn(from: batch, in: &context)
  }
}

/// An objective whose loss is never finite.
private struct Explosion: Objective {
  func losses(of output: Output) -> Losses { Losses([Float](repeating: .nan, count: output.logits.count), output.logits) }
}
private struct Exploding: GradientStrategy {
  var learner = Learner(minimizing: Explosion(), optimizer: SGD(learningRate: 1))
  mutating func configure(_ setup: inout AdaptationSetup) throws {
    setup.useBatchStatistics()
    try learner.configure(&setup)
  }
  mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    try learner.learn(from: batch, in: &context)
  }
}
