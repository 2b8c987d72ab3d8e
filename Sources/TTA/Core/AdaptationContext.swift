// What a strategy may touch while one batch is handled.

public import Engine

/// Receives intermediate values for traces and logs.
public typealias Observer = @Sendable (_ name: String, _ value: Tensor) -> Void

/// While one batch is handled. Made anew for each batch from the stream's state: what must last lives in the strategy's own fields.
/// Not copyable, so that nobody keeps it and no parameter has a hidden second owner.
public struct AdaptationContext: ~Copyable {
  /// The network that learns.
  public var parameters: Parameters
  /// The network it started from.
  public let source: Parameters
  /// What is learnt.
  public let adapted: ParameterSet
  /// Defaults of every forward of every network.
  public var options: ForwardOptions
  /// The only source of randomness.
  public var random: RandomSource
  let program: Program
  /// The threads that forwards run on, for work on rows and images beside them.
  public let executor: Executor
  /// A factor on all learning rates of the steps to come while this batch is handled: schedules.
  public var rateFactor: Float {
    get { rates.common }
    set { rates.common = newValue }
  }
  private var rates: RateScales
  let observer: Observer?
  private(set) var wantsReset = false

  init(
    parameters: Parameters, source: Parameters, adapted: ParameterSet, options: ForwardOptions, random: RandomSource, program: Program,
    executor: Executor, rates: RateScales, observer: Observer?
  ) {
    (self.parameters, self.source, self.adapted, self.options, self.random) = (parameters, source, adapted, options, random)
    (self.program, self.executor, self.rates, self.observer) = (program, executor, rates, observer)
  }

  /// The network's graph.
  public var graph: Graph { program.graph }
  /// A forward that keeps nothing: teacher, anchor, views. Reports what it saw and changes nothing.
  public func forward(_ images: Tensor, with network: Parameters? = nil, _ options: ForwardOptions? = nil) throws -> Output {
    try executor.forward(images, program, at: network ?? parameters, options ?? self.options)
  }
  /// A forward to learn from. Several passes may be alive and share one loss.
  public func record(_ images: Tensor, with network: Parameters? = nil, _ options: ForwardOptions? = nil) throws -> Pass {
    try executor.record(images, program, at: network ?? parameters, differentiating: adapted, options ?? self.options)
  }
  /// Images in parts that can be learnt from one after the other where the loss is a sum over images: few at a time keep less memory, and nothing has to be
  /// computed again. Nil where all images of a batch have to stay together, since layers take statistics over them.
  public func parts(of images: Tensor) throws -> [Range<Int>]? {
    try executor.parts(of: images.count, program, differentiating: adapted, options)
  }
  /// A forward to learn from, of one of these parts.
  public func record(part: Tensor, with network: Parameters? = nil) throws -> Pass {
    try executor.record(
      part, program, at: network ?? parameters, differentiating: adapted, options, recomputation: executor.recomputationInParts)
  }
  /// The gradients of one pass.
  public func gradients(of pass: consuming Pass, from gradient: OutputGradient) throws -> Gradients {
    var gradients = Gradients()
    try accumulate(&gradients, of: pass, from: gradient)
    return gradients
  }
  /// The same, added to others: two views of a batch, many images, one step.
  public func accumulate(_ gradients: inout Gradients, of pass: consuming Pass, from gradient: OutputGradient) throws {
    try executor.backpropagate(pass, from: gradient, into: &gradients)
  }
  /// A gradient of zeros for everything that learns: a step with it moves momentum on.
  var zeroGradients: Gradients {
    Gradients(Dictionary(uniqueKeysWithValues: adapted.ids.map { ($0, Tensor(zeros: parameters[$0].shape)) }))
  }
  /// One optimiser step of the learning network. `Learner.step` adds the rules around it. Throws before anything changes
  /// where a gradient is not finite.
  public mutating func update(with optimizer: inout any Optimizer, _ gradients: Gradients) throws {
    guard gradients.isFinite else {
      throw TTAError(
        .nonFinite, "a gradient is not finite", hint: "lower the learning rate, or let --on-non-finite skip or reset handle such batches")
    }
    optimizer.step(&parameters, gradients, rates: rates)
    executor.recycle(gradients)
  }
  /// Parameters and strategy go back to their start once this batch is answered.
  public mutating func requestReset() { wantsReset = true }
  /// Shows an intermediate value (mask, prior, loss) to traces and logs; costs nothing when nobody listens.
  public func observe(_ name: String, _ value: @autoclosure () -> Tensor) {
    if let observer { observer(name, value()) }
  }
}
