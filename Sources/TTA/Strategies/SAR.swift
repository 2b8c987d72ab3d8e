// Entropy minimisation towards flat regions, on reliable images.

import Engine

/// Minimises the entropy of reliable images at the neighbour where it is sharpest, over norm scale and shift but for the last stage; answers from before the
/// update; goes back to the source when the moving average of the loss falls below a level.
///
/// Niu et al., "Towards Stable Test-Time Adaptation in Dynamic Wild World", ICLR 2023. As in the released code a batch of which nothing is kept still takes
/// a step (momentum moves on), and the moving average keeps its low value after a reset, so that several batches may be reset in a row;
/// `keeps_average: false` starts it afresh. Deviation: dropout stays inactive.
public struct SAR: BatchLearner {
  /// Learning rate, radius, thresholds.
  public struct Options: ComponentOptions {
    /// SGD without look-ahead over the norm layers but for the last stage.
    public var update = UpdateOptions(.sgd, learningRate: 2.5e-4, parameters: "norm-but-last")
    /// Distance of the neighbour.
    public var rho: Float = 0.05
    /// Threshold of the entropy as a share of ln K.
    public var factor: Float = 0.4
    /// Moving average of the loss below which the stream is reset.
    public var level: Float = 0.2
    /// Whether the average stays what it is when the stream is reset.
    public var keepsAverage = true
    /// ImageNet ResNet, batches of 64.
    public init() {}
    private init(_ update: UpdateOptions) { self.update = update }
    /// The rates of the released code for batches of 64; on CIFAR TTAB's grid has 1e-2.
    public static let presets = [
      "imagenet": Options(), "vit": Options(UpdateOptions(.sgd, learningRate: 1e-3, parameters: "norm-but-last")),
      "cifar": Options(UpdateOptions(.sgd, learningRate: 1e-2, parameters: "norm-but-last")),
    ]
    /// For `tta list`.
    public static let meanings = [
      "rho": "distance of the neighbour whose gradient is taken", "factor": "threshold of the entropy as a share of ln K",
      "level": "moving average of the loss below which the stream is reset",
      "keeps_average": "the average stays low after a reset, as in the released code",
    ]
    /// Bounds of the parts.
    public func validate() throws {
      try update.validate()
      guard rho.isFinite, rho >= 0 else { throw TTAError(.usage, "rho: expected a number of at least 0, got \(rho)") }
      try EntropyThreshold.Options(factor: factor, weighing: false).validate()
    }
  }
  static let summary = Summary(
    "sharpness-aware entropy of reliable images, with recovery", paper: "Niu et al., ICLR 2023",
    updates: "norm scale and shift but for the last stage", forwards: "2", backwards: "2", needs: ["norm layers"])

  /// Entropy of reliable images.
  public var learner: Learner
  let rho: Float, level: Float, keepsAverage: Bool
  @Slot private var freshOptimizer: any Optimizer
  /// The moving average of the second loss.
  public private(set) var average: Float?

  /// SAR with the given options.
  public init(_ options: Options = Options()) {
    learner = Learner(
      minimizing: Entropy(), over: options.update.selection,
      filters: [EntropyThreshold(.init(factor: options.factor, weighing: false))], optimizer: options.update.optimizer)
    freshOptimizer = learner.optimizer
    (rho, level, keepsAverage) = (options.rho, options.level, options.keepsAverage)
  }
  /// Statistics of the batch, and a neighbour beside what is learnt.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    setup.useBatchStatistics()
    try learner.configure(&setup)
    setup.memory.copies += 1
  }
  /// Gradient here, gradient at the neighbour, a step with the second one.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    try learner.objective.prepare(for: batch, in: &context)
    let here = try learner.differentiate(batch, in: &context)
    let neighbour = context.parameters.displaced(along: here.gradients, by: rho)
    var (loss, gradients) = try learner.differentiate(batch, at: neighbour, keptBy: here.loss, in: &context)
    try learner.step(loss.isEmpty ? context.zeroGradients : consume gradients, for: &loss, in: &context)

    var prediction = learner.objective.answer(for: here.output)
    prediction.weights = loss.weights
    if !loss.isEmpty {
      prediction.loss = loss.value
      average = average.map { 0.9 * $0 + 0.1 * loss.value } ?? loss.value
    }
    if let average, average < level { recover(in: &context) }
    return prediction
  }
  /// The model and the optimiser start again.
  private mutating func recover(in context: inout AdaptationContext) {
    context.parameters.copy(from: context.source, over: context.adapted)
    learner.optimizer = freshOptimizer
    if !keepsAverage { average = nil }
  }
}
