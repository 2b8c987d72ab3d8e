// Every strategy with every filter and adjuster; what cannot work; what each costs.

import Engine
import ModelIO
import TTA
import TTATestKit
import Testing

@Suite struct CompositionTests {
  /// Every built-in strategy that needs no file, in a form that is quick on the small model.
  static let strategies = Registry.builtIn.entries(.strategy).map(\.name).filter { $0 != "eata" }
  static let filters = ["none"] + Registry.builtIn.entries(.filter).map(\.name)
  static let adjusters = ["none"] + Registry.builtIn.entries(.adjuster).map(\.name)

  private func section(_ strategy: String, filter: String = "none", adjuster: String = "none") -> OptionTree {
    var section = OptionTree.keys(["name": .text(strategy)])
    if filter != "none" { section["filter"] = .text(filter) }
    if adjuster != "none" { section["adjuster"] = .text(adjuster) }
    if ["cotta", "vida", "memo", "ttt"].contains(strategy) { section["views"] = .number(2) }
    if ["rotta", "note"].contains(strategy) { section["memory"] = .number(4) }
    if strategy == "vida" { section["high_rank"] = .number(4) }
    return section
  }

  /// A small model, with a rotation head for the strategy that needs one.
  private func model(for strategy: String, inputSize: Int = 8) throws -> Model {
    let model = try Fixtures.model("cifar-resnet14", inputSize: inputSize)
    return strategy == "ttt" ? try RandomWeights.addRotationHead(to: model, seed: 4) : model
  }
  @Test(arguments: strategies) func everyFilterAndAdjuster(_ name: String) throws {
    let model = try model(for: name)
    let batches = Fixtures.batches(5, of: 3, model)
    for filter in Self.filters {
      for adjuster in Self.adjusters {
        let combination = "\(name) + \(filter) + \(adjuster)"
        let strategy: any AdaptationStrategy
        do { strategy = try Registry.builtIn.compose(section(name, filter: filter, adjuster: adjuster)) } catch let error as TTAError {
          // A combination that cannot work is refused before the first batch, with the reason.
          #expect(filter != "none" && error.code == .usage && error.hint != nil, "\(combination): \(error.message)")
          continue
        }
        let laws = StrategyLaws(strategy, on: model, batches: batches, threads: 1)
        #expect(try laws.answersAreFinite() == nil, "\(combination)")
        #expect(try laws.resetEqualsFresh() == nil, "\(combination)")
        #expect(try laws.saveLoadContinues() == nil, "\(combination)")
      }
    }
  }
  @Test(arguments: strategies) func laws(_ name: String) throws {
    let model = try model(for: name, inputSize: 16)
    let strategy = try Registry.builtIn.compose(section(name))
    #expect(try StrategyLaws(strategy, on: model, batches: Fixtures.batches(4, of: 4, model)).broken() == [])
  }
  @Test(arguments: ["batch-norm", "tent", "eta", "cotta"]) func windowsTakeSingleImages(_ name: String) throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    var section = section(name)
    section["window"] = .number(4)
    let strategy = try Registry.builtIn.compose(section)
    #expect(try StrategyLaws(strategy, on: model, batches: Fixtures.batches(9, of: 1, model)).broken() == [])
  }
  @Test func aFullWindowAnswersLikeABatch() throws {
    let model = try Fixtures.model()
    let executor = Executor(threads: 2)
    let images = Fixtures.images(6, model)
    var single = try AdaptationRuntime(model, BatchNormAdaptation().over(window: 6))
    var whole = try AdaptationRuntime(model, BatchNormAdaptation())
    var last: Tensor?
    for i in 0..<6 { last = try single.process(Batch(images[[i]], index: i), on: executor).scores.tensor }
    #expect(try last == whole.process(Batch(images), on: executor).scores.tensor[[5]])
  }
  @Test(arguments: strategies) func singleImages(_ name: String) throws {
    let model = try model(for: name)
    let executor = Executor(threads: 1)
    var stream = try AdaptationRuntime(model, Registry.builtIn.compose(section(name)))
    // Works, or says why not and what to do.
    do {
      for batch in Fixtures.batches(3, of: 1, model) { #expect(try stream.process(batch, on: executor).scores.tensor.isFinite) }
    } catch let error as TTAError {
      #expect(error.message.contains("expected at least 2 images") && error.hint?.contains("window") == true, "\(name): \(error.message)")
    }
  }
  @Test func whatCannotWorkIsRefused() throws {
    func refuse(_ section: OptionTree, _ message: String) {
      do {
        _ = try Registry.builtIn.compose(section)
        Issue.record("expected an error: \(message)")
      } catch let error as TTAError { #expect(error.message == message) } catch { Issue.record("\(error)") }
    }
    refuse(.keys(["name": .text("lame"), "filter": .text("diversity")]), "lame learns nothing that a filter could change")
    refuse(.keys(["name": .text("cotta"), "objective": .text("come")]), "cotta: its objective cannot be exchanged")
    refuse(.keys(["name": .text("tent"), "window": .number(1)]), "window: expected at least 2 images, got 1")
    refuse(.keys(["name": .text("eata")]), "eata: file: expected the importances of the source's weights")
    refuse(.keys(["name": .text("tent"), "adapter": .text("label-shift")]), "label-shift: file: expected an adapter")
  }

  /// Forwards, backwards and their images of the third batch of four images.
  private func work(_ strategy: any AdaptationStrategy, _ model: Model) throws -> Executor.Work {
    let executor = Executor(threads: 1)
    var stream = try AdaptationRuntime(model, strategy)
    let batches = Fixtures.batches(3, of: 4, model)
    if stream.isOffline { try stream.study(Fixtures.images(8, model), on: executor) }
    for batch in batches[..<2] { _ = try stream.process(batch, on: executor) }
    let start = executor.work
    _ = try stream.process(batches[2], on: executor)
    return Executor.Work(
      forwards: executor.work.forwards - start.forwards, backwards: executor.work.backwards - start.backwards,
      forwardImages: executor.work.forwardImages - start.forwardImages, backwardImages: executor.work.backwardImages - start.backwardImages)
  }
  /// What every registered strategy computes for a batch of four images; with a memory of four, an update falls on each batch.
  static let counts: [String: (forwards: Int, backwards: Int, forwardImages: Int, backwardImages: Int)] = [
    "source": (1, 0, 4, 0), "batch-norm": (1, 0, 4, 0), "alpha-batch-norm": (1, 0, 4, 0), "ema-batch-norm": (2, 0, 8, 0),
    "tent": (1, 1, 4, 4), "shot": (1, 1, 4, 4), "conjugate": (1, 1, 4, 4), "rpl": (1, 1, 4, 4), "sar": (2, 2, 8, 8),
    // Two views here instead of ten and 32: two passes, teacher, student; anchor, teacher's views, student.
    "vida": (4, 1, 16, 4), "cotta": (4, 1, 16, 4),
    // Per image: two views as one pass, and the answer.
    "memo": (8, 4, 12, 8),
    // Two rotated views per image, and the answers of all as one pass.
    "ttt": (5, 4, 12, 8),
    "note": (2, 1, 8, 4), "rotta": (3, 1, 12, 4), "t3a": (1, 0, 4, 0), "lame": (1, 0, 4, 0), "shot-offline": (1, 0, 4, 0),
  ]
  @Test(arguments: counts.keys.sorted()) func costs(_ name: String) throws {
    var section = section(name)
    // Every image is certain enough.
    if name == "sar" { section["factor"] = .number(2) }
    let work = try work(Registry.builtIn.compose(section), model(for: name))
    let expected = try #require(Self.counts[name])
    #expect(work.forwards == expected.forwards && work.backwards == expected.backwards, "\(name): \(work)")
    if ["note", "rotta", "vida"].contains(name) {
      // The memory holds four images at most; images for which ViDA's student says what its teacher says have no gradient.
      #expect(work.forwardImages <= expected.forwardImages && work.backwardImages <= expected.backwardImages, "\(name): \(work)")
    } else {
      #expect(work.forwardImages == expected.forwardImages && work.backwardImages == expected.backwardImages, "\(name): \(work)")
    }
  }
  /// Methods that learn from some images only: no more than the batch, twice the batch where a second view is taken.
  @Test(arguments: ["eta", "rdumb", "deyo", "roid", "cmf"]) func costsOfSelectiveMethods(_ name: String) throws {
    let work = try work(Registry.builtIn.compose(section(name)), model(for: name))
    let isPaired = ["roid", "cmf"].contains(name)
    #expect(work.forwards <= (name == "eta" || name == "rdumb" ? 1 : 2) && work.backwards <= (isPaired ? 2 : 1), "\(name): \(work)")
    #expect(work.forwardImages >= 4 && work.forwardImages <= 8, "\(name): \(work)")
  }
  @Test func everyStrategyHasACost() {
    let known = Set(Self.counts.keys).union(["eta", "eata", "rdumb", "deyo", "roid", "cmf"])
    #expect(Set(Registry.builtIn.entries(.strategy).map(\.name)) == known)
  }
  @Test func costsOfVariants() throws {
    let model = try model(for: "tent")
    func expect(_ strategy: any AdaptationStrategy, _ forwards: Int, _ backwards: Int, _ name: String) throws {
      let work = try work(strategy, model)
      #expect(work.forwards == forwards && work.backwards == backwards, "\(name): \(work)")
    }
    try expect(Tent().filtered(by: WisdomOfCrowds()), 2, 1, "tent + wisdom-of-crowds")
    var cotta = CoTTA.Options()
    // Always confident: anchor, teacher, student. Never: the views in the teacher's place.
    cotta.teacher.threshold = 1e-6
    try expect(CoTTA(cotta), 3, 1, "cotta, confident")
    cotta.teacher.threshold = 1
    try expect(CoTTA(cotta), 34, 1, "cotta, unsure")
    cotta.teacher.threshold = 2
    try expect(CoTTA(cotta), 33, 1, "cotta without an anchor")
    try expect(ViDA(ViDA.Options()), 12, 1, "vida")
    var vida = try #require(ViDA.Options.presets["paper"])
    vida.branches.highRank = 4
    // Ten passes, then teacher and student of each image.
    try expect(ViDA(vida), 10 + 2 * 4, 4, "vida, paper")
    var conjugate = ConjugatePseudoLabels.Options()
    conjugate.answersAfterUpdate = true
    try expect(ConjugatePseudoLabels(conjugate), 2, 1, "conjugate, answered after the update")
    let memo = try work(MEMO(), model)
    #expect(memo.forwardImages == 4 * 33 && memo.backwardImages == 4 * 32)
    // The view of ROID is of the kept images only.
    #expect(try work(ROID(), model).forwardImages < 8)
    // A batch of which nothing is kept takes no step.
    var eta = EATA.Options()
    eta.factor = 1e-6
    #expect(try work(EATA(eta, anchor: nil), model).backwards == 0)
  }
}
