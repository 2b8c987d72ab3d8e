// Running statistics that follow the stream.

import Engine

/// Moves the running statistics towards each batch's, then answers with them.
///
/// The `BNEMA` baseline of Döbler et al. (mariodoebler/test-time-adaptation): a forward in training mode with momentum 0.1 (unbiased variance), then a
/// second one in evaluation mode on the same batch. Works with a single image.
public struct EMABatchNorm: AdaptationStrategy {
  /// The momentum.
  public struct Options: ComponentOptions {
    /// Share of each batch in the running statistics.
    public var momentum: Float = 0.1
    /// 0.1, PyTorch's default.
    public init() {}
    /// For `tta list`.
    public static let meanings = ["momentum": "share of each batch in the running statistics"]
    /// From 0 to 1.
    public func validate() throws {
      try requireShare(momentum, "momentum")
    }
  }
  static let summary = Summary(
    "running statistics that follow the stream", paper: "Döbler et al. 2022 (baseline)", updates: "running statistics", forwards: "2",
    needs: ["batch norm layers"])

  let momentum: Float
  /// The strategy.
  public init(_ options: Options = Options()) { momentum = options.momentum }
  /// Needs batch norm layers.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    try setup.requireBatchNorm(for: "ema-batch-norm")
  }
  /// A forward that reports moments, then one that uses them.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    var observing = context.options.with(.batch)
    observing.reportsMoments = true
    let seen = try context.forward(batch.images, observing)
    context.parameters.track(seen.moments, momentum: momentum)
    return Prediction(try context.forward(batch.images))
  }
}
