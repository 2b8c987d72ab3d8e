// Entropy minimisation on normalisation scale and shift.

import Engine

/// Minimises the mean entropy of the predictions over scale and shift of every norm layer; normalises with the batch's own statistics; answers from
/// before the update.
///
/// Wang et al., "Tent: Fully Test-Time Adaptation by Entropy Minimization", ICLR 2021.
/// Deviations from the released code: dropout stays inactive (it puts the whole model into training mode); layer and group norms are learnt
/// too where a model has them (the code collects two-dimensional batch norms only).
public struct Tent: GradientStrategy {
  /// Learning rate and steps.
  public struct Options: ComponentOptions {
    /// As every gradient method has them.
    public var update = UpdateOptions()
    /// Updates per batch.
    public var steps = 1
    /// Adam 1e-3, one step.
    public init() {}
    /// From the authors' code and from the paper.
    public static let presets = ["cifar": Options(), "imagenet": Options(UpdateOptions(.sgd, learningRate: 2.5e-4, momentum: 0.9))]
    /// For `tta list`.
    public static let meanings = ["steps": "updates per batch; the answer is from before the last one"]
    private init(_ update: UpdateOptions) { self.update = update }
    /// At least one step.
    public func validate() throws {
      try update.validate()
      try requireCount(steps, "steps")
    }
  }
  static let summary = Summary(
    "entropy minimisation over scale and shift of norm layers", paper: "Wang et al., ICLR 2021", updates: "norm scale and shift",
    forwards: "1", backwards: "1", needs: ["norm layers"])

  /// Entropy, over norm scale and shift.
  public var learner: Learner
  let steps: Int

  /// TENT with the given options.
  public init(_ options: Options = Options()) {
    learner = Learner(minimizing: Entropy(), over: options.update.selection, optimizer: options.update.optimizer)
    steps = options.steps
  }
  /// Every forward normalises with its own batch.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    setup.useBatchStatistics()
    try learner.configure(&setup)
  }
  /// Forward, entropy, backward, step, answer.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    try learner.learn(from: batch, steps: steps, in: &context)
  }
}
