// LAME by itself.

import Engine

/// The source model corrected by `Lame`: what `--strategy lame` runs.
///
/// Boudiaf et al., CVPR 2022, without any change to the model: stored statistics, each batch's predictions corrected together.
public struct LameStrategy: AdaptationStrategy {
  private var adjuster: Lame
  /// LAME over the source.
  public init(_ options: Lame.Options = Lame.Options()) { adjuster = Lame(options) }
  /// Needs the features.
  public mutating func configure(_ setup: inout AdaptationSetup) throws { try adjuster.configure(&setup) }
  /// One forward, and the correction.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    try predict(batch, in: &context)
  }
  /// The same: nothing is learnt.
  public func predict(_ batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    var prediction = Prediction(try context.forward(batch.images))
    try adjuster.adjust(&prediction, in: context)
    return prediction
  }
}
