// One stream.

public import Engine

/// One stream: a value that any task may own. The executor is lent for the length of a call, so a thousand streams need few executors.
/// A copy made before the first batch is another stream that shares program, packed weights and source.
public struct AdaptationRuntime: Sendable {
  /// The stream so far; reading it is a snapshot.
  public private(set) var state: AdaptationState
  /// What happens to batches that are not finite; `throw` unless told otherwise.
  public var nonFinite = NonFinitePolicy.throw
  /// What happens to batches that are too small for the strategy's statistics; `throw` unless told otherwise.
  public var smallBatch = SmallBatchPolicy.throw
  /// When the stream goes back to its start.
  public var reset = ResetPolicy.never
  /// Receives intermediate values of the strategy.
  public var observer: Observer?
  /// What learns.
  public let adapted: ParameterSet
  /// The model's graph.
  public var graph: Graph { program.graph }
  /// Why batches were not learnt from, most recent last; at most 100.
  public private(set) var incidents: [String] = []
  /// How many incidents there were in all.
  public private(set) var incidentCount = 0

  let origin: AdaptationState
  private let program: Program, options: ForwardOptions, rates: RateScales
  private let smallestBatch: Int, smallestBatchReason: String
  private let memory: MemoryDemand, learnsInParts: Bool

  /// Configures the strategy on the model; throws what cannot work. Nothing is compiled yet: see `warmUp`.
  public init(_ model: Model, _ strategy: any AdaptationStrategy, guard watch: (any StreamGuard)? = nil, seed: UInt64 = 1) throws {
    try self.init(program: Program(model.graph), source: model.parameters, strategy, guard: watch, seed: seed)
  }
  /// The same on a program that other streams use too.
  public init(
    program: Program, source: Parameters, _ strategy: any AdaptationStrategy, guard watch: (any StreamGuard)? = nil, seed: UInt64 = 1
  ) throws {
    var strategy = strategy
    var setup = AdaptationSetup(model: try Model(graph: program.graph, parameters: source))
    try strategy.configure(&setup)
    if strategy is any GradientStrategy, setup.adapted.isEmpty {
      throw TTAError(
        .usage, "\(type(of: strategy)) learns nothing: its learner was not configured", hint: "call learner.configure(&setup) in configure")
    }
    self.program = setup.isEdited ? Program(setup.model.graph) : program
    (options, adapted, rates) = (setup.options, setup.adapted, setup.rates)
    (smallestBatch, smallestBatchReason) = (setup.smallestBatch, setup.smallestBatchReason)
    var memory = setup.memory
    if watch != nil {
      // A guard keeps a good state: all but the gradients once more.
      memory.copies = max(0, 2 * memory.copies - 1)
      memory.readsSource = true
    }
    (self.memory, learnsInParts) = (memory, setup.learnsInParts)
    var watch = watch
    try watch?.configure(&setup)
    origin = AdaptationState(
      parameters: setup.model.parameters, strategy: strategy, random: RandomSource(seed: seed), watch: watch,
      good: watch == nil ? nil : GoodState(parameters: setup.model.parameters, strategy: strategy))
    state = origin
  }

  /// Adapts to a batch and answers it. An error leaves the parameters of the last finished step; a caller who wants more keeps a snapshot.
  ///
  /// Throws for images of another shape, for a batch that is too small for the strategy's statistics, and, unless `nonFinite` says otherwise,
  /// for pixels, losses and gradients that are not finite, which are found before anything changes, and for answers that are not numbers.
  public mutating func process(_ batch: Batch, on executor: Executor) throws -> Prediction {
    guard batch.count >= smallestBatch else {
      if smallBatch == .source, batch.count > 0 { return try answerFromSource(batch, executor) }
      throw TTAError(
        .usage, "a batch of \(batch.count): expected at least \(smallestBatch) images: \(smallestBatchReason)",
        hint:
          "use larger batches, a window of recent images (--set strategy.window=64), or a strategy that answers single images, such as source"
      )
    }
    if case .eachBatch = reset { resetKeepingPosition() }
    if case .every(let period) = reset, period > 0, state.batches > 0, state.batches % period == 0 { resetKeepingPosition() }
    guard batch.images.isFinite else {
      return try recover(TTAError(.nonFinite, "batch \(state.batches): the images hold values that are not finite"), nil, executor)
    }
    do { return try learn(batch, executor) } catch let error as TTAError where error.code == .nonFinite {
      return try recover(error, batch, executor)
    }
  }

  /// Whether the strategy learns from a whole target set before it answers: `study` comes first then.
  public var isOffline: Bool { state.strategy.isOffline }
  /// Learns from a whole target set, `[n, 3, height, width]` in 0…1. An error leaves the stream as it was.
  ///
  /// Throws for a strategy that learns from batches as they come, and for images, losses and gradients that are not finite.
  public mutating func study(_ images: Tensor, on executor: Executor) throws {
    guard isOffline else { throw TTAError(.usage, "the strategy learns from batches as they come, not from a whole set") }
    guard images.isFinite else { throw TTAError(.nonFinite, "the target set: the images hold values that are not finite") }
    var context = lend(executor)
    var strategy = state.strategy
    if var composition = strategy as? Composition {
      try composition.study(images, in: &context)
      strategy = composition
    } else if var offline = strategy as? any OfflineStrategy {
      try offline.study(images, in: &context)
      strategy = offline
    }
    (state.parameters, state.strategy, state.random) = (context.parameters, strategy, context.random)
  }

