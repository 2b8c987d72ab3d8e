// Further limits and vectors worked out by hand: what each method becomes when one of its parts is switched off.

import Engine
import Foundation
import ModelIO
import TTA
import TTATestKit
import Testing
import Vision

@Suite struct MethodLimitTests {
  private let executor = Executor(threads: 1, lowering: .exact)
  private func model(_ inputSize: Int = 8) throws -> Model { try Fixtures.model("cifar-resnet14", inputSize: inputSize) }
  private func answers(_ strategy: any AdaptationStrategy, _ model: Model, batches: Int = 3, of size: Int = 4) throws -> [Tensor] {
    var stream = try AdaptationRuntime(model, strategy, seed: 5)
    return try Fixtures.batches(batches, of: size, model).map { try stream.process($0, on: executor).scores.tensor }
  }

  // MARK: - TENT, batch norm

  /// One step of SGD moves norm parameters along the numeric derivative of the mean entropy.
  @Test func tentFollowsTheDerivative() throws {
    let model = try model()
    var options = Tent.Options()
    options.update = UpdateOptions(.sgd, learningRate: 0.5, momentum: 0)
    let batch = Batch(Fixtures.images(4, model))
    var stream = try AdaptationRuntime(model, Tent(options))
    _ = try stream.process(batch, on: executor)
    let program = Program(model.graph)
    for name in ["bn1.weight", "layer2.0.bn2.bias", "layer3.1.bn2.weight"] {
      try Fixtures.expectStep(from: model, to: stream, of: name, rate: 0.5, step: 2e-3, tolerance: 0.06) { parameters in
        let entropies = try executor.forward(batch.images, program, at: parameters, ForwardOptions().with(.batch)).entropies
        return entropies.reduce(0) { $0 + Double($1) } / 4
      }
    }
  }
  /// All weight on the batch differs from batch norm by the estimator of the variance alone: n / (n − 1).
  @Test func alphaOneIsBatchNormUpToTheEstimator() throws {
    let model = try model(16)
    var options = AlphaBatchNorm.Options()
    options.alpha = 1
    let (alpha, batch) = (
      try answers(AlphaBatchNorm(options), model, batches: 1, of: 16)[0], try answers(BatchNormAdaptation(), model, batches: 1, of: 16)[0]
    )
    let scale = batch.values.reduce(0) { max($0, abs($1)) }
    #expect(largestDifference(alpha, batch) < 0.05 * scale && alpha != batch)
  }

  // MARK: - CoTTA, SAR

  /// Where every view is the image, the mean over views is the teacher's own answer.
  @Test func viewsThatChangeNothingChangeNoTarget() throws {
    let model = try model()
    var options = CoTTA.Options()
    (options.teacher.views, options.restore) = (4, 0)
    options.update = UpdateOptions(.sgd, learningRate: 1e-2, parameters: "all")
    options.teacher.threshold = 0
    let plain = try answers(CoTTA(options, augmentation: NoAugmentation()), model)
    options.teacher.threshold = 2
    let averaged = try answers(CoTTA(options, augmentation: NoAugmentation()), model)
    for (one, other) in zip(plain, averaged) { #expect(largestDifference(one, other) < 1e-4) }
  }
  @Test func theNeighbourOfSARIsAtItsRadius() throws {
    let model = try model()
    let set = try model.graph.resolve(.normAffine)
    var random = RandomSource(seed: 1)
    let gradients = Gradients(
      Dictionary(uniqueKeysWithValues: set.ids.map { ($0, random.normals(model.parameters[$0].shape, deviation: 1)) }))
    let neighbour = model.parameters.displaced(along: gradients, by: 0.05)
    let square = model.graph.parameters.reduce(0.0) { sum, info in
      zip(neighbour[info.id].values, model.parameters[info.id].values).reduce(sum) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    }
    #expect(abs(square.squareRoot() - 0.05) < 1e-6)
    // Without a gradient there is no neighbour.
    #expect(model.parameters.displaced(along: Gradients(), by: 0.05) == model.parameters)
  }

  // MARK: - Losses

  @Test func theGradientOfTheOpinionIsOrthogonalToTheLogits() {
    var random = RandomSource(seed: 8)
    let logits = random.normals([20, 5], deviation: 3)
    let gradients = LossFunctions.conservativeEntropy(logits).logitGradients.values
    for row in 0..<20 {
      let product = (row * 5..<row * 5 + 5).reduce(0.0) { $0 + Double(logits.values[$1]) * Double(gradients[$1]) }
      #expect(abs(product) < 1e-6)
    }
  }
  @Test func aUniformMeanHasNoDiversityToGain() {
    let gradients = LossFunctions.entropyOfMean(Tensor([3, 0, 0, 3], shape: [2, 2])).logitGradients.values
    for gradient in gradients { #expect(abs(gradient) < 1e-6) }
  }

  // MARK: - Wisdom of crowds

  /// Scores in which only the third image gains in the class that the source chose.
  private struct Crowd: AdaptationStrategy {
    mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
      let source = try context.forward(batch.images, with: context.source)
      var logits = source.logits
      let classes = logits.rowElementCount
      logits.update { span in
        for (image, label) in source.labels.enumerated() { span[image * classes + label] += image == 2 ? 0.5 : -0.1 }
      }
      var weights = [Float](repeating: 1, count: batch.count)
      try WisdomOfCrowds().weigh(&weights, of: Output(logits: logits), for: batch, in: &context)
      var prediction = Prediction(source)
      prediction.weights = weights
      return prediction
    }
  }
  @Test func onlyWhatGainsInTheSourcesClassStays() throws {
    let model = try model()
    var stream = try AdaptationRuntime(model, Crowd())
    #expect(try stream.process(Batch(Fixtures.images(5, model)), on: executor).weights == [0, 0, 1, 0, 0])
  }

  // MARK: - Label shift adapter

  /// Answers class 3, for certain.
  private struct Third: AdaptationStrategy {
    mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
      var rows = [Float](repeating: 0, count: batch.count * 10)
      for image in 0..<batch.count { rows[image * 10 + 3] = 1 }
      return Prediction(.probabilities(Tensor(rows, shape: [batch.count, 10])))
    }
  }
  @Test func thePriorFollowsGeometrically() throws {
    let model = try model()
    let network = try LabelShiftNetwork(
      firstWeight: Tensor(zeros: [2, 1]), firstBias: Tensor(zeros: [2]), secondWeight: Tensor(zeros: [778, 2]),
      secondBias: Tensor(zeros: [778]), mapping: LabelShiftNetwork.mapping(sourceCounts: (0..<10).map { Float(10 - $0) }))
    #expect(network.degree(of: [Float](repeating: 0.1, count: 10)).magnitude < 1e-7)
    var stream = try AdaptationRuntime(model, Third().with(LabelShiftAdapter(network, rate: 0.1)))
    for step in 1...8 {
      _ = try stream.process(Batch(Fixtures.images(2, model)), on: executor)
      let adapter = try #require((stream.state.strategy as? Composition)?.adapters[0] as? LabelShiftAdapter)
      let rest = Float(pow(0.9, Double(step)))
      #expect(abs(adapter.prior[3] - (1 - 0.9 * rest)) < 1e-5 && abs(adapter.prior[0] - 0.1 * rest) < 1e-6)
    }
  }

