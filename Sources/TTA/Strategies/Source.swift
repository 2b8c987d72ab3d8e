// The frozen classifier.

import Engine

/// The source model as it is: stored statistics, nothing learnt. What every method is compared with.
public struct Source: AdaptationStrategy {
  /// No options.
  public struct Options: ComponentOptions {
    /// None.
    public init() {}
  }
  static let summary = Summary("the frozen classifier: stored statistics, nothing learnt", paper: "–", updates: "nothing", forwards: "1")

  /// The source model.
  public init(_ options: Options = Options()) {}
  /// One forward.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    Prediction(try context.forward(batch.images))
  }
}
