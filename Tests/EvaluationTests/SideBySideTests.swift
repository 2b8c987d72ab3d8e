// Several strategies over one stream.

import Engine
import Evaluation
import Foundation
import ModelIO
import Streams
import TTA
import Testing

@Suite struct SideBySideTests {
  private func evaluation(_ names: [String], images: Int = 24, batch: Int = 8) throws -> SideBySideEvaluation {
    let graph = try Architecture.named("cifar-resnet14").graph(ArchitectureConfiguration(classes: 10, inputSize: 32))
    let model = try RandomWeights.model(graph, seed: 3)
    let stream = try DomainStream(ImageRange(ShapesDataset.test, 0..<images), domains: Toy.domains, batchSize: batch)
    let program = Program(graph)
    return SideBySideEvaluation(
      stream,
      strategies: try names.map { name in
        let strategy = try Registry.builtIn.compose(.keys(["name": .text(name)]))
        return (name, try AdaptationRuntime(program: program, source: model.parameters, strategy))
      })
  }
  /// What must not depend on the time that a run took.
  private func errors(_ evaluation: SideBySideEvaluation) -> [[OnlineScore.Point]] { evaluation.standings.map(\.score.curve) }

  @Test func companyChangesNothing() throws {
    let executor = Executor(threads: 1)
    var together = try evaluation(["source", "batch-norm", "tent"])
    try together.run(on: executor) { _ in true }
    #expect(together.isFinished)
    for (name, curve) in zip(["source", "batch-norm", "tent"], errors(together)) {
      var alone = try evaluation([name])
      try alone.run(on: executor) { _ in true }
      #expect(errors(alone) == [curve])
    }
  }
  @Test func continuesWhereItStopped() throws {
    let executor = Executor(threads: 1)
    var whole = try evaluation(["source", "tent"])
    try whole.run(on: executor) { _ in true }
    var halted = try evaluation(["source", "tent"])
    try halted.run(on: executor) { $0.batch < 2 }
    #expect(halted.nextBatch == 2 && !halted.isFinished)
    try halted.run(on: executor) { _ in true }
    #expect(errors(halted) == errors(whole))
  }
  @Test func reportsEveryBatchAndTheEndOfEachDomain() throws {
    var run = try evaluation(["source"], images: 20)
    var (batches, ends): ([Int], [Bool]) = ([], [])
    try run.run(on: Executor(threads: 1)) { step in
      batches.append(step.batch)
      ends.append(step.endsDomain)
      return true
    }
    #expect(batches == [1, 2, 3, 4, 5, 6])
    #expect(ends == [false, false, true, false, false, true])
  }
  @Test func summaryHasThePublishedKeys() throws {
    var run = try evaluation(["source", "tent"])
    try run.run(on: Executor(threads: 1)) { _ in true }
    let summary = EvaluationSummary(model: "toy", run) { $0.corruption ?? "clean" }
    let data = try JSONEncoder().encode(summary)
    let tree = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(Set(tree.keys) == ["model", "images", "domains", "strategies"])
    #expect(tree["images"] as? Int == 48)
    #expect(tree["domains"] as? [String] == ["brightness", "contrast"])
    let strategies = try #require(tree["strategies"] as? [[String: Any]])
    #expect(strategies.map { $0["name"] as? String } == ["source", "tent"])
    for strategy in strategies {
      #expect(Set(["name", "error_percent", "per_domain", "images_per_second"]).isSubset(of: strategy.keys))
      let domains = try #require(strategy["per_domain"] as? [String: Double])
      #expect(Set(domains.keys) == ["brightness", "contrast"])
      let mean = try #require(strategy["error_percent"] as? Double)
      #expect(abs(mean - domains.values.reduce(0, +) / 2) < 1e-9)
    }
    #expect(try JSONDecoder().decode(EvaluationSummary.self, from: data) == summary)
  }
}
