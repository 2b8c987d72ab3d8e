// Limits, invariances and vectors worked out by hand for single strategies.

import Engine
import Foundation
import ModelIO
import TTA
import TTATestKit
import Testing
import Vision

@Suite struct StrategyLimitTests {
  private func answers(_ strategy: any AdaptationStrategy, _ model: Model, batches: Int = 3) throws -> [Tensor] {
    var stream = try AdaptationRuntime(model, strategy, seed: 5)
    let executor = Executor(threads: 2)
    return try Fixtures.batches(batches, of: 6, model).map { try stream.process($0, on: executor).scores.tensor }
  }
  private func model() throws -> Model { try Fixtures.model("cifar-resnet14", inputSize: 16) }

  @Test func theConjugateOfCrossEntropyIsTheEntropy() throws {
    let model = try model()
    let (conjugate, tent) = (try answers(ConjugatePseudoLabels(), model), try answers(Tent(), model))
    for (got, expected) in zip(conjugate, tent) { #expect(largestDifference(got, expected) < 2e-3) }
    #expect(conjugate[0] == tent[0])
  }
  @Test func aFrozenTeacherAnswersLikeBatchNorm() throws {
    let model = try model()
    var options = CoTTA.Options()
    (options.teacher.teacherMomentum, options.teacher.threshold, options.restore) = (1, 0, 0)
    #expect(try answers(CoTTA(options), model) == answers(BatchNormAdaptation(), model))
  }
  @Test func aTeacherWithoutMomentumIsTheStudent() throws {
    let model = try model()
    var options = CoTTA.Options()
    (options.teacher.teacherMomentum, options.teacher.threshold, options.restore) = (0, 2, 0)
    var stream = try AdaptationRuntime(model, CoTTA(options, augmentation: FourViews()), seed: 5)
    let executor = Executor(threads: 2)
    for batch in Fixtures.batches(2, of: 6, model) { _ = try stream.process(batch, on: executor) }
    let objective = (stream.state.strategy as? CoTTA)?.learner.objective as? TeacherConsistency
    let teacher = try #require(objective?.teacher)
    for id in stream.adapted.ids {
      #expect(Comparison(teacher[id], stream.state.parameters[id], Tolerance(absolute: 1e-7)).isWithin)
      #expect(teacher[id] != model.parameters[id])
    }
  }
  @Test func everythingRestoredIsTheSource() throws {
    let model = try model()
    var options = CoTTA.Options()
    (options.teacher.threshold, options.restore) = (2, 1)
    var stream = try AdaptationRuntime(model, CoTTA(options, augmentation: FourViews()), seed: 5)
    let executor = Executor(threads: 2)
    for batch in Fixtures.batches(2, of: 6, model) { _ = try stream.process(batch, on: executor) }
    #expect(stream.state.parameters == model.parameters)
  }
  @Test func theShareRestoredIsTheRate() throws {
    let model = try model()
    var parameters = model.parameters
    let set = try model.graph.resolve(.all)
    for id in set.ids { parameters.update(id) { $0 = Tensor(repeating: 9, shape: $0.shape) } }
    var random = RandomSource(seed: 2)
    parameters.restore(from: model.parameters, fraction: 0.1, over: set, using: &random)
    let (total, restored) = set.ids.reduce((0, 0)) { sum, id in
      (sum.0 + parameters[id].elementCount, sum.1 + parameters[id].values.filter { $0 != 9 }.count)
    }
    #expect(abs(Double(restored) - 0.1 * Double(total)) < 5 * (0.09 * Double(total)).squareRoot())
  }
  @Test func withoutARadiusSARIsFilteredTent() throws {
    let model = try model()
    var options = SAR.Options()
    (options.rho, options.factor, options.level) = (0, 2, -1)
    options.update = UpdateOptions(.sgd, learningRate: 1e-2)
    var tent = Tent.Options()
    tent.update = options.update
    let filtered = Tent(tent).filtered(by: EntropyThreshold(.init(factor: 2, weighing: false)))
    #expect(try answers(SAR(options), model) == answers(filtered, model))
  }
  @Test func wisdomOfCrowdsKeepsEverythingAtFirst() throws {
    let model = try model()
    var stream = try AdaptationRuntime(model, Tent().filtered(by: WisdomOfCrowds()))
    let prediction = try stream.process(Fixtures.batches(1, of: 6, model)[0], on: Executor(threads: 2))
    #expect(prediction.weights == [Float](repeating: 1, count: 6))
    // Without the diversity term and with everything kept it is TENT.
    var options = WisdomOfCrowds.Options()
    options.diversity = 0
    #expect(try answers(Tent().filtered(by: WisdomOfCrowds(options)), model, batches: 2) == answers(Tent(), model, batches: 2))
  }
  @Test func rdumbStartsAgain() throws {
    let model = try model()
    var options = RDumb.Options()
    (options.every, options.base.factor, options.base.margin) = (2, 2, 1)
    var periodic = try AdaptationRuntime(model, RDumb(options))
    var fresh = try AdaptationRuntime(model, RDumb(options))
    let (executor, batches) = (Executor(threads: 2), Fixtures.batches(3, of: 6, model))
    let got = try batches.map { try periodic.process($0, on: executor).scores.tensor }
    #expect(try fresh.process(batches[2], on: executor).scores.tensor == got[2])
  }
  @Test func certainImagesWeighMore() throws {
    // exp(E₀) for an entropy of 0: 15.849 for 1,000 classes, 2.512 for 10.
    for (classes, expected) in [(1_000, 15.849), (10, 2.512)] as [(Int, Float)] {
      var row = [Float](repeating: 0, count: classes)
      row[1] = 200
      let model = try model()
      let probe = WeightProbe(output: Output(logits: Tensor(row, shape: [1, classes])))
      var stream = try AdaptationRuntime(model, probe)
      let weight = try #require(try stream.process(Fixtures.batches(1, of: 2, model)[0], on: Executor(threads: 1)).weights?.first)
      #expect(abs(weight - expected) < 1e-3)
    }
  }
  /// Answers with the weight that EATA's filter gives to a made-up output.
  private struct WeightProbe: AdaptationStrategy {
    let logits: Tensor
    init(output: Output) { logits = output.logits }
    mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
      var weights: [Float] = [1]
      EntropyThreshold(.init(factor: 0.4, weighing: true)).weigh(&weights, of: Output(logits: logits), for: batch, in: &context)
      var prediction = Prediction(try context.forward(batch.images))
      prediction.weights = weights
      return prediction
    }
  }

