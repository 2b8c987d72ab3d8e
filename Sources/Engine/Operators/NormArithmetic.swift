// What batch normalisation computes per channel, in double: shared by the readable and the fused path.

/// One channel's statistics as a forward used them.
struct ChannelStatistics {
  /// Moments of the batch (biased variance) over `count` values; zero where nobody computed them.
  var batchMean = 0.0, batchVariance = 0.0, count = 0.0
  /// The stored ones.
  var storedMean = 0.0, storedVariance = 1.0
}

/// Batch normalisation of one channel: y = γ (z − mean) · inverseDeviation + β.
struct ChannelNorm {
  var mean: Double, inverseDeviation: Double

  /// Mean and deviation that the statistics' source asks for.
  init(_ channel: ChannelStatistics, _ source: NormStatistics, epsilon: Double) {
    let variance: Double
    switch source {
    case .stored, .renormalized: (mean, variance) = (channel.storedMean, channel.storedVariance)
    case .batch: (mean, variance) = (channel.batchMean, channel.batchVariance)
    case .blended(let weight, let estimator, _):
      let w = Double(weight)
      mean = (1 - w) * channel.storedMean + w * channel.batchMean
      variance = (1 - w) * channel.storedVariance + w * channel.batchVariance * Self.correction(estimator, channel.count)
    }
    inverseDeviation = 1 / (variance + epsilon).squareRoot()
  }
  static func correction(_ estimator: VarianceEstimator, _ count: Double) -> Double {
    estimator == .unbiased && count > 1 ? count / (count - 1) : 1
  }

  /// The input's gradient is a · g + b · (z − mean) + c, given Σ g and Σ g (z − mean).
  func gradient(
    _ channel: ChannelStatistics, _ source: NormStatistics, epsilon: Double, scale: Double, sum: Double, product: Double
  ) -> (a: Double, b: Double, c: Double) {
    let a = scale * inverseDeviation
    let offset = mean - channel.batchMean
    switch source {
    case .stored, .blended(_, _, constant: true): return (a, 0, 0)
    case .batch: return through(a, weight: 1, correction: 1, channel, sum, product)
    case .blended(let weight, let estimator, _):
      return through(a, weight: Double(weight), correction: Self.correction(estimator, channel.count), channel, sum, product)
    case .renormalized:
      let batch = 1 / (channel.batchVariance + epsilon)
      let b = -a * batch * (product + offset * sum) / channel.count
      return (a, b, -a * sum / channel.count + b * offset)
    }
  }
  private func through(
    _ a: Double, weight: Double, correction: Double, _ channel: ChannelStatistics, _ sum: Double, _ product: Double
  ) -> (a: Double, b: Double, c: Double) {
    let b = -a * inverseDeviation * inverseDeviation * product * weight * correction / channel.count
    return (a, b, -a * sum * weight / channel.count + b * (mean - channel.batchMean))
  }
}
