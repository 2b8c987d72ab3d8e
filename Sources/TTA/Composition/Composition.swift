// Adapters and adjusters around a strategy.

public import Engine

/// A strategy of any kind, with adapters that extend its model and adjusters that correct its answers, each in order.
public struct Composition: AdaptationStrategy {
  /// What extends the model.
  @Slots public var adapters: [any ModelAdapter]
  /// What answers.
  @Slot public var base: any AdaptationStrategy
  /// What corrects the answer.
  @Slots public var adjusters: [any OutputAdjuster]

  /// A strategy with parts around it; a composition's own parts stay.
  public init(_ strategy: any AdaptationStrategy, adapters: [any ModelAdapter] = [], adjusters: [any OutputAdjuster] = []) {
    if let composition = strategy as? Composition {
      (base, self.adapters) = (composition.base, composition.adapters + adapters)
      self.adjusters = composition.adjusters + adjusters
    } else {
      (base, self.adapters, self.adjusters) = (strategy, adapters, adjusters)
    }
  }
  /// Adapters first: their parameters are there when the strategy selects its own.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    for i in adapters.indices { try adapters[i].configure(&setup) }
    try base.configure(&setup)
    for i in adjusters.indices { try adjusters[i].configure(&setup) }
  }
  /// Inputs, answer, corrections.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    for adapter in adapters { try adapter.willAnswer(batch, in: &context) }
    var prediction = try base.adapt(to: batch, in: &context)
    for i in adapters.indices { try adapters[i].didAnswer(prediction, in: &context) }
    for i in adjusters.indices { try adjusters[i].adjust(&prediction, in: context) }
    return prediction
  }
  /// The base's.
  public var answering: Parameters? { base.answering }
  /// The same without learning: adapters and adjusters stay as they were.
  public func predict(_ batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    for adapter in adapters { try adapter.willAnswer(batch, in: &context) }
    var prediction = try base.predict(batch, in: &context)
    var adjusters = adjusters
    for i in adjusters.indices { try adjusters[i].adjust(&prediction, in: context) }
    return prediction
  }
}
extension AdaptationStrategy {
  /// Extends the model for every network of the strategy alike.
  public func with(_ adapter: some ModelAdapter) -> Composition { Composition(self, adapters: [adapter]) }
  /// Corrects every prediction.
  public func adjusted(by adjuster: some OutputAdjuster) -> Composition { Composition(self, adjusters: [adjuster]) }
}
