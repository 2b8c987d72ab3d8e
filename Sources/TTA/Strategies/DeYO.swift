// Entropy minimisation on images that are recognised by their shape.

import Engine

/// Weighed entropy over norm scale and shift but for the last stage, of images that are certain and whose predicted class loses probability when their
/// patches are shuffled; answers from before the update; a batch of which nothing is kept takes no step.
///
/// Lee et al., "Entropy is not Enough for Test-Time Adaptation: From the Perspective of Disentangled Factors", ICLR 2024. The shuffled forward
/// sees only the certain images. Deviation: dropout stays inactive.
public struct DeYO: BatchLearner {
  /// Learning rate and thresholds.
  public struct Options: ComponentOptions {
    /// SGD without look-ahead over the norm layers but for the last stage.
    public var update = UpdateOptions(.sgd, learningRate: 2.5e-4, parameters: "norm-but-last")
    /// Threshold of the entropy as a share of ln K.
    public var entropyFactor: Float = 0.5
    /// Patches, loss of probability, weights.
    public var patches = PatchShuffle.Options()
    /// ImageNet, wild streams.
    public init() {}
    private init(learningRate: Float, threshold: Float = 0.2) {
      update.learningRate = learningRate
      patches.threshold = threshold
    }
    /// Rates as SAR's; `mild` is the released code's threshold for batch norm networks on i.i.d. streams.
    public static let presets = [
      "imagenet": Options(), "mild": Options(learningRate: 2.5e-4, threshold: 0.3), "vit": Options(learningRate: 1e-3),
      "cifar": Options(learningRate: 1e-2),
    ]
    /// For `tta list`.
    public static let meanings = PatchShuffle.Options.meanings.merging(
      ["entropy_factor": "threshold of the entropy as a share of ln K"]) { first, _ in first }
    /// Bounds of the parts.
    public func validate() throws {
      try update.validate()
      try patches.validate()
      try EntropyThreshold.Options(factor: entropyFactor, weighing: false).validate()
    }
  }
  static let summary = Summary(
    "entropy of images that are recognised by their shape", paper: "Lee et al., ICLR 2024",
    updates: "norm scale and shift but for the last stage", forwards: "2", backwards: "1 at most", needs: ["norm layers"])
  /// Entropy with both filters.
  public var learner: Learner
  /// DeYO with the given options.
  public init(_ options: Options = Options()) {
    learner = Learner(
      minimizing: Entropy(), over: options.update.selection,
      filters: [EntropyThreshold(.init(factor: options.entropyFactor, weighing: false)), PatchShuffle(options.patches)],
      optimizer: options.update.optimizer)
  }
}
