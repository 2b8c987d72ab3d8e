// ViDA: branches that add nothing, factors, dropout passes.

import Engine
import Foundation
import ModelIO
import TTA
import TTATestKit
import Testing
import Vision

@Suite struct ViDATests {
  private let executor = Executor(threads: 1, lowering: .exact)
  private func model() throws -> Model { try Fixtures.model("cifar-resnet14", inputSize: 8) }
  private func options(_ change: (inout ViDA.Options) -> Void = { _ in }) -> ViDA.Options {
    var options = ViDA.Options()
    (options.branches.highRank, options.views, options.restore) = (4, 2, 0)
    change(&options)
    return options
  }
  private func answers(_ strategy: any AdaptationStrategy, _ model: Model, batches: Int = 3) throws -> [Tensor] {
    var stream = try AdaptationRuntime(model, strategy, seed: 5)
    return try Fixtures.batches(batches, of: 4, model).map { try stream.process($0, on: executor).scores.tensor }
  }

  private func expectSame(_ got: [Tensor], _ expected: [Tensor]) {
    for (one, other) in zip(got, expected) { #expect(largestDifference(one, other) < 1e-4) }
  }

  @Test func branchesThatEndInZeroAddNothingUnderAnyFactors() throws {
    let model = try model()
    for factors in [[1, 1], [0.3, 1.7]] as [[Float]] {
      var strategy = try ViDA(options())
      strategy.fixedFactors = factors
      // The first answer is the source's: nothing has been learnt.
      expectSame(try answers(strategy, model, batches: 1), try answers(Source(), model, batches: 1))
    }
  }
  @Test func withoutAStepTheSourceAnswers() throws {
    let model = try model()
    let still = options {
      $0.update.learningRate = 0
      $0.adapterLearningRate = 0
    }
    expectSame(try answers(ViDA(still), model), try answers(Source(), model))
  }
  /// A teacher that differs from the student, so that there is something to learn, and never follows it.
  @Test func aTeacherWithFullMomentumStays() throws {
    let model = try model()
    var strategy = try ViDA(options { ($0.teacherMomentum, $0.adapterMomentum) = (1, 1) })
    strategy.initialTeacherGain = 1.05
    strategy.fixedFactors = [1, 1]
    var stream = try AdaptationRuntime(model, strategy, seed: 5)
    let batch = Batch(Fixtures.images(4, model))
    let answers = try (0..<3).map { _ in try stream.process(batch, on: executor).scores.tensor }
    #expect(answers[1] == answers[0] && answers[2] == answers[0])
    let first = try #require(model.graph.parameter(named: "conv1.weight"))
    #expect(stream.state.parameters[first.id] != model.parameters[first.id])
  }
  @Test func factorsChangeSidesAtTheThreshold() {
    var options = ViDA.Options()
    (options.threshold, options.movesHigh) = (0.2, true)
    #expect(options.factors(for: 0.25) == [0.75, 1.25] && options.factors(for: 0.15) == [1.15, 0.85])
    #expect(options.factors(for: 0.2) == [0.8, 1.2])
    // In the released code the second one stays.
    options.movesHigh = false
    #expect(options.factors(for: 0.25) == [0.75, 1])
  }
  @Test func branchesHaveTheirRanks() throws {
    let model = try model()
    let stream = try AdaptationRuntime(model, ViDA(options()))
    let layers = stream.graph.parameters.filter { $0.name.hasSuffix(".vida.low_down") }
    #expect(!layers.isEmpty)
    for low in layers {
      let name = String(low.name.dropLast("low_down".count))
      let high = try #require(stream.graph.parameter(named: name + "high_down"))
      let up = try #require(stream.graph.parameter(named: name + "high_up"))
      #expect(low.shape[0] == 1 && high.shape[0] == min(4, high.shape[1], up.shape[0]) && up.shape[1] == high.shape[0])
    }
  }

  // MARK: - Preset paper

  private func paper(_ change: (inout ViDA.Options) -> Void = { _ in }) throws -> ViDA.Options {
    var options = try #require(ViDA.Options.presets["paper"])
    (options.branches.highRank, options.views) = (4, 2)
    change(&options)
    return options
  }
  @Test func thePresetIsThePapers() throws {
    let options = try #require(ViDA.Options.presets["paper"])
    #expect(options.perImage && options.movesHigh && options.dropout == 0.1 && options.threshold == 0.2 && options.restore == 0)
  }
  /// Whole features in one pass, none in the other: p and the softmax of the classifier's offset; the uncertainty is half their distance.
  @Test func uncertaintiesByHand() throws {
    let model = try model()
    var strategy = try ViDA(paper())
    strategy.fixedMasks = [[Float](repeating: 1, count: 64), [Float](repeating: 0, count: 64)]
    var stream = try AdaptationRuntime(model, strategy)
    let seen = Seen()
    stream.observer = { name, value in if name == "uncertainty" { seen.add(value.values) } }
    let batch = Batch(Fixtures.images(3, model))
    _ = try stream.process(batch, on: executor)
    let whole = try executor.forward(batch.images, Program(model.graph), at: model.parameters, ForwardOptions()).probabilities.values
    let bias = try #require(model.graph.classifier?.bias)
    let none = softmax(model.parameters[bias].reshaped(to: [1, 10])).values
    let expected = (0..<3).map { row in
      var sum = 0.0
      for k in 0..<10 {
        let half = Double(whole[row * 10 + k] - none[k]) / 2
        sum += half * half
      }
      return sum.squareRoot()
    }
    #expect(seen.values.count == 3)
    for (got, expected) in zip(seen.values, expected) { #expect(abs(Double(got) - expected) < 1e-5) }
  }
  /// Without uncertainty every image has the factors 1 and 1: the same steps as with factors that are fixed for the batch.
  @Test func imageByImageIsTheBatchWhereFactorsAgree() throws {
    let model = try model()
    func rate(_ options: inout ViDA.Options) { options.update = UpdateOptions(.sgd, learningRate: 1e-2, parameters: "all") }
    var single = try ViDA(paper(rate))
    single.fixedMasks = [[Float](repeating: 1, count: 64)]
    var whole = try ViDA(options(rate))
    whole.fixedFactors = [1, 1]
    var (one, other) = (try AdaptationRuntime(model, single), try AdaptationRuntime(model, whole))
    for batch in Fixtures.batches(3, of: 4, model) {
      let (a, b) = (try one.process(batch, on: executor), try other.process(batch, on: executor))
      #expect(largestDifference(a.scores.tensor, b.scores.tensor) < 1e-4)
      #expect(abs((a.loss ?? 0) - (b.loss ?? 1)) < 1e-5)
    }
    for info in model.graph.parameters {
      #expect(largestDifference(one.state.parameters[info.id], other.state.parameters[info.id]) < 1e-5, "\(info.name)")
    }
  }
  @Test func drawsOfDropoutLeaveAnUncertainty() throws {
    let model = try model()
    var stream = try AdaptationRuntime(model, ViDA(paper { ($0.views, $0.dropout) = (40, 0.5) }))
    let seen = Seen()
    stream.observer = { name, value in if name == "uncertainty" { seen.add(value.values) } }
    _ = try stream.process(Batch(Fixtures.images(3, model)), on: executor)
    // Draws that differ from pass to pass leave an uncertainty, the whole model none.
    #expect(seen.values.allSatisfy { $0 > 0.001 })
    #expect(try StrategyLaws(ViDA(paper()), on: model, batches: Fixtures.batches(4, of: 3, model)).broken() == [])
  }
  @Test func optionsThatContradictEachOther() throws {
    func message(_ options: [String: OptionTree]) -> String {
      do { _ = try Registry.builtIn.compose(.keys(options)) } catch let error as TTAError { return error.message } catch {
        return "\(error)"
      }
      return "no error"
    }
    #expect(message(["name": .text("vida"), "per_image": .bool(true)]) == "per_image: expected dropout above 0, got 0.0")
    #expect(message(["name": .text("vida"), "dropout": .number(1)]) == "dropout: expected a number from 0 to below 1, got 1.0")
    #expect(message(["name": .text("vida"), "preset": .text("paper")]) == "no error")
  }
}

/// Values that an observer was shown.
private final class Seen: @unchecked Sendable {
  private(set) var values: [Float] = []
  func add(_ new: [Float]) { values += new }
}