  // MARK: - T3A, SHOT

  /// Before any image the centroids are the classifier's directions; a class that no image was given keeps its own.
  @Test func centroidsBeginWithTheClassifier() throws {
    let base = try model()
    let classifier = try #require(base.graph.classifier)
    // Row k is long in direction k, so that it is class k for the classifier itself.
    var parameters = base.parameters
    parameters.update(classifier.weight) { weight in
      weight.update { span in for i in span.indices { span[i] = i / 64 == i % 64 ? Float(2 + i / 64) : 0 } }
    }
    if let bias = classifier.bias { parameters.update(bias) { $0 = Tensor(zeros: [10]) } }
    let model = try Model(graph: base.graph, parameters: parameters)
    let batch = Batch(Fixtures.images(6, model))
    var options = T3A.Options()
    options.keep = 1
    var stream = try AdaptationRuntime(model, T3A(options))
    var forward = ForwardOptions()
    forward.taps.insert(.features)
    let output = try executor.forward(batch.images, Program(model.graph), at: model.parameters, forward)
    let features = try #require(output.features).values
    func direction(_ scores: Tensor, _ label: Int) -> Bool {
      (0..<6).allSatisfy { abs(scores.values[$0 * 10 + label] - features[$0 * 64 + label]) < 1e-4 }
    }
    let before = try stream.predict(batch, on: executor).scores.tensor
    for label in 0..<10 { #expect(direction(before, label)) }
    let after = try stream.process(batch, on: executor).scores.tensor
    let named = Set(output.labels)
    #expect(named.count < 10)
    for label in 0..<10 where !named.contains(label) { #expect(direction(after, label)) }
  }
  @Test func uniformPredictionsHoldNoInformation() {
    #expect(abs(LossFunctions.informationMaximization(Tensor(zeros: [3, 4])).value) < 1e-4)
    let oneHot = Tensor((0..<16).map { $0 % 5 == 0 ? 100 : 0 }, shape: [4, 4])
    #expect(abs(LossFunctions.informationMaximization(oneHot).value + Float(log(4.0))) < 1e-4)
  }

  // MARK: - NOTE

  /// Mean 0 and variance 1 as the reference, 64 positions, k = 4: means count as chance up to 0.5000025, variances up to 4 · 0.178176.
  @Test func instanceAwareNormByHand() throws {
    let ones = Tensor([1], shape: [1]), zeros = Tensor([0], shape: [1])
    func normalized(mean: Float, deviation: Float) throws -> (input: [Float], output: [Float]) {
      let input = (0..<64).map { mean + ($0 % 2 == 0 ? deviation : -deviation) }
      let result = try OperatorProbe().run(
        InstanceAwareBatchNorm(), inputs: [Tensor(input, shape: [1, 1, 8, 8])], parameters: [ones, zeros, zeros, ones])
      return (input, result.output.values)
    }
    // An unbiased variance of 1: nothing to correct there.
    let unit = Float((63.0 / 64).squareRoot())
    for (mean, corrected) in [(0.3, 0), (0.9, 0.3999975)] as [(Float, Float)] {
      let (input, output) = try normalized(mean: mean, deviation: unit)
      for (x, y) in zip(input, output) { #expect(abs(y - (x - corrected) / Float(1.00001).squareRoot()) < 1e-5) }
    }
    // An unbiased variance of 2 is corrected to 2 − 4 · 0.178176.
    let (input, output) = try normalized(mean: 0, deviation: unit * Float(2).squareRoot())
    for (x, y) in zip(input, output) { #expect(abs(y - x / Float(2 - 4 * 0.178176 * 1.00001 + 1e-5).squareRoot()) < 1e-4) }
  }
  @Test func memoGoesBackToTheSource() throws {
    let model = try model()
    var options = MEMO.Options()
    options.views = 3
    var stream = try AdaptationRuntime(model, MEMO(options))
    for batch in Fixtures.batches(2, of: 2, model) { _ = try stream.process(batch, on: executor) }
    #expect(stream.state.parameters == model.parameters)
  }
}
