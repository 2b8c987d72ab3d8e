// The parts that adaptation is composed of.

public import Engine

/// Anything that takes part in adaptation: a Codable struct. A checkpoint keeps all of it, a reset is an assignment, no field can be forgotten.
public protocol Component: Codable, Sendable {
  /// Says what it needs and resolves names, once. A component made of others configures them.
  mutating func configure(_ setup: inout AdaptationSetup) throws
}
extension Component {
  /// Needs nothing.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {}
}

/// Answers batches, and may learn from them first.
public protocol AdaptationStrategy: Component {
  /// Learns from a batch and answers it.
  mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction
  /// Answers without learning: time-constrained streams, frozen serving.
  func predict(_ batch: Batch, in context: inout AdaptationContext) throws -> Prediction
  /// The network that answers, such as a teacher; nil is the learning one.
  var answering: Parameters? { get }
}
extension AdaptationStrategy {
  /// The learning network.
  public var answering: Parameters? { nil }
  /// The learning network answers.
  public func predict(_ batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    Prediction(try context.forward(batch.images))
  }
}

/// What to minimise: closed-form mathematics on the logits of one pass.
public protocol Objective: Component {
  /// Other forwards (a teacher's target) happen here, before the pass takes its memory.
  mutating func prepare(for batch: Batch, in context: inout AdaptationContext) throws
  /// Pure: the test kit differentiates it numerically.
  func losses(of output: Output) throws -> Losses
  /// The same for some of the batch's images, where the loss of each depends on its own outputs alone and there is no batch term; nil, unless implemented,
  /// where it does not. With it, batches of a network whose layers do not mix images are learnt from in parts: less memory, nothing computed again.
  func part(_ images: Range<Int>) -> Self?
  /// After the step: a teacher's moving average.
  mutating func didStep(in context: inout AdaptationContext) throws
  /// What to say: CoTTA answers with its target.
  func answer(for output: Output) -> Prediction
  /// The network that answers when nothing is learnt; nil is the learning one.
  var answering: Parameters? { get }
}
extension Objective {
  /// Nothing.
  public mutating func prepare(for batch: Batch, in context: inout AdaptationContext) throws {}
  /// The whole batch is needed.
  public func part(_ images: Range<Int>) -> Self? { nil }
  /// Nothing.
  public mutating func didStep(in context: inout AdaptationContext) throws {}
  /// The pass itself.
  public func answer(for output: Output) -> Prediction { Prediction(output) }
  /// The learning network.
  public var answering: Parameters? { nil }
}

/// Which images to learn from, and how much. Filters run in order; each sees what the earlier ones left.
public protocol SampleFilter: Component {
  /// Scales weights, or sets them to 0.
  mutating func weigh(_ weights: inout [Float], of output: Output, for batch: Batch, in context: inout AdaptationContext) throws
  /// True where an image's weight depends on that image and on earlier batches alone, so that a batch may come in parts, one call of `weigh` for each; false
  /// unless implemented.
  var judgesImagesAlone: Bool { get }
  /// After the last image of a batch: what is counted per batch.
  mutating func didWeigh(in context: borrowing AdaptationContext)
  /// A term that goes with the selection: wisdom of crowds keeps the whole batch diverse.
  func batchTerm(of output: Output) -> BatchTerm?
}
extension SampleFilter {
  /// False.
  public var judgesImagesAlone: Bool { false }
  /// Nothing.
  public mutating func didWeigh(in context: borrowing AdaptationContext) {}
  /// None.
  public func batchTerm(of output: Output) -> BatchTerm? { nil }
}

/// What happens around a step: regularisers before; restores, ensembles and reset decisions after.
public protocol UpdateRule: Component {
  /// May change the gradients, and the loss's value with them.
  mutating func willStep(_ gradients: inout Gradients, for loss: inout Loss, in context: inout AdaptationContext) throws
  /// May change the parameters.
  mutating func didStep(for loss: Loss, in context: inout AdaptationContext) throws
}
extension UpdateRule {
  /// Nothing.
  public mutating func willStep(_ gradients: inout Gradients, for loss: inout Loss, in context: inout AdaptationContext) throws {}
  /// Nothing.
  public mutating func didStep(for loss: Loss, in context: inout AdaptationContext) throws {}
}

/// What to say in the end.
public protocol OutputAdjuster: Component {
  /// Corrects the scores of a batch together. The context is there for its threads.
  mutating func adjust(_ prediction: inout Prediction, in context: borrowing AdaptationContext) throws
}

/// Which extra weights exist (edits of `setup.model` in `configure`), and what the inputs beside the images are for each batch
/// (`context.options.inputs`).
public protocol ModelAdapter: Component {
  /// Sets inputs, for every network alike.
  func willAnswer(_ batch: Batch, in context: inout AdaptationContext) throws
  /// Learns from the strategy's answer, before adjusters correct it.
  mutating func didAnswer(_ prediction: Prediction, in context: inout AdaptationContext) throws
}
extension ModelAdapter {
  /// Sets none.
  public func willAnswer(_ batch: Batch, in context: inout AdaptationContext) throws {}
  /// Learns nothing.
  public mutating func didAnswer(_ prediction: Prediction, in context: inout AdaptationContext) throws {}
}

/// Watches any strategy from outside; its own memory survives the resets it orders.
public protocol StreamGuard: Component {
  /// Looks at an answer and at the parameters behind it; may put another answer in its place.
  mutating func judge(_ prediction: inout Prediction, for batch: Batch, in context: borrowing AdaptationContext) throws -> Verdict
}

/// What a guard decides after a batch, with its evidence.
public enum Verdict: Sendable, Equatable {
  /// Nothing to do.
  case fine
  /// Nothing to do, but worth a line in the log.
  case note(reason: String)
  /// The state is good: keep it to come back to.
  case remember
  /// Back to the source without a line in the log: learning waits.
  case hold
  /// Back to the state last remembered.
  case restore(reason: String)
  /// Back to the source.
  case reset(reason: String)
}
