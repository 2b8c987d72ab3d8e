// Batch normalisation that corrects for images unlike the reference.

internal import CKernels
import Foundation

/// Normalises each image with the reference statistics, corrected towards its own where the two differ by more than chance would have it.
///
/// Gong et al., "NOTE: Robust Continual Test-time Adaptation Against Temporal Correlation", NeurIPS 2022, equations 1–6: with μ, σ² of one
/// image's channel (unbiased) and the reference μ̄, σ̄², the mean is μ̄ + ψ(μ − μ̄; k s_μ) and the variance max(0, σ̄² + ψ(σ² − σ̄²; k s_σ)), ψ the soft
/// threshold, s_μ = √((σ̄² + ε)/n), s_σ = (σ̄² + ε) √(2/(n − 1)), n the number of positions; a single position is not corrected. The reference is
/// the stored statistics or those of the batch (unbiased). Parameters as batch norm has them.
public struct InstanceAwareBatchNorm: DifferentiableOperator, NormOperator {
  /// `instance-aware batch norm`.
  public static let name = "instance-aware batch norm"
  /// Added to variances.
  public var epsilon: Float
  /// Width of what counts as chance, in standard deviations.
  public var width: Float
  /// A layer with the published width.
  public init(epsilon: Float = 1e-5, width: Float = 4) { (self.epsilon, self.width) = (epsilon, width) }
  /// `instance-aware batch`.
  public var kind: String { "instance-aware batch" }
  /// True.
  public var mixesImages: Bool { true }

