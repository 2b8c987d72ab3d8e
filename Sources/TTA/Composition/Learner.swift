// What every gradient method shares.

public import Engine

/// What every gradient method shares: an objective, filters that weigh it, an optimiser and rules around its step.
public struct Learner: Component {
  /// What to minimise.
  @Slot public var objective: any Objective
  /// Which images to learn from.
  @Slots public var filters: [any SampleFilter]
  /// How to move.
  @Slot public var optimizer: any Optimizer
  /// What happens around a move.
  @Slots public var rules: [any UpdateRule]
  /// Which parameters move.
  public var selection: ParameterSelection
  /// What the sum of losses is divided by.
  public var reduction = Reduction.kept

  /// A learner of the given parts.
  public init(
    minimizing objective: any Objective, over selection: ParameterSelection = .normAffine, filters: [any SampleFilter] = [],
    optimizer: any Optimizer, rules: [any UpdateRule] = []
  ) {
    (self.objective, self.selection, self.filters, self.optimizer, self.rules) = (objective, selection, filters, optimizer, rules)
  }
  /// Its parts, and the parameters to learn.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    try setup.adapt(selection)
    if sumsOverImages { setup.learnInParts() }
    // What moved, beside the source; gradients; moments.
    setup.memory.copies += 2 + optimizer.keptPerValue
    try objective.configure(&setup)
    for i in filters.indices { try filters[i].configure(&setup) }
    for i in rules.indices { try rules[i].configure(&setup) }
  }

  /// What the filters leave of a pass; `earlier` are weights to start from.
  public mutating func weights(
    of output: Output, for batch: Batch, from earlier: [Float]? = nil, in context: inout AdaptationContext
  ) throws -> [Float] {
    defer { for i in filters.indices { filters[i].didWeigh(in: context) } }
    return try weightsOfPart(output, for: batch, from: earlier, in: &context)
  }
  /// The same for some images of a batch.
  mutating func weightsOfPart(
    _ output: Output, for batch: Batch, from earlier: [Float]?, in context: inout AdaptationContext
  ) throws -> [Float] {
    var weights = earlier ?? [Float](repeating: 1, count: batch.count)
    for i in filters.indices { try filters[i].weigh(&weights, of: output, for: batch, in: &context) }
    return weights
  }
  /// Losses of the objective weighed and reduced, plus batch terms. Throws when not finite, before anything has changed.
  public func loss(of output: Output, weights: [Float]) throws -> Loss {
    let terms = filters.compactMap { $0.batchTerm(of: output) }
    return try Self.loss(objective.losses(of: output), weights: weights, divisor: reduction.divisor(for: weights), terms)
  }
  static func loss(_ losses: Losses, weights: [Float], divisor: Float, _ filterTerms: [BatchTerm]) throws -> Loss {
    let kept = weights.reduce(0) { $0 + ($1 != 0 ? 1 : 0) }
    let terms = [losses.batchTerm].compactMap { $0 } + filterTerms
    var value = 0.0
    var gradient = losses.logitGradients
    let width = gradient.rowElementCount
    gradient.update { span in
      for image in weights.indices {
        let factor = weights[image] / divisor
        if factor != 0 { value += Double(weights[image]) * Double(losses.values[image]) }
        for k in image * width..<(image + 1) * width { span[k] = factor == 0 ? 0 : span[k] * factor }
      }
    }
    value /= Double(divisor)
    for term in terms {
      value += Double(term.value)
      term.logitGradients.withSpan { added in gradient.update { span in for i in span.indices { span[i] += added[i] } } }
    }
    let empty = kept == 0 && terms.isEmpty
    guard value.isFinite, gradient.isFinite else {
      throw TTAError(
        .nonFinite, "the loss of a batch is not finite (\(value))",
        hint: "check the images; --on-non-finite skip|reset keeps such a stream running")
    }
    return Loss(value: Float(value), weights: weights, gradient: OutputGradient([.logits: gradient]), isEmpty: empty)
  }
  /// Rules, optimiser, objective, rules. The loss is left with what the rules added to it.
  public mutating func step(_ gradients: consuming Gradients, for loss: inout Loss, in context: inout AdaptationContext) throws {
    var gradients = gradients
    for i in rules.indices { try rules[i].willStep(&gradients, for: &loss, in: &context) }
    try context.update(with: &optimizer, gradients)
    try objective.didStep(in: &context)
    for i in rules.indices { try rules[i].didStep(for: loss, in: &context) }
  }
  /// The usual way: one pass, one loss, one step, as many times as asked; answered from before the last step.
  public mutating func learn(from batch: Batch, steps: Int = 1, in context: inout AdaptationContext) throws -> Prediction {
    for _ in 1..<max(1, steps) { _ = try learn(from: batch, in: &context) }
    try objective.prepare(for: batch, in: &context)
    var (output, loss, gradients) = try differentiate(batch, in: &context)
    var prediction = objective.answer(for: output)
    prediction.weights = loss.weights
    guard !loss.isEmpty else { return prediction }
    try step(consume gradients, for: &loss, in: &context)
    prediction.loss = loss.value
    return prediction
  }
}

/// A strategy that any filter, objective or rule can join.
public protocol GradientStrategy: AdaptationStrategy {
  /// Used by `adapt`, configured by `configure`.
  var learner: Learner { get set }
  /// Whether the objective may be exchanged; false where the method is its objective.
  static var exchangesObjective: Bool { get }
  /// Whether filters have images to judge.
  static var acceptsFilters: Bool { get }
}
extension GradientStrategy {
  /// It may.
  public static var exchangesObjective: Bool { true }
  /// They have.
  public static var acceptsFilters: Bool { true }
  /// The network that the objective names.
  public var answering: Parameters? { learner.objective.answering }
  /// The network that the objective names answers.
  public func predict(_ batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    Prediction(try context.forward(batch.images, with: answering))
  }
  /// Learns only from what the filter lets through.
  public func filtered(by filter: some SampleFilter) -> Self {
    var strategy = self
    strategy.learner.filters.append(filter)
    return strategy
  }
  /// Minimises something else.
  public func minimizing(_ objective: some Objective) -> Self {
    var strategy = self
    strategy.learner.objective = objective
    return strategy
  }
  /// Applies the rule around every step.
  public func obeying(_ rule: some UpdateRule) -> Self {
    var strategy = self
    strategy.learner.rules.append(rule)
    return strategy
  }
}
