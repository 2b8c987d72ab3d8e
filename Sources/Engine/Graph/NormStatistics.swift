// Where normalisation layers take their statistics from, and what they report.

/// Variance divided by n or by n − 1.
public enum VarianceEstimator: String, Hashable, Codable, Sendable {
  /// Divided by n.
  case biased
  /// Divided by n − 1 (by n where n is 1).
  case unbiased
}

/// Where a batch normalisation layer takes mean and variance from; an argument of every forward, never state of a layer.
///
/// With `Parameters.track` these express the field's eight modes: source = `stored`; TENT's = `batch`; batch with tracking = `batch`, then `track`;
/// alpha = `blended(unbiased, constant)`; EMA = `batch`, `track`, then `stored`; RoTTA's robust = `blended(biased)`, then `track`;
/// batch renormalisation = `renormalized`; NOTE's instance-aware layer is an operator of its own that reads `stored` or `batch`.
public enum NormStatistics: Hashable, Codable, Sendable {
  /// The running buffers among the parameters.
  case stored
  /// This batch, biased variance, gradient through the statistics.
  case batch
  /// (1 − w) · stored + w · batch. With `constant` the gradient takes the statistics as given, else it goes through the batch part.
  case blended(batchWeight: Float, variance: VarianceEstimator, constant: Bool)
  /// Values as with `stored`, gradients as with `batch` (batch renormalisation).
  case renormalized

  /// True where a forward needs the moments of the batch.
  public var readsBatch: Bool { self != .stored }
}

/// Mean, biased variance and count of normalisation layers in one forward: reported, not stored.
public struct NormMoments: Sendable {
  /// One layer.
  public struct Layer: Sendable {
    /// Name of the layer's node.
    public let name: String
    /// The stored statistics among the parameters, if the layer has them.
    public let runningMean: ParameterID?, runningVariance: ParameterID?
    /// Per channel.
    public let mean: [Double], variance: [Double]
    /// Values per channel: images × positions.
    public let count: Int
  }
  /// In the order of the graph.
  public var layers: [Layer]
  /// None.
  public init(layers: [Layer] = []) { self.layers = layers }
}
