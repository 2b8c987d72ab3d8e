// The run of one cell.

import CEvaluation
public import Engine
import Foundation
import ModelIO
public import Streams
import TTA

/// The run of one cell: pictures, answers, scores, checkpoints. It may be ended at any moment and goes on from its last checkpoint.
public struct CellRunner {
  /// Where a cell is.
  public struct Progress: Sendable {
    /// The domain of the last batch.
    public let domain: Domain
    /// Batches done, and all of them.
    public let batch: Int, batches: Int
    /// Whether the batch was the last one of its domain.
    public let endsDomain: Bool
    /// Pictures of the batch that could not be read.
    public let failures: [ImageFailure]
    /// The scores so far.
    public let score: OnlineScore
    /// Share of the time of the last finished domain that went by waiting for pictures, in per cent.
    public let waitingPercent: Double?
  }
  /// What a run needs beside its cell.
  public struct Setup: Sendable {
    /// What is replayed.
    public var configuration: ReplayConfiguration
    /// The pictures.
    public var source: ReplaySource
    /// The network, and its weights.
    public var program: Program, parameters: Parameters
    /// Where results go.
    public var folder: ReplayFolder
    /// Batches between two checkpoints within a domain.
    public var saveEvery: Int
    /// Threads that make pictures.
    public var pictureThreads: Int
    /// Everything.
    public init(
      configuration: ReplayConfiguration, source: ReplaySource, program: Program, parameters: Parameters, folder: ReplayFolder,
      saveEvery: Int = 50, pictureThreads: Int = 1
    ) {
      (self.configuration, self.source, self.program, self.parameters) = (configuration, source, program, parameters)
      (self.folder, self.saveEvery, self.pictureThreads) = (folder, saveEvery, pictureThreads)
    }
  }

  /// The cell.
  public let cell: ReplayCell
  /// Its stream.
  public let stream: DomainStream
  private let setup: Setup, plan: StreamPlan
  private var answerer: CellAnswerer
  private var checkpoint: CellCheckpoint
  private let run: String

  /// Composes strategy and stream; throws what cannot work. Nothing is read or written yet.
  public init(_ cell: ReplayCell, _ setup: Setup) throws {
    (self.cell, self.setup) = (cell, setup)
    (stream, plan) = try setup.source.stream(cell, setup.configuration)
    answerer = try Self.answerer(cell, setup, plan)
    checkpoint = CellCheckpoint(
      nextBatch: 0, score: CellScore(classes: setup.program.graph.classCount), timing: .init(), constraint: nil)
    run = try ReplayManifest.runName(setup.configuration)
  }

  private static func answerer(_ cell: ReplayCell, _ setup: Setup, _ plan: StreamPlan) throws -> CellAnswerer {
    let isOracle = plan.setting == "episodic-oracle"
    let keys = ReplayConfiguration.optionKeys(of: cell.strategy)
    let rates: [Double?] = isOracle && keys.contains("learning_rate") ? setup.configuration.oracleRates.map { $0 } : [nil]
    let runtimes = try rates.map { rate in
      var section = cell.strategy.section
      if let rate { section["learning_rate"] = .number(rate) }
      var runtime = try AdaptationRuntime(
        program: setup.program, source: setup.parameters, Registry.current.compose(section),
        guard: Registry.current.watch(section), seed: cell.seed)
      (runtime.smallBatch, runtime.nonFinite) = (.source, .skip)
      return runtime
    }
    if runtimes[0].isOffline, isOracle || plan.arrival != nil {
      throw TTAError(
        .usage, "\(cell.strategy.label) learns from a whole domain before it answers, which \(plan.setting) has no time for",
        hint: "use another setting, such as continual or reset-each-shift")
    }
    let reset = try ResetRule(cell.strategy.section["reset"], setting: plan.resets)
    if runtimes[0].isOffline, reset != .never, reset != .eachDomain {
      throw TTAError(
        .usage,
        "\(cell.strategy.label): reset: expected never or each-domain, got \(reset.text): it would forget what it learnt from a domain",
        hint: "leave reset out")
    }
    return CellAnswerer(
      mode: isOracle ? .oracle(steps: setup.configuration.oracleSteps) : .online(nil), reset: reset, runtimes: runtimes)
  }

  /// Runs until the stream ends, giving the result, or until `report`, called after each batch, answers false, giving nil. Either way nothing
  /// that was done is lost. Rows of a domain are in `results.csv` before the next domain begins.
  public mutating func run(on executor: Executor, report: (Progress) throws -> Bool) throws -> CellResult? {
    let folder = setup.folder.progress(cell)
    try ReplayFolder.makeFolder(folder)
    let lock = try setup.folder.lock("\(cell.key)/cell")
    defer { withExtendedLifetime(lock) {} }
    if let kept = try CellCheckpoint.load(from: folder, into: &answerer.runtimes) { checkpoint = kept }
    let predictions =
      setup.configuration.keepsPredictions
      ? try PredictionFile(
        folder: folder, classes: setup.program.graph.classCount, rows: checkpoint.score.online.overall.answered) : nil
    ce_reset_peak_memory()
    try constrain(on: executor)
    // The first pictures are made while the engine compiles and warms up.
    let batches = stream.prefetched(from: checkpoint.nextBatch, threads: setup.pictureThreads, depth: 2)
    for runtime in answerer.runtimes { try runtime.warmUp(batchSize: stream.batchSize, on: executor) }
    let clock = ContinuousClock()
    var mark = clock.now
    while let batch = try batches.next() {
      checkpoint.timing.waitingSeconds += (clock.now - mark).secondCount
      let isLast = endsDomain(batch)
      try answer(batch, predictions, on: executor)
      if isLast {
        checkpoint.score.endDomain(peakMemoryBytes: ce_peak_memory())
        checkpoint.timing.endDomain(lastBatch: (clock.now - mark).secondCount)
        try setup.folder.append(ResultTable.rows(result, domains: checkpoint.score.peakMemoryBytes.count - 1, run, setup.configuration))
        ce_reset_peak_memory()
      }
      checkpoint.nextBatch = batch.index + 1
      let progress = Progress(
        domain: batch.domain, batch: checkpoint.nextBatch, batches: stream.count, endsDomain: isLast, failures: batch.failures,
        score: checkpoint.score.online, waitingPercent: checkpoint.timing.waitingPercents.last)
      let goesOn = try report(progress)
      checkpoint.timing.seconds += (clock.now - mark).secondCount
      if checkpoint.nextBatch < stream.count, isLast || !goesOn || checkpoint.nextBatch % max(1, setup.saveEvery) == 0 {
        try predictions?.synchronize()
        try checkpoint.save(answerer.runtimes, in: folder)
      }
      guard goesOn || checkpoint.nextBatch >= stream.count else { return nil }
      mark = clock.now
    }
    if let predictions {
      try ReplayFolder.makeFolder(setup.folder.file("predictions"))
      try predictions.finish(to: setup.folder.file("predictions/\(cell.key).npy"))
    }
    try setup.folder.keep(result)
    return result
  }

