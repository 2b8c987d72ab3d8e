// Entropy minimisation on certain and diverse images, with important weights held.

import Engine

/// TENT on images that are certain and differ from what was learnt before, weighed by certainty; with a file of importances the weights that matter for the
/// source's task are held near it (EATA), without one it is ETA. Answers from before the update; a batch of which nothing is kept takes no step.
///
/// Niu et al., "Efficient Test-Time Model Adaptation without Forgetting", ICML 2022. Deviations from the released code: a reset also clears the moving
/// mean prediction; dropout stays inactive.
public struct EATA: BatchLearner {
  /// Learning rate, thresholds, importances.
  public struct Options: ComponentOptions {
    /// As every gradient method has them.
    public var update = UpdateOptions()
    /// Threshold of the entropy as a share of ln K.
    public var factor: Float = 0.4
    /// Largest cosine to the moving mean.
    public var margin: Float = 0.4
    /// Importances from `tta prepare fisher`; none for ETA.
    public var file = ""
    /// Strength of the hold.
    public var fisherWeight: Float = 1
    /// CIFAR-10, as in forks.
    public init() {}
    private init(_ update: UpdateOptions, margin: Float, fisherWeight: Float) {
      (self.update, self.margin, self.fisherWeight) = (update, margin, fisherWeight)
    }
    /// CIFAR values from forks, ImageNet's from the released code.
    public static let presets = [
      "cifar": Options(), "cifar100": Options(UpdateOptions(), margin: 0.1, fisherWeight: 1),
      "imagenet": Options(UpdateOptions(.sgd, learningRate: 2.5e-4), margin: 0.05, fisherWeight: 2_000),
    ]
    /// For `tta list`.
    public static let meanings = [
      "factor": "threshold of the entropy as a share of ln K", "margin": "largest cosine to the moving mean prediction that is learnt from",
      "file": "importances from tta prepare fisher", "fisher_weight": "strength with which important weights are held",
    ]
    /// The filters' own bounds.
    public func validate() throws {
      try update.validate()
      try EntropyThreshold.Options(factor: factor, weighing: true).validate()
      try Diversity.Options(margin: margin).validate()
    }
  }
  static let summary = Summary(
    "entropy of certain, diverse images; important weights held", paper: "Niu et al., ICML 2022", updates: "norm scale and shift",
    forwards: "1", backwards: "1 at most", needs: ["norm layers", "a file from tta prepare fisher"])
  static let summaryWithoutFile = Summary(
    "entropy of certain, diverse images", paper: "Niu et al., ICML 2022", updates: "norm scale and shift", forwards: "1",
    backwards: "1 at most", needs: ["norm layers"])

  /// Entropy with both filters, over norm scale and shift.
  public var learner: Learner
  /// EATA with a file of importances, ETA without one. Throws where the file cannot be read.
  public init(_ options: Options = Options()) throws {
    self.init(options, anchor: options.file.isEmpty ? nil : try FisherAnchor(file: options.file, strength: options.fisherWeight))
  }
  /// EATA with importances at hand; ETA without.
  public init(_ options: Options, anchor: FisherAnchor?) {
    learner = Learner(
      minimizing: Entropy(), over: options.update.selection,
      filters: [
        EntropyThreshold(.init(factor: options.factor, weighing: true)), Diversity(.init(margin: options.margin)),
      ], optimizer: options.update.optimizer, rules: anchor.map { [$0] } ?? [])
  }
}

/// ETA that goes back to the source after every so many batches.
///
/// Press et al., "RDumb: A simple approach that questions our progress in continual test-time adaptation", NeurIPS 2023. Weights, optimiser and
/// moving mean go back before batch 0, n, 2n, …; batches are counted whether they were learnt from or not.
public struct RDumb: BatchLearner {
  /// ETA's options and the period.
  public struct Options: ComponentOptions {
    /// ETA.
    public var base = EATA.Options()
    /// Batches between resets.
    public var every = 1_000
    /// CIFAR-10.
    public init() {}
    private init(_ base: EATA.Options) { self.base = base }
    /// ETA's.
    public static let presets = EATA.Options.presets.mapValues { Options($0) }
    /// For `tta list`.
    public static let meanings = EATA.Options.meanings.merging(["every": "batches between resets"]) { first, _ in first }
    /// At least one batch.
    public func validate() throws {
      try base.validate()
      guard every >= 1 else { throw TTAError(.usage, "every: expected at least 1, got \(every)") }
    }
  }
  static let summary = Summary(
    "ETA that goes back to the source every 1,000 batches", paper: "Press et al., NeurIPS 2023", updates: "norm scale and shift",
    forwards: "1", backwards: "1 at most", needs: ["norm layers"])
  /// ETA's.
  public var learner: Learner
  let every: Int
  private var batches = 0
  /// RDumb with the given options.
  public init(_ options: Options = Options()) throws {
    learner = try EATA(options.base).learner
    every = options.every
  }
  /// ETA; the last batch of a period asks for the reset.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    batches += 1
    if batches == every { context.requestReset() }
    return try learner.learn(from: batch, in: &context)
  }
}
