// Batch normalisation with the source of its statistics as an argument.

internal import CKernels

/// Batch normalisation over images and positions. Parameters: weight, bias, running mean, running variance.
///
/// Means and variances are accumulated in double over two passes. Ioffe and Szegedy, ICML 2015; the sources of statistics are those of
/// `NormStatistics`.
public struct BatchNorm: DifferentiableOperator, NormOperator {
  /// `batch norm`.
  public static let name = "batch norm"
  /// Added to the variance.
  public var epsilon: Float
  /// A layer with PyTorch's default ε.
  public init(epsilon: Float = 1e-5) { self.epsilon = epsilon }
  /// `batch`.
  public var kind: String { "batch" }
  /// True.
  public var mixesImages: Bool { true }

  /// The input's shape.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 3 else { throw wrongInputs(Self.name, expected: "one image", got: inputs) }
    return inputs[0]
  }
  /// Per channel: batch mean, batch variance, mean and inverse deviation in use.
  public func memory(for inputs: [Shape]) -> OperatorMemory {
    var memory = OperatorMemory()
    memory.keptPerBatch = 4 * inputs[0][0] + 6 * inputs[0][0]
    return memory
  }
  /// Moments if needed, then one pass.
  public func forward(_ call: borrowing OperatorCall) {
    let shape = call.outputShape
    let (channels, area) = (shape[0], shape[1] * shape[2])
    let (x, y, kept) = (call.inputs[0], call.output, call.keptPerBatch)
    let floats = UnsafeMutableRawPointer(kept + 4 * channels).assumingMemoryBound(to: Float.self)
    let (mean, scale) = (floats, floats + channels)
    let count = Double(call.images * area)
    kept.update(repeating: 0, count: 2 * channels)
    if call.statistics.readsBatch || call.reportsMoments {
      call.sum(width: channels, into: kept) { images, sums in
        for image in images { ck_plain_sums(x + image * channels * area, sums, channels, area) }
      }
      for c in 0..<channels {
        kept[c] /= count
        mean[c] = Float(kept[c])
      }
      call.sum(width: channels, into: kept + channels) { images, sums in
        for image in images { ck_plain_square_sums(x + image * channels * area, mean, sums, channels, area) }
      }
      for c in 0..<channels {
        let rounding = kept[c] - Double(mean[c])
        kept[channels + c] = max(0, kept[channels + c] / count - rounding * rounding)
      }
    }
    for c in 0..<channels {
      let norm = ChannelNorm(channel(c, kept, call.parameters, channels, count), call.statistics, epsilon: Double(epsilon))
      kept[2 * channels + c] = norm.mean
      kept[3 * channels + c] = norm.inverseDeviation
      mean[c] = Float(norm.mean)
      scale[c] = Float(Double(call.parameters[0][c]) * norm.inverseDeviation)
    }
    let shift = call.parameters[1]
    call.forEachImage { image, _ in
      ck_plain_normalize(x + image * channels * area, mean, scale, shift, y + image * channels * area, channels, area)
    }
  }
  private func channel(
    _ c: Int, _ kept: UnsafeMutablePointer<Double>, _ parameters: UnsafeBufferPointer<UnsafePointer<Float>>, _ channels: Int,
    _ count: Double
  ) -> ChannelStatistics {
    ChannelStatistics(
      batchMean: kept[c], batchVariance: kept[channels + c], count: count, storedMean: Double(parameters[2][c]),
      storedVariance: Double(parameters[3][c]))
  }
  /// The input.
  public func retained(forParameters: Bool) -> RetainedValues { .inputs }
  /// Two sums per channel, then one pass.
  public func backward(_ call: borrowing GradientCall) {
    let shape = call.call.outputShape
    let (channels, area) = (shape[0], shape[1] * shape[2])
    let (x, gy, kept) = (call.call.inputs[0], call.outputGradient, call.call.keptPerBatch)
    let floats = UnsafeMutableRawPointer(kept + 4 * channels).assumingMemoryBound(to: Float.self)
    let (mean, a, b, c) = (floats, floats + 2 * channels, floats + 3 * channels, floats + 4 * channels)
    let count = Double(call.call.images * area)
    withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * channels) { buffer in
      guard let sums = buffer.baseAddress else { return }
      call.call.sum(width: 2 * channels, into: sums) { images, sums in
        for image in images { ck_plain_norm_reduce(x + image * channels * area, gy + image * channels * area, mean, sums, channels, area) }
      }
      for k in 0..<channels {
        let statistics = channel(k, kept, call.call.parameters, channels, count)
        let norm = ChannelNorm(statistics, call.call.statistics, epsilon: Double(epsilon))
        // The kernel centred with the rounded mean.
        let product = sums[2 * k + 1] + (Double(mean[k]) - norm.mean) * sums[2 * k]
        let (ak, bk, ck) = norm.gradient(
          statistics, call.call.statistics, epsilon: Double(epsilon), scale: Double(call.call.parameters[0][k]), sum: sums[2 * k],
          product: product)
        a[k] = Float(ak)
        b[k] = Float(bk)
        c[k] = Float(ck + bk * (Double(mean[k]) - norm.mean))
        call.parameterGradients[0]?[k] = Float(product * norm.inverseDeviation)
        call.parameterGradients[1]?[k] = Float(sums[2 * k])
      }
    }
    guard let gradient = call.inputGradients[0] else { return }
    call.call.forEachImage { image, _ in
      let offset = image * channels * area
      ck_plain_norm_gradient(x + offset, gy + offset, mean, a, b, c, gradient + offset, channels, area)
    }
  }
}