  private mutating func answer(_ batch: LabeledBatch, _ predictions: PredictionFile?, on executor: Executor) throws {
    answerer.prepare(for: batch)
    checkpoint.score.add(failures: batch.failures.count)
    guard batch.count > 0 else { return answerer.skip() }
    let before = answerer.runtimes.map(\.incidentCount)
    var seconds = batch.startsDomain && answerer.runtimes[0].isOffline ? try study(from: batch.index, on: executor) : 0
    let start = ContinuousClock.now
    let (prediction, adapted) = try answerer.answer(batch, on: executor)
    seconds += (ContinuousClock.now - start).secondCount
    checkpoint.score.add(prediction, to: batch, seconds: seconds, adapted: adapted, drift: answerer.runtimes[0].drift)
    for (runtime, count) in zip(answerer.runtimes, before) {
      checkpoint.score.add(incidents: runtime.incidents.suffix(runtime.incidentCount - count))
    }
    try predictions?.append(prediction.scores.tensor)
  }
  /// Shows the whole domain that begins with a batch to a strategy that learns before it answers; the seconds that it took.
  private mutating func study(from first: Int, on executor: Executor) throws -> Double {
    let batches = stream.prefetched(from: first, threads: setup.pictureThreads, depth: 2)
    var images: [Tensor] = []
    while let batch = try batches.next() {
      if batch.count > 0 { images.append(batch.images) }
      if endsDomain(batch) { break }
    }
    let start = ContinuousClock.now
    try answerer.study(images, on: executor)
    return (ContinuousClock.now - start).secondCount
  }
  private func endsDomain(_ batch: LabeledBatch) -> Bool {
    let before = stream.segments[...batch.domainIndex].reduce(0) { $0 + ($1.places.count + stream.batchSize - 1) / stream.batchSize }
    return batch.index + 1 == before
  }

  /// Finds out how often the method may learn, once per cell.
  private mutating func constrain(on executor: Executor) throws {
    guard let arrival = plan.arrival, case .online = answerer.mode else { return }
    if checkpoint.constraint == nil {
      let declared = TimeConstraint.declaredCost(of: cell.strategy)
      let (step, forward) = try measure(on: executor)
      let basis = setup.configuration.timeCost
      let period: Int
      if arrival.unit == .seconds {
        period = TimeConstraint.period(cost: step, interval: arrival.interval * Double(stream.batchSize))
      } else {
        period = TimeConstraint.period(cost: basis == .declared ? declared : step / forward, interval: arrival.interval)
      }
      checkpoint.constraint = TimeConstraint(
        declaredCost: declared, measuredCost: step / forward, period: period, basis: arrival.unit == .seconds ? .measured : basis)
    }
    answerer = CellAnswerer(mode: .online(checkpoint.constraint), reset: answerer.reset, runtimes: answerer.runtimes)
  }
  /// Seconds of a step and of a forward of the source model: the medians of three.
  private func measure(on executor: Executor) throws -> (step: Double, forward: Double) {
    let batch = try stream.batch(at: 0)
    let source = try AdaptationRuntime(
      program: setup.program, source: setup.parameters, Registry.current.compose(.keys(["name": .text("source")])))
    func median(_ body: () throws -> Void) throws -> Double {
      try body()
      let clock = ContinuousClock()
      return try (0..<3).map { _ in try clock.measure { try body() }.secondCount }.sorted()[1]
    }
    var copy = answerer.runtimes[0]
    let input = Batch(batch.images)
    let step = try median { _ = try copy.process(input, on: executor) }
    return (step, try median { _ = try source.predict(input, on: executor) })
  }

  private var result: CellResult {
    let answers: String
    switch answerer.mode {
    case .oracle(let steps):
      answers = "best of up to \(steps) steps by the labels of the batch: an upper bound"
    case .online(let constraint?) where constraint.period > 1:
      answers = "the strategy's own on every batch \(constraint.period), the last model's on the others"
    case .online where answerer.runtimes[0].isOffline: answers = "the strategy's own, after it has learnt from the whole domain"
    case .online: answers = "the strategy's own, emitted as each batch arrives"
    }
    var usesLabels = false
    if case .oracle = answerer.mode { usesLabels = true }
    return CellResult(
      cell: cell, score: checkpoint.score, resets: answerer.reset.text, answers: answers, usesLabels: usesLabels,
      constraint: checkpoint.constraint, timing: checkpoint.timing)
  }
}

extension Duration {
  /// In seconds.
  var secondCount: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
