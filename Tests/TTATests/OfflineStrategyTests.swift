// Methods that learn from a whole target set before they answer.

import Engine
import Foundation
import TTA
import TTATestKit
import Testing

@Suite struct OfflineStrategyTests {
  private let executor = Executor(threads: 1)

  /// Two clusters on a line; the third point is predicted wrongly and lies with the second cluster.
  @Test func centroidsCorrectLabels() {
    let features = Tensor([3, 2.8, -2.9, -3], shape: [4, 1])
    let probabilities = Tensor([0.9, 0.1, 0.8, 0.2, 0.55, 0.45, 0.1, 0.9], shape: [4, 2])
    #expect(centroidLabels(features: features, probabilities: probabilities) == [0, 0, 1, 1])
    // A class that nothing is predicted as gets no label, however close its weighted centroid is.
    let never = Tensor([0.6, 0.4, 0.6, 0.4, 0.6, 0.4, 0.6, 0.4], shape: [4, 2])
    #expect(centroidLabels(features: features, probabilities: never) == [0, 0, 0, 0])
  }
  @Test func theLossByHand() throws {
    // Uniform predictions: no information, cross entropy ln 4.
    let uniform = try LabelledInformationMaximization(weight: 0.3, labels: [0, 2]).losses(of: Output(logits: Tensor(zeros: [2, 4])))
    #expect(abs((uniform.batchTerm?.value ?? 9)) < 1e-4)
    for value in uniform.values { #expect(abs(value - 0.3 * Float(log(4.0))) < 1e-6) }
    // Certain predictions of all classes: −ln 2, the least there is for two.
    let certain = LossFunctions.informationMaximization(Tensor([100, 0, 0, 100], shape: [2, 2]))
    #expect(abs(certain.value + Float(log(2.0))) < 1e-4)
    // Gradients by differences.
    let objective = LabelledInformationMaximization(weight: 0.3, labels: [1, 0, 2])
    var random = RandomSource(seed: 2)
    let logits = random.normals([3, 3], deviation: 1)
    func total(_ logits: Tensor) throws -> Double {
      let losses = try objective.losses(of: Output(logits: logits))
      return Double(losses.values.reduce(0, +)) / 3 + Double(losses.batchTerm?.value ?? 0)
    }
    let losses = try objective.losses(of: Output(logits: logits))
    let exact = zip(losses.logitGradients.values, losses.batchTerm?.logitGradients.values ?? []).map { $0 / 3 + $1 }
    let numeric = try NumericGradient.of(total, at: logits, elements: Array(0..<9), step: 1e-2)
    for (one, other) in zip(exact, numeric) { #expect(abs(Double(one) - other) < 1e-3) }
  }

  private func options(_ change: (inout OfflineSHOT.Options) -> Void = { _ in }) -> OfflineSHOT.Options {
    var options = OfflineSHOT.Options()
    (options.epochs, options.stepImages) = (2, 3)
    change(&options)
    return options
  }
  @Test func learnsBeforeItAnswers() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let images = Fixtures.images(7, model)
    var stream = try AdaptationRuntime(model, OfflineSHOT(options()))
    #expect(stream.isOffline)
    var source = try AdaptationRuntime(model, Source())
    #expect(try stream.process(Batch(images), on: executor).scores.tensor == source.process(Batch(images), on: executor).scores.tensor)
    let before = executor.work
    try stream.study(images, on: executor)
    // Two passes: labels of seven images, two steps of three; the last image of a pass is left out.
    #expect(executor.work.forwardImages - before.forwardImages == 2 * (7 + 6))
    #expect(executor.work.backwardImages - before.backwardImages == 2 * 6)
    let after = stream.state.parameters
    let classifier = try model.graph.resolve(.classifier)
    for info in model.graph.parameters {
      #expect((after[info.id] == model.parameters[info.id]) == classifier.contains(info.id), "\(info.name)")
    }
    // Answering changes nothing.
    let answer = try stream.process(Batch(images), on: executor).scores.tensor
    #expect(try stream.process(Batch(images), on: executor).scores.tensor == answer)
    #expect(stream.state.parameters == after)
    // The same seed, the same weights; another seed, another order.
    var again = try AdaptationRuntime(model, OfflineSHOT(options()))
    _ = try again.process(Batch(images), on: executor)
    try again.study(images, on: executor)
    #expect(again.state.parameters == after)
    var other = try AdaptationRuntime(model, OfflineSHOT(options()), seed: 2)
    try other.study(images, on: executor)
    #expect(other.state.parameters != after)
  }
  @Test func predictionsBecomeCertainAndStayDiverse() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let images = Fixtures.images(48, model)
    var stream = try AdaptationRuntime(
      model,
      OfflineSHOT(
        options {
          ($0.epochs, $0.stepImages) = (10, 16)
          $0.update.learningRate = 1e-2
        }))
    func information() throws -> Float {
      LossFunctions.informationMaximization(try stream.predict(Batch(images), on: executor).scores.tensor).value
    }
    let before = try information()
    try stream.study(images, on: executor)
    #expect(try information() < before - 0.1)
  }
  /// The learning rate falls as (1 + 10 t)^−0.75: without momentum and with a constant gradient the way is the sum of the rates.
  @Test func theLearningRateFalls() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    var stream = try AdaptationRuntime(model, Schedule())
    _ = try stream.process(Batch(Fixtures.images(2, model)), on: executor)
    let id = try #require(stream.adapted.ids.first)
    let way = zip(stream.state.parameters[id].values, model.parameters[id].values).map { $1 - $0 }
    for distance in way { #expect(abs(distance - 0.25 * (1 + 0.5)) < 1e-5) }
  }
  /// Two steps along a gradient of ones, the second at half the rate.
  private struct Schedule: AdaptationStrategy {
    @Slot var optimizer: any Optimizer = SGD(learningRate: 0.25)
    init() {}
    mutating func configure(_ setup: inout AdaptationSetup) throws { try setup.adapt(.matching("^fc.bias$")) }
    mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
      let id = context.adapted.ids[0]
      let ones = Gradients([id: Tensor(repeating: 1, shape: context.parameters[id].shape)])
      try context.update(with: &optimizer, ones)
      context.rateFactor = 0.5
      try context.update(with: &optimizer, ones)
      return Prediction(try context.forward(batch.images))
    }
  }
  @Test func partsJoinIn() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let images = Fixtures.images(6, model)
    var plain = try AdaptationRuntime(model, OfflineSHOT(options()))
    var adjusted = try AdaptationRuntime(model, OfflineSHOT(options()).adjusted(by: Temperature(.init())))
    #expect(adjusted.isOffline)
    try plain.study(images, on: executor)
    try adjusted.study(images, on: executor)
    #expect(plain.state.parameters == adjusted.state.parameters)
    #expect(try adjusted.process(Batch(images), on: executor).scores.tensor.isFinite)
  }
  @Test func whatCannotWorkIsRefused() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    func message(_ body: () throws -> Void) -> String {
      do { try body() } catch let error as TTAError { return error.message } catch { return "\(error)" }
      return "no error"
    }
    #expect(
      message { _ = try OfflineSHOT().over(window: 8) } == "window: the strategy learns from a whole target set, not from windows")
    var tent = try AdaptationRuntime(model, Tent())
    #expect(
      message { try tent.study(Fixtures.images(2, model), on: executor) }
        == "the strategy learns from batches as they come, not from a whole set")
    var stream = try AdaptationRuntime(model, OfflineSHOT())
    #expect(
      message { try stream.study(Fixtures.images(1, model), on: executor) }
        == "shot-offline: expected a target set of at least 2 images, got 1")
    #expect(
      message { _ = try Registry.builtIn.compose(.keys(["name": .text("shot-offline"), "epochs": .number(0)])) }
        == "epochs: expected at least 1, got 0")
    #expect(stream.state.parameters == model.parameters)
  }
}
