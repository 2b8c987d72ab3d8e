// What entropy minimisation and its relatives have in common.

import Engine

/// A gradient strategy whose forwards all normalise with their own batch, and that takes one pass and one step per batch unless it says otherwise.
public protocol BatchLearner: GradientStrategy {}
extension BatchLearner {
  /// Every forward normalises with its own batch.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    setup.useBatchStatistics()
    try learner.configure(&setup)
  }
  /// Filters, loss, backward, step; answered from before the step.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    try learner.learn(from: batch, in: &context)
  }
}
