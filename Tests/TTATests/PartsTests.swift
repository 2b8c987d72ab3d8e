// Batches that are learnt from in parts: the same results as in one pass but for the order of sums.

import Engine
import TTA
import TTATestKit
import Testing

@Suite struct PartsTests {
  /// Two or three images go together.
  private func executor(threads: Int = 2, inParts: Bool = true) -> Executor {
    let executor = Executor(threads: threads)
    executor.mostPartBytes = inParts ? 1 : .max
    return executor
  }
  private func parts(_ model: Model, _ images: Int, _ statistics: NormStatistics, mostBytes: Int = 1) throws -> [Range<Int>]? {
    let executor = executor()
    executor.mostPartBytes = mostBytes
    return try executor.parts(
      of: images, Program(model.graph), differentiating: model.graph.resolve(.normAffine), ForwardOptions().with(statistics))
  }

  @Test func sizesAreEven() throws {
    let model = try Fixtures.model("vit-post-norm-cifar")
    for images in 1...3 { #expect(try parts(model, images, .batch) == [0..<images]) }
    #expect(try parts(model, 4, .batch) == [0..<2, 2..<4])
    #expect(try parts(model, 5, .batch) == [0..<3, 3..<5])
    #expect(try parts(model, 13, .batch) == [0..<3, 3..<5, 5..<7, 7..<9, 9..<11, 11..<13])
    #expect(try parts(model, 0, .batch) == nil)
    #expect(try parts(model, 13, .batch, mostBytes: .max) == [0..<13])
  }
  /// What a part keeps is near what it may keep.
  @Test func partsKeepWhatTheyMay() throws {
    let model = try Fixtures.model("vit-tiny-patch16-224")
    let (set, program) = (try model.graph.resolve(.normAffine), Program(model.graph))
    let sizes = try #require(try Executor().parts(of: 64, program, differentiating: set, ForwardOptions()))
    #expect(sizes.count > 1)
    let plan = try program.summary(
      ForwardOptions(), at: model.parameters, differentiating: set, images: 64, together: sizes[0].count, lowering: .fast,
      recomputation: .never)
    #expect(plan.arenaBytes < 512 << 20 && plan.arenaBytes > 256 << 20, "\(plan.arenaBytes)")
  }
  /// Gradients take their share of what a part may keep. Parts are even, so that their sizes come in steps.
  @Test func gradientsLeaveRoomForFewerImages() throws {
    let model = try Fixtures.model("vit-post-norm-cifar")
    let gradientBytes = model.graph.parameters.reduce(0) { $0 + 4 * $1.shape.elementCount }
    func largest(_ bytes: Int) throws -> Int {
      let executor = executor()
      executor.mostPartBytes = bytes
      let (set, program) = (try model.graph.resolve(.all), Program(model.graph))
      return try #require(try executor.parts(of: 200, program, differentiating: set, ForwardOptions())).map(\.count).max() ?? 0
    }
    #expect(try largest(gradientBytes) < 4)
    let (some, more) = (try largest(9 * gradientBytes), try largest(17 * gradientBytes))
    #expect(some > 9 && abs(more - 2 * some) < 6, "\(some) and \(more) images")
  }
  /// Batch norm with statistics of the batch keeps its images together; with stored ones it does not.
  @Test func statisticsOfTheBatchStayWhole() throws {
    let model = try Fixtures.model()
    #expect(try parts(model, 8, .batch) == nil)
    #expect(try parts(model, 8, .renormalized) == nil)
    #expect(try parts(model, 8, .blended(batchWeight: 0.1, variance: .biased, constant: true)) == nil)
    #expect(try parts(model, 8, .stored) == [0..<2, 2..<4, 4..<6, 6..<8])
  }

  /// Strategies whose losses are sums over images, with thresholds between which some images are left out; and one that needs the whole batch.
  static let sections: [[String: OptionTree]] = [
    ["name": .text("tent")], ["name": .text("rpl")], ["name": .text("conjugate")],
    ["name": .text("eta"), "factor": .number(1.1), "margin": .number(0.93)],
    ["name": .text("eta"), "factor": .number(0.9515), "margin": .number(1)],
    ["name": .text("sar"), "factor": .number(1)],
    ["name": .text("deyo"), "entropy_factor": .number(2), "threshold": .number(-1)],
    ["name": .text("tent"), "filter": .keys(["name": .text("wisdom-of-crowds"), "diversity": .number(0)])],
    ["name": .text("cotta"), "views": .number(2)], ["name": .text("vida"), "views": .number(2)],
    ["name": .text("shot")],
  ]
  private func strategy(_ section: [String: OptionTree]) throws -> any AdaptationStrategy {
    let strategy = try Registry.builtIn.compose(.keys(section))
    // A teacher that says something else than its student.
    guard var vida = strategy as? ViDA else { return strategy }
    vida.initialTeacherGain = 1.1
    return vida
  }
  @Test(arguments: sections.indices, ["resnet26-gn", "vit-post-norm-cifar"])
  func sameAsInOnePass(_ index: Int, _ architecture: String) throws {
    let section = Self.sections[index]
    let model = try Fixtures.model(architecture)
    func stream(_ executor: Executor) throws -> (predictions: [Prediction], parameters: Parameters, work: Executor.Work) {
      var stream = try AdaptationRuntime(model, strategy(section))
      let predictions = try Fixtures.batches(3, of: 10, model).map { try stream.process($0, on: executor) }
      return (predictions, stream.state.parameters, executor.work)
    }
    let (whole, parts) = (try stream(executor(inParts: false)), try stream(executor()))
    for (one, other) in zip(whole.predictions, parts.predictions) {
      #expect(largestDifference(one.scores.tensor, other.scores.tensor) < 2e-4, "\(section)")
      #expect(one.weights?.map { $0 != 0 } == other.weights?.map { $0 != 0 }, "\(section)")
      #expect(abs((one.loss ?? 0) - (other.loss ?? 0)) < 1e-4, "\(section)")
    }
    // Adam turns a rounding of a gradient near zero into a part of a step.
    let moved = whole.parameters.drift(from: model.parameters, model), apart = whole.parameters.drift(from: parts.parameters, model)
    #expect(moved > 0 && apart < 0.02 * moved, "\(section): moved by \(moved), \(apart) apart")
    // The same images went forward; parts of which nothing was kept did not go backward.
    #expect(parts.work.forwardImages == whole.work.forwardImages && parts.work.backwardImages <= whole.work.backwardImages)
    #expect(parts.work.forwards > whole.work.forwards || section["name"] == .text("shot"))
    // Threads change nothing.
    let alone = try stream(executor(threads: 1))
    #expect(zip(alone.predictions, parts.predictions).allSatisfy { $0.scores.tensor == $1.scores.tensor })
    #expect(model.graph.parameters.allSatisfy { alone.parameters[$0.id] == parts.parameters[$0.id] })
  }

  /// Images that a filter left out take no backward where all images of a part were.
  @Test func partsLeftOutTakeNoBackward() throws {
    let model = try Fixtures.model("vit-post-norm-cifar")
    let executor = executor()
    var stream = try AdaptationRuntime(model, Tent().filtered(by: OnlyFrom(first: 8)))
    let prediction = try stream.process(Batch(Fixtures.images(12, model)), on: executor)
    #expect(prediction.weights == [Float](repeating: 0, count: 8) + [1, 1, 1, 1])
    #expect(executor.work == Executor.Work(forwards: 6, backwards: 2, forwardImages: 12, backwardImages: 4))
    #expect(stream.drift > 0)
    var idle = try AdaptationRuntime(model, Tent().filtered(by: OnlyFrom(first: 12)))
    #expect(try idle.process(Batch(Fixtures.images(12, model)), on: executor).loss == nil)
    #expect(idle.drift == 0)
  }
  /// A filter that needs the whole batch gets it.
  @Test func filtersOfTheBatchStayWhole() throws {
    let model = try Fixtures.model("vit-post-norm-cifar")
    let executor = executor()
    var stream = try AdaptationRuntime(model, Tent().filtered(by: CertaintyAndDiversity()))
    _ = try stream.process(Batch(Fixtures.images(12, model)), on: executor)
    #expect(executor.work.forwards == 1)
  }
  /// An error in a later part changes nothing.
  @Test func anErrorInALaterPartChangesNothing() throws {
    let model = try Fixtures.model("vit-post-norm-cifar")
    var stream = try AdaptationRuntime(model, Tent().filtered(by: OnlyFrom(first: 0, infinite: 9)))
    let error = #expect(throws: TTAError.self) { try stream.process(Batch(Fixtures.images(12, model)), on: executor()) }
    #expect(error?.code == .nonFinite)
    #expect(stream.drift == 0)
  }
  @Test func rowsShareMemoryUntilTheyChange() {
    var tensor = Tensor([1, 2, 3, 4, 5, 6], shape: [3, 2])
    let rows = tensor[1..<3]
    #expect(rows == Tensor([3, 4, 5, 6], shape: [2, 2]) && tensor[0..<0].elementCount == 0)
    var changed = rows
    changed.update { $0[0] = 9 }
    tensor.update { $0[5] = 7 }
    #expect(rows.values == [3, 4, 5, 6] && changed.values == [9, 4, 5, 6] && tensor.values == [1, 2, 3, 4, 5, 7])
  }
}

/// Keeps images from a position in the stream on; one of them may weigh infinitely much.
private struct OnlyFrom: SampleFilter {
  let first: Int
  var infinite = -1
  var judgesImagesAlone: Bool { true }
  func weigh(_ weights: inout [Float], of output: Output, for batch: Batch, in context: inout AdaptationContext) {
    for i in weights.indices {
      if batch.index + i < first { weights[i] = 0 }
      if batch.index + i == infinite { weights[i] = .infinity }
    }
  }
}

extension Parameters {
  /// The distance to others as a share of their length.
  fileprivate func drift(from others: Parameters, _ model: Model) -> Double {
    let pairs = model.graph.parameters.flatMap { zip(self[$0.id].values, others[$0.id].values) }
    let (distance, length) = pairs.reduce((0.0, 0.0)) { ($0.0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)), $0.1 + Double($1.1 * $1.1)) }
    return (distance / length).squareRoot()
  }
}