  @Test func priorFactorsByHand() {
    // Two images, two classes, mean prediction (0.75, 0.25).
    let logits = Tensor([log(3), 0, log(3), 0], shape: [2, 2])
    for (got, expected) in zip(PriorCorrection.factors(of: logits), [0.607143, 0.392857] as [Float]) { #expect(abs(got - expected) < 1e-6) }
  }
  @Test func kalmanGainsByHand() {
    var variance = 0.0
    let expected = [(0.995, 0.004975), (0.990172, 0.009779), (0.985554, 0.014374), (0.981178, nil), (0.977065, nil)] as [(Double, Double?)]
    for (beta, after) in expected {
      let step = KalmanEnsembling.gain(variance: variance, alpha: 0.99, noise: 0.005)
      variance = step.variance
      #expect(abs(step.beta - beta) < 2e-6)
      if let after { #expect(abs(step.variance - after) < 2e-6) }
    }
  }
  @Test func ageWeightsAndScoresByHand() {
    #expect(abs(AgedCrossEntropy.weight(age: 0) - 0.5) < 1e-7 && abs(AgedCrossEntropy.weight(age: 1) - 0.268941) < 1e-6)
    #expect(abs(CategoryBalancedMemory.score(age: 0, uncertainty: Float(log(10.0)), capacity: 64, classes: 10) - 1.5) < 1e-6)
    #expect(abs(CategoryBalancedMemory.score(age: 64, uncertainty: 0, capacity: 64, classes: 10) - 0.731059) < 1e-6)
  }
  @Test func aMemoryKeepsClassesApart() {
    var memory = CategoryBalancedMemory(capacity: 4, classes: 2)
    for i in 0..<10 { memory.add(Tensor([Float(i)], shape: [1, 1]), position: i, label: 0, uncertainty: 0.1) }
    #expect(memory.items[0].count == 2)
    for i in 10..<20 { memory.add(Tensor([Float(i)], shape: [1, 1]), position: i, label: 1, uncertainty: 0.1) }
    #expect(memory.items.map(\.count) == [2, 2])
    // Among equally certain ones the youngest stay.
    #expect(memory.items[1].map(\.position) == [18, 19])
  }
  @Test func aReservoirKeepsEachImageWithTheSameChance() {
    // A stream of one class: each of 40 images stays in a memory of 8 with the probability 1/5.
    var kept = [Int](repeating: 0, count: 40)
    var random = RandomSource(seed: 3)
    let rounds = 2_000
    for _ in 0..<rounds {
      var memory = ClassReservoir(capacity: 8, classes: 2)
      for i in 0..<40 { memory.add(Tensor([Float(i)], shape: [1, 1]), label: 0, using: &random) }
      for item in memory.items { kept[Int(item.image.values[0])] += 1 }
    }
    for count in kept { #expect(abs(Double(count) - 0.2 * Double(rounds)) < 5 * (0.16 * Double(rounds)).squareRoot()) }
    // A rare class that comes late still gets its half.
    var memory = ClassReservoir(capacity: 8, classes: 2)
    for i in 0..<40 { memory.add(Tensor([Float(i)], shape: [1, 1]), label: 0, using: &random) }
    for i in 0..<10 { memory.add(Tensor([Float(i)], shape: [1, 1]), label: 1, using: &random) }
    #expect(memory.counts == [4, 4])
  }
  @Test func marginalEntropyOfViews() {
    let views = Tensor([200, 0, 0, 200], shape: [2, 2])
    #expect(abs((MarginalEntropy().losses(of: Output(logits: views)).batchTerm?.value ?? 0) - Float(log(2.0))) < 1e-6)
  }
}

@Suite struct LameTests {
  private let executor = Executor(threads: 1)
  private func solve(_ q: [Float], _ w: [Float], _ count: Int, watch: (Tensor) -> Void = { _ in }) -> [Float] {
    let classes = q.count / count
    return Lame.solve(
      Tensor(q, shape: [count, classes]), Affinities(full: Tensor(w, shape: [count, count])), on: executor, watch: { watch($0()) }
    ).result.values
  }

  @Test func twoPointsByHand() {
    let mirrored = solve([0.6, 0.4, 0.4, 0.6], [0, 1, 1, 0], 2)
    #expect(abs(mirrored[0] - 0.5673035) < 1e-4 && abs(mirrored[3] - 0.5673035) < 1e-4)
    var iterates: [[Float]] = []
    let limit = solve([0.9, 0.1, 0.45, 0.55], [0, 1, 1, 0], 2) { iterates.append($0.values) }
    #expect(abs(iterates[0][0] - 0.890633) < 1e-5 && abs(iterates[0][2] - 0.645503) < 1e-5)
    #expect(abs(iterates[1][0] - 0.923313) < 1e-5 && abs(iterates[1][2] - 0.641204) < 1e-5)
    #expect(abs(limit[0] - 0.924899) < 1e-4 && abs(limit[2] - 0.656814) < 1e-4)
  }
  @Test func withoutNeighboursNothingChanges() {
    let q: [Float] = [0.7, 0.2, 0.1, 0.3, 0.3, 0.4]
    for (got, expected) in zip(solve(q, [0, 0, 0, 0], 2), q) { #expect(abs(got - expected) < 1e-6) }
  }
  /// Σ KL(z‖q) − ½ Σ w z·z never rises for a symmetric positive semidefinite W.
  @Test func theBoundDescends() {
    var random = RandomSource(seed: 12)
    for _ in 0..<1_000 {
      let (count, classes, width) = (Int.random(in: 2...12, using: &random), Int.random(in: 2...5, using: &random), 4)
      let features = Tensor((0..<count * width).map { _ in random.uniform(-1, 1) }, shape: [count, width])
      let q = softmax(Tensor((0..<count * classes).map { _ in random.uniform(-3, 3) }, shape: [count, classes]))
      let affinity: Lame.Affinity = random.uniform() < 0.5 ? .rbf : .linear
      let affinities = Affinities(features: features, .init(affinity), on: executor)
      guard case .full(let matrix) = affinities.weights else {
        Issue.record("no full matrix")
        return
      }
      let w = matrix.values
      var bounds: [Double] = []
      _ = Lame.solve(q, affinities, on: executor) { z in
        let (z, q) = (z().values, q.values)
        var bound = 0.0
        for i in z.indices where z[i] > 0 { bound += Double(z[i]) * log(Double(z[i]) / max(Double(q[i]), 1e-30)) }
        for i in 0..<count {
          for j in 0..<count {
            for k in 0..<classes { bound -= 0.5 * Double(w[i * count + j]) * Double(z[i * classes + k]) * Double(z[j * classes + k]) }
          }
        }
        bounds.append(bound)
      }
      for (earlier, later) in zip(bounds, bounds.dropFirst()) { #expect(later <= earlier + 1e-5 * max(1, abs(earlier))) }
    }
  }
  @Test func orderAndDuplicatesDoNotMatter() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let images = Fixtures.images(6, model)
    let order = [3, 0, 5, 1, 4, 2]
    for affinity in Lame.Affinity.allCases {
      var (one, other) = (
        try AdaptationRuntime(model, LameStrategy(.init(affinity))), try AdaptationRuntime(model, LameStrategy(.init(affinity)))
      )
      let straight = try one.process(Batch(images), on: executor).scores.tensor[order]
      let permuted = try other.process(Batch(images[order]), on: executor).scores.tensor
      #expect(largestDifference(straight, permuted) < 1e-4)
      // Every image the same: finite, and all answers alike.
      let same = try one.process(Batch(images[[0, 0, 0]]), on: executor).scores.tensor.values
      #expect(
        same.allSatisfy(\.isFinite)
          && largestDifference(Tensor(Array(same[..<10]), shape: [10]), Tensor(Array(same[10..<20]), shape: [10])) < 1e-5)
      // One image keeps its prediction.
      var source = try AdaptationRuntime(model, Source())
      let alone = try one.process(Batch(images[[2]]), on: executor).scores.tensor
      let plain = try source.process(Batch(images[[2]]), on: executor).probabilities
      if affinity == .knn { #expect(largestDifference(alone, plain) < 1e-6) } else { #expect(alone.isFinite) }
    }
  }
}
