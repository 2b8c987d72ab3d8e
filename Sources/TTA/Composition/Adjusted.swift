// Adjusters around a strategy.

public import Engine

/// A strategy whose predictions are corrected, in order.
public struct Adjusted: AdaptationStrategy {
  /// What answers first.
  @Slot public var base: any AdaptationStrategy
  /// What corrects the answer.
  @Slots public var adjusters: [any OutputAdjuster]

  /// A strategy with adjusters around it.
  public init(_ base: any AdaptationStrategy, by adjusters: [any OutputAdjuster]) { (self.base, self.adjusters) = (base, adjusters) }
  /// All parts.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    try base.configure(&setup)
    for i in adjusters.indices { try adjusters[i].configure(&setup) }
  }
  /// The base, then the adjusters.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    var prediction = try base.adapt(to: batch, in: &context)
    for i in adjusters.indices { try adjusters[i].adjust(&prediction) }
    return prediction
  }
  /// The base, then the adjusters, whose memory is left as it was.
  public func predict(_ batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    var prediction = try base.predict(batch, in: &context)
    var adjusters = adjusters
    for i in adjusters.indices { try adjusters[i].adjust(&prediction) }
    return prediction
  }
}
extension AdaptationStrategy {
  /// Corrects every prediction.
  public func adjusted(by adjuster: some OutputAdjuster) -> Adjusted { Adjusted(self, by: [adjuster]) }
}
