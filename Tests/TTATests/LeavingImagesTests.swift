// Images that nothing is learnt from leave a pass before its backward: the others' gradients are what they would be alone.

import Engine
import Foundation
import TTA
import TTATestKit
import Testing

@Suite struct LeavingImagesTests {
  /// The branches of ViDA beside a vision transformer's projections or the convolutions of a network whose norms are over groups.
  private func withBranches(_ model: Model) throws -> Model {
    var setup = AdaptationSetup(model: model)
    var options = ViDABranches.Options()
    options.highRank = 3
    var branches = try ViDABranches(options)
    try branches.configure(&setup)
    var (parameters, random) = (setup.model.parameters, RandomSource(seed: 6))
    for info in setup.model.graph.parameters where info.name.contains(".vida.") {
      let values = (0..<info.shape.elementCount).map { _ in random.uniform(-0.1, 0.1) }
      parameters.update(info.id) { $0 = Tensor(values, shape: info.shape) }
    }
    return try Model(graph: setup.model.graph, parameters: parameters)
  }
  private func model(_ name: String) throws -> (model: Model, statistics: NormStatistics) {
    switch name {
    case "vit, branches": (try withBranches(Fixtures.model("vit-post-norm-cifar")), .batch)
    case "groups, branches": (try withBranches(Fixtures.model("resnet26-gn")), .batch)
    case "vit-tiny-patch16-224", "resnet50-gn": (try Fixtures.model(name, inputSize: 32), .batch)
    case "instance-aware":
      (try Model(graph: Fixtures.model("cifar-resnet14").graph.withInstanceAwareNorms(), parameters: Fixtures.model().parameters), .stored)
    case "resnet18", "mobilenet-v2": (try Fixtures.model(name, inputSize: 32), .stored)
    default: (try Fixtures.model(name), .batch)
    }
  }
  private func gradients(
    _ executor: Executor, _ program: Program, _ model: Model, _ images: Tensor, _ set: ParameterSet, _ options: ForwardOptions,
    _ seed: Tensor
  ) throws -> [ParameterID: Tensor] {
    let pass = try executor.record(images, program, at: model.parameters, differentiating: set, options)
    var gradients = Gradients()
    try executor.backpropagate(pass, from: OutputGradient([.logits: seed]), into: &gradients)
    return gradients.tensors
  }
  /// Seven images, of which those in `rows` have a gradient.
  private func seed(_ rows: [Int], _ classes: Int) -> Tensor {
    var random = RandomSource(seed: 11)
    return Tensor((0..<7 * classes).map { rows.contains($0 / classes) ? random.uniform(-1, 1) : 0 }, shape: [7, classes])
  }

