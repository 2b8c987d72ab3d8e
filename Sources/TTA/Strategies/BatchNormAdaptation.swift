// Statistics of the batch instead of the stored ones.

import Engine

/// Normalises with the statistics of each batch; nothing is learnt and nothing stored.
///
/// Nado et al., "Evaluating Prediction-Time Batch Normalization for Robustness under Covariate Shift", 2020; the first step of TENT (`norm.py` of the
/// released code, which also updates running buffers that it never reads: left out, since no answer depends on them).
public struct BatchNormAdaptation: AdaptationStrategy {
  /// No options.
  public struct Options: ComponentOptions {
    /// None.
    public init() {}
  }
  static let summary = Summary(
    "statistics of each batch in every batch norm layer", paper: "Nado et al. 2020", updates: "nothing", forwards: "1",
    needs: ["batch norm layers", "batches of 2 or more"])

  /// The strategy.
  public init(_ options: Options = Options()) {}
  /// Needs batch norm layers.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    try setup.requireBatchNorm(for: "batch-norm")
    setup.useBatchStatistics()
  }
  /// One forward.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    Prediction(try context.forward(batch.images))
  }
}
