// A mixture of stored and batch statistics.

import Engine

/// (1 − α) · stored + α · batch statistics in every batch norm layer.
///
/// Schneider et al., "Improving Robustness against Common Corruptions by Covariate Shift Adaptation", NeurIPS 2020, in the fixed-weight form of TTAB's
/// BN_adapt. The batch variance is the unbiased one, because the released code reads it back from a running buffer with momentum 1. Works with a
/// single image: its positions give the moments.
public struct AlphaBatchNorm: AdaptationStrategy {
  /// The weight.
  public struct Options: ComponentOptions {
    /// Weight of the batch's statistics.
    public var alpha: Float = 0.1
    /// α = 0.1.
    public init() {}
    /// For `tta list`.
    public static let meanings = ["alpha": "weight of the batch's statistics, 0 (stored only) to 1 (batch only)"]
    /// From 0 to 1.
    public func validate() throws {
      try requireShare(alpha, "alpha")
    }
  }
  static let summary = Summary(
    "a fixed mixture of stored and batch statistics", paper: "Schneider et al., NeurIPS 2020", updates: "nothing", forwards: "1",
    needs: ["batch norm layers"])

  let alpha: Float
  /// The strategy.
  public init(_ options: Options = Options()) { alpha = options.alpha }
  /// Needs batch norm layers.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    try setup.requireBatchNorm(for: "alpha-batch-norm")
    setup.options.statistics = .blended(batchWeight: alpha, variance: .unbiased, constant: true)
  }
  /// One forward.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    Prediction(try context.forward(batch.images))
  }
}