  @Test(
    arguments: [
      "vit-post-norm-cifar", "vit-tiny-patch16-224", "resnet26-gn", "resnet50-gn", "vit, branches", "groups, branches", "resnet18",
      "mobilenet-v2", "instance-aware",
    ], [Lowering.reference, .exact, .fast])
  func sameAsWithoutThem(_ name: String, _ lowering: Lowering) throws {
    let (model, statistics) = try model(name)
    let (images, options) = (Fixtures.images(7, model), ForwardOptions().with(statistics))
    for selection in [ParameterSelection.normAffine, .all] {
      let set = try model.graph.resolve(selection)
      for recomputation in lowering == .reference ? [Recomputation.never] : [.never, .always] {
        let executor = Executor(threads: 2, lowering: lowering, recomputation: recomputation)
        let program = Program(model.graph)
        // The last of those with a gradient take the places of the first ones without.
        for (rows, order) in [([1, 3, 4, 6], [6, 1, 4, 3]), ([5], [5]), ([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5])] {
          let seed = seed(rows, model.graph.classCount)
          let before = executor.work
          let left = try gradients(executor, program, model, images, set, options, seed)
          #expect(executor.work.backwardImages - before.backwardImages == rows.count)
          let alone = try gradients(executor, program, model, images[order], set, options, seed[order])
          for (id, gradient) in alone {
            let size = gradient.values.reduce(1e-4) { max($0, abs($1)) }
            // One image alone has a plan of its own, with other algorithms.
            let difference = left[id].map { largestDifference($0, gradient) } ?? .infinity
            #expect(
              difference <= (rows.count == 1 ? 5e-3 * size : 0), "\(selection) \(recomputation): \(model.graph.parameters[id.index].name)")
          }
          #expect(Set(left.keys) == Set(alone.keys))
        }
      }
    }
  }
  /// A gradient has as many values as the output; its shape says nothing.
  @Test func gradientsWithoutRows() throws {
    let model = try Fixtures.model("vit-post-norm-cifar")
    let (executor, program, set) = (Executor(threads: 1), Program(model.graph), try model.graph.resolve(.normAffine))
    let (images, seed) = (Fixtures.images(7, model), seed([1, 5], model.graph.classCount))
    func gradients(_ seed: Tensor) throws -> [ParameterID: Tensor] {
      try self.gradients(executor, program, model, images, set, ForwardOptions(), seed)
    }
    #expect(try gradients(seed.reshaped(to: [seed.elementCount])) == gradients(seed))
    #expect(executor.work.backwardImages == 4)
  }
  /// A gradient of zeros is one of zeros, of a single image.
  @Test func nothingToLearn() throws {
    let (model, _) = try model("vit-post-norm-cifar")
    let (executor, set) = (Executor(threads: 1), try model.graph.resolve(.normAffine))
    let gradients = try gradients(
      executor, Program(model.graph), model, Fixtures.images(7, model), set, ForwardOptions(), seed([], model.graph.classCount))
    #expect(executor.work.backwardImages == 1)
    #expect(Set(gradients.keys) == Set(set.ids) && gradients.values.allSatisfy { $0.values.allSatisfy { $0 == 0 } })
  }
  /// Where layers take statistics over the batch, or images get gradients themselves, all images stay.
  @Test(arguments: [NormStatistics.batch, .renormalized, .blended(batchWeight: 0.3, variance: .unbiased, constant: false)])
  func statisticsOfTheBatchKeepThem(_ statistics: NormStatistics) throws {
    let model = try Fixtures.model()
    let (executor, set) = (Executor(threads: 1), try model.graph.resolve(.normAffine))
    _ = try gradients(
      executor, Program(model.graph), model, Fixtures.images(7, model), set, ForwardOptions().with(statistics), seed([2], 10))
    #expect(executor.work.backwardImages == 7)
  }
  @Test func gradientsOfImagesKeepThem() throws {
    let model = try Fixtures.model("vit-post-norm-cifar")
    let executor = Executor(threads: 1)
    var options = ForwardOptions()
    options.differentiatesImages = true
    let pass = try executor.record(
      Fixtures.images(7, model), Program(model.graph), at: model.parameters, differentiating: .empty, options)
    var gradients = Gradients()
    try executor.backpropagate(pass, from: OutputGradient([.logits: seed([2], model.graph.classCount)]), into: &gradients)
    let rows = try #require(gradients.images)
    #expect(executor.work.backwardImages == 7 && rows.count == 7)
    for row in 0..<7 { #expect(rows[[row]].values.contains { $0 != 0 } == (row == 2)) }
  }

  /// SAR looks at the neighbour's answers for the images that were certain here, and takes the same step as with all of them.
  @Test(arguments: ["vit-post-norm-cifar", "resnet26-gn"]) func secondLookOfSAR(_ architecture: String) throws {
    let model = try Fixtures.model(architecture)
    let images = Fixtures.images(12, model)
    let entropies = try Executor(threads: 1).forward(images, Program(model.graph), at: model.parameters, ForwardOptions()).entropies
    // A threshold between the seventh and the eighth entropy, and no recovery.
    let sorted = entropies.sorted()
    var options = SAR.Options()
    (options.factor, options.level, options.update.learningRate) = ((sorted[6] + sorted[7]) / 2 / Float(log(10.0)), 0, 0.1)
    func stream(_ strategy: SAR) throws -> (prediction: Prediction, parameters: Parameters, work: Executor.Work) {
      let executor = Executor(threads: 2)
      var stream = try AdaptationRuntime(model, strategy)
      let prediction = try stream.process(Batch(images), on: executor)
      return (prediction, stream.state.parameters, executor.work)
    }
    var whole = SAR(options)
    whole.learner.filters.append(OfWholeBatches())
    let (few, all) = (try stream(SAR(options)), try stream(whole))
    #expect(few.work.forwardImages == 12 + 7 && all.work.forwardImages == 12 + 12)
    #expect(few.work.backwardImages == all.work.backwardImages && (8...14).contains(few.work.backwardImages))
    #expect(few.prediction.weights?.count == 12 && few.prediction.weights == all.prediction.weights)
    #expect(abs(try #require(few.prediction.loss) - #require(all.prediction.loss)) < 1e-5)
    for info in model.graph.parameters {
      #expect(largestDifference(few.parameters[info.id], all.parameters[info.id]) < 2e-5, "\(info.name)")
    }
    // Of nothing certain there is no second look; the step is taken.
    options.factor = 1e-6
    let none = try stream(SAR(options))
    #expect(none.work == Executor.Work(forwards: 1, backwards: 0, forwardImages: 12, backwardImages: 0))
  }
}

/// Leaves weights as they are, and wants whole batches.
private struct OfWholeBatches: SampleFilter {
  func weigh(_ weights: inout [Float], of output: Output, for batch: Batch, in context: inout AdaptationContext) {}
}