  private mutating func answerFromSource(_ batch: Batch, _ executor: Executor) throws -> Prediction {
    note("batch \(state.batches): \(batch.count) of at least \(smallestBatch) images: answered by the source model")
    let prediction = Prediction(try executor.forward(batch.images, program, at: origin.parameters, options.with(.stored)))
    count(batch)
    return prediction
  }
  private mutating func count(_ batch: Batch) {
    state.batches += 1
    state.images += batch.count
    state.largestBatch = max(state.largestBatch, batch.count)
  }
  /// Counts a batch that had no readable image, so that positions in a stream stay what they are.
  public mutating func skipBatch() { state.batches += 1 }

  private mutating func learn(_ batch: Batch, _ executor: Executor) throws -> Prediction {
    var context = lend(executor)
    state.parameters = Parameters()  // moved, not shared: a second owner would make every step copy
    var prediction: Prediction
    do {
      prediction = try state.strategy.adapt(to: batch, in: &context)
      // Most strategies answer from before their step, whose loss was finite; others from after it.
      guard !prediction.scores.tensor.containsNaN else {
        throw TTAError(
          .nonFinite, "the answer to a batch is not a number",
          hint: "lower the learning rate, or let --on-non-finite skip or reset handle such batches")
      }
    } catch {
      (state.parameters, state.random) = (context.parameters, context.random)
      throw error
    }
    count(batch)
    if context.wantsReset { (context.parameters, state.strategy) = (origin.parameters, origin.strategy) }
    switch try state.watch?.judge(&prediction, for: batch, in: context) ?? .fine {
    case .fine: break
    case .hold: (context.parameters, state.strategy) = (origin.parameters, origin.strategy)
    case .note(let reason): note("batch \(state.batches - 1): \(reason)")
    case .remember: state.good = GoodState(parameters: context.parameters, strategy: state.strategy)
    case .restore(let reason):
      if let good = state.good { (context.parameters, state.strategy) = (good.parameters, good.strategy) }
      note("batch \(state.batches - 1): restored: \(reason)")
    case .reset(let reason):
      (context.parameters, state.strategy) = (origin.parameters, origin.strategy)
      note("batch \(state.batches - 1): reset: \(reason)")
    }
    (state.parameters, state.random) = (context.parameters, context.random)
    return prediction
  }

  /// Answers a batch that cannot be learnt from, as the policy says; images that are not finite have no answer.
  private mutating func recover(_ error: TTAError, _ batch: Batch?, _ executor: Executor) throws -> Prediction {
    guard nonFinite != .throw, let batch else { throw error }
    note("batch \(state.batches): \(nonFinite == .skip ? "not learnt from" : "reset"): \(error.message)")
    if nonFinite == .reset { resetKeepingPosition() }
    let prediction = try predict(batch, on: executor)
    guard prediction.scores.tensor.isFinite else { throw error }
    count(batch)
    return prediction
  }
  private mutating func note(_ incident: String) {
    incidents.append(incident)
    incidentCount += 1
    if incidents.count > 100 { incidents.removeFirst() }
  }

  /// Distance of what learns from where it began, as a share of its length there: 0 before the first step, and where nothing learns. Reads
  /// every parameter that learns once.
  public var drift: Double { state.parameters.drift(from: origin.parameters, over: adapted) }

  /// The network that answers: a teacher, or the one that learns.
  public var answering: Parameters { state.strategy.answering ?? state.parameters }

  /// Answers without learning.
  public func predict(_ batch: Batch, on executor: Executor) throws -> Prediction {
    var context = lend(executor)
    return try state.strategy.predict(batch, in: &context)
  }
  /// Compiles, allocates and packs by adapting a copy to a batch of noise: the first real batch finds a steady engine.
  public func warmUp(batchSize: Int, on executor: Executor) throws {
    var random = RandomSource(seed: 0)
    var images = Tensor(zeros: Shape([max(batchSize, smallestBatch)] + program.graph.inputShape.dimensions))
    images.update { span in for i in span.indices { span[i] = random.uniform() } }
    var copy = self
    _ = try copy.process(Batch(images), on: executor)
  }
  /// Continues from a snapshot of this stream or of a copy.
  public mutating func restore(_ snapshot: AdaptationState) { state = snapshot }
  /// Goes back to before the first batch.
  public mutating func resetToSource() { state = origin }
  /// Parameters and strategy go back to their start; the position in the stream and in the random numbers stays.
  public mutating func resetKeepingPosition() { (state.parameters, state.strategy) = (origin.parameters, origin.strategy) }

  /// What one step of this stream will take for batches of the given size: arena, buffers, steps. Compiles the plan.
  public func planSummary(batchSize: Int, on executor: Executor) throws -> PlanSummary {
    let parts = learnsInParts ? try executor.parts(of: batchSize, program, differentiating: adapted, options) : nil
    return try program.summary(
      options, at: origin.parameters, differentiating: adapted, images: batchSize, together: parts?.first?.count,
      lowering: executor.lowering,
      recomputation: parts == nil ? executor.recomputation : executor.recomputationInParts, precision: executor.precision,
      threads: executor.threads, demand: memory)
  }
  private func lend(_ executor: Executor) -> AdaptationContext {
    AdaptationContext(
      parameters: state.parameters, source: origin.parameters, adapted: adapted, options: options, random: state.random, program: program,
      executor: executor, rates: rates, observer: observer)
  }
  mutating func adopt(_ state: AdaptationState) { self.state = state }
}