  /// The input's shape.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 3 else { throw wrongInputs(Self.name, expected: "one image", got: inputs) }
    return inputs[0]
  }
  /// Per channel of the batch: mean and biased variance, reference mean and variance; per channel and image: mean and variance.
  public func memory(for inputs: [Shape]) -> OperatorMemory {
    var memory = OperatorMemory()
    memory.keptPerBatch = 4 * inputs[0][0]
    memory.keptPerImage = 2 * inputs[0][0]
    memory.scratchPerWorker = 6 * inputs[0][0] * 8
    return memory
  }

  /// What one image's channel is normalised with, and which way the gradients go.
  struct Corrected {
    var mean: Double, variance: Double
    /// −1, 0, 1: below, within, above what counts as chance.
    var meanSide: Double, varianceSide: Double
    var isClipped = false
    init(mean: Double, variance: Double, reference: (mean: Double, variance: Double), positions: Int, epsilon: Double, width: Double) {
      (self.mean, self.variance, meanSide, varianceSide) = (reference.mean, reference.variance, 0, 0)
      guard positions > 1 else { return }
      let spread = reference.variance + epsilon
      let meanReach = width * (spread / Double(positions)).squareRoot()
      let varianceReach = width * spread * (2 / Double(positions - 1)).squareRoot()
      if abs(mean - reference.mean) > meanReach {
        meanSide = mean > reference.mean ? 1 : -1
        self.mean = mean - meanSide * meanReach
      }
      if abs(variance - reference.variance) > varianceReach {
        varianceSide = variance > reference.variance ? 1 : -1
        self.variance = variance - varianceSide * varianceReach
      }
      if self.variance < 0 { (self.variance, isClipped) = (0, true) }
    }
  }
  private func corrected(_ c: Int, _ mean: Float, _ variance: Float, _ reference: UnsafePointer<Double>, _ channels: Int, _ area: Int)
    -> Corrected
  {
    Corrected(
      mean: Double(mean), variance: Double(variance), reference: (reference[c], reference[channels + c]), positions: area,
      epsilon: Double(epsilon), width: Double(width))
  }

  /// Moments of each image, the reference, one pass.
  public func forward(_ call: borrowing OperatorCall) {
    let shape = call.outputShape
    let (channels, area) = (shape[0], shape[1] * shape[2])
    let (x, y, kept, moments, parameters) = (call.inputs[0], call.output, call.keptPerBatch, call.keptPerImage, call.parameters)
    call.forEachImage { image, scratch in
      guard let sums = scratch?.assumingMemoryBound(to: Double.self) else { return }
      let (means, variances) = (moments + 2 * image * channels, moments + (2 * image + 1) * channels)
      sums.update(repeating: 0, count: channels)
      ck_plain_sums(x + image * channels * area, sums, channels, area)
      for c in 0..<channels { means[c] = Float(sums[c] / Double(area)) }
      sums.update(repeating: 0, count: channels)
      ck_plain_square_sums(x + image * channels * area, means, sums, channels, area)
      for c in 0..<channels { variances[c] = Float(sums[c] / Double(max(1, area - 1))) }
    }
    let (images, reference) = (Double(call.images), kept + 2 * channels)
    let count = images * Double(area)
    for c in 0..<channels {
      // The batch's moments from those of its images.
      var (mean, square) = (0.0, 0.0)
      for image in 0..<call.images { mean += Double(moments[2 * image * channels + c]) / images }
      for image in 0..<call.images {
        let distance = Double(moments[2 * image * channels + c]) - mean
        square += Double(moments[(2 * image + 1) * channels + c]) * Double(area - 1) + distance * distance * Double(area)
      }
      (kept[c], kept[channels + c]) = (mean, square / count)
      let weight = batchWeight(call.statistics)
      let unbiased = square / max(1, count - 1)
      reference[c] = (1 - weight) * Double(parameters[2][c]) + weight * mean
      reference[channels + c] = (1 - weight) * Double(parameters[3][c]) + weight * unbiased
    }
    call.forEachImage { image, scratch in
      guard let buffer = scratch?.assumingMemoryBound(to: Float.self) else { return }
      let (mean, scale) = (buffer, buffer + channels)
      for c in 0..<channels {
        let own = corrected(c, moments[2 * image * channels + c], moments[(2 * image + 1) * channels + c], reference, channels, area)
        mean[c] = Float(own.mean)
        scale[c] = Float(Double(parameters[0][c]) / (own.variance + Double(epsilon)).squareRoot())
      }
      ck_plain_normalize(x + image * channels * area, mean, scale, parameters[1], y + image * channels * area, channels, area)
    }
  }
  private func batchWeight(_ statistics: NormStatistics) -> Double {
    switch statistics {
    case .stored: 0
    case .batch, .renormalized: 1
    case .blended(let weight, _, _): Double(weight)
    }
  }

  /// The input.
  public func retained(forParameters: Bool) -> RetainedValues { .inputs }
  /// Sums per image, sums over the batch for what reaches the reference, one pass.
  public func backward(_ call: borrowing GradientCall) {
    let shape = call.call.outputShape
    let (channels, area, images) = (shape[0], shape[1] * shape[2], call.call.images)
    let (x, gy, kept, moments) = (call.call.inputs[0], call.outputGradient, call.call.keptPerBatch, call.call.keptPerImage)
    let (reference, parameters) = (UnsafePointer(kept + 2 * channels), call.call.parameters)
    let count = Double(images * area)
    var flow = batchWeight(call.call.statistics)
    if case .blended(_, _, constant: true) = call.call.statistics { flow = 0 }
    // Σ gy and Σ gy · (x − own mean), per image and channel.
    withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * channels * images + 2 * channels) { buffer in
      guard let sums = buffer.baseAddress else { return }
      let toReference = sums + 2 * channels * images
      sums.update(repeating: 0, count: 2 * channels * (images + 1))
      call.call.forEachImage { image, _ in
        ck_plain_norm_reduce(
          x + image * channels * area, gy + image * channels * area, moments + 2 * image * channels, sums + 2 * image * channels, channels,
          area)
      }
      /// Gradients at one image's corrected mean and variance.
      func gradients(_ image: Int, _ c: Int) -> (own: Corrected, scale: Double, mean: Double, variance: Double) {
        let (mean, variance) = (moments[2 * image * channels + c], moments[(2 * image + 1) * channels + c])
        let own = corrected(c, mean, variance, reference, channels, area)
        let inverse = 1 / (own.variance + Double(epsilon)).squareRoot()
        let gamma = Double(parameters[0][c])
        let (sum, product) = (sums[2 * (image * channels + c)], sums[2 * (image * channels + c) + 1])
        let centred = product + (Double(mean) - own.mean) * sum
        return (own, gamma * inverse, -gamma * inverse * sum, own.isClipped ? 0 : -0.5 * gamma * inverse * inverse * inverse * centred)
      }
      for c in 0..<channels {
        var (scaleSum, shiftSum) = (0.0, 0.0)
        for image in 0..<images {
          let (own, _, toMean, toVariance) = gradients(image, c)
          let (sum, product) = (sums[2 * (image * channels + c)], sums[2 * (image * channels + c) + 1])
          let mean = Double(moments[2 * image * channels + c])
          scaleSum += (product + (mean - own.mean) * sum) / (own.variance + Double(epsilon)).squareRoot()
          shiftSum += sum
          let spread = reference[channels + c] + Double(epsilon)
          if own.meanSide == 0 {
            toReference[c] += toMean
          } else {
            toReference[channels + c] -= toMean * own.meanSide * Double(width) / (2 * (spread * Double(area)).squareRoot())
          }
          let varianceReach = Double(width) * (2 / Double(max(1, area - 1))).squareRoot()
          toReference[channels + c] += toVariance * (own.varianceSide == 0 ? 1 : -own.varianceSide * varianceReach)
        }
        call.parameterGradients[0]?[c] = Float(scaleSum)
        call.parameterGradients[1]?[c] = Float(shiftSum)
      }
      guard let gx = call.inputGradients[0] else { return }
      call.call.forEachImage { image, scratch in
        guard let floats = scratch?.assumingMemoryBound(to: Float.self) else { return }
        let (a, b, offset) = (floats, floats + channels, floats + 2 * channels)
        for c in 0..<channels {
          let (own, scale, toMean, toVariance) = gradients(image, c)
          let mean = Double(moments[2 * image * channels + c])
          let batchVariance = flow * toReference[channels + c] * 2 / max(1, count - 1)
          a[c] = Float(scale)
          b[c] = Float((own.varianceSide != 0 ? 2 * toVariance / Double(max(1, area - 1)) : 0) + batchVariance)
          offset[c] = Float(
            (own.meanSide != 0 ? toMean / Double(area) : 0) + flow * toReference[c] / count + batchVariance * (mean - kept[c]))
        }
        let start = image * channels * area
        ck_plain_norm_gradient(x + start, gy + start, moments + 2 * image * channels, a, b, offset, gx + start, channels, area)
      }
    }
  }
}
