// Normalisation over groups of channels of one image.

internal import CKernels

/// Group normalisation: each image by itself, over groups of neighbouring channels. Parameters: weight, bias.
///
/// Wu and He, ECCV 2018. One group is layer norm over an image, as many groups as channels instance norm.
public struct GroupNorm: DifferentiableOperator, NormOperator {
  /// `group norm`.
  public static let name = "group norm"
  /// Number of groups and what is added to the variance.
  public var groups: Int, epsilon: Float
  /// A layer with PyTorch's default ε.
  public init(groups: Int, epsilon: Float = 1e-5) { (self.groups, self.epsilon) = (groups, epsilon) }
  /// `group`.
  public var kind: String { "group" }
  /// False.
  public var mixesImages: Bool { false }

  /// The input's shape.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 3, groups > 0, inputs[0][0] % groups == 0 else {
      throw wrongInputs(Self.name, expected: "one image with channels divisible by \(groups) groups", got: inputs)
    }
    return inputs[0]
  }
  /// Mean and inverse deviation of each channel's group.
  public func memory(for inputs: [Shape]) -> OperatorMemory {
    var memory = OperatorMemory()
    memory.keptPerImage = 2 * inputs[0][0]
    memory.scratchPerWorker = 8 * 8 * inputs[0][0]
    return memory
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let shape = call.outputShape
    let (channels, area, share) = (shape[0], shape[1] * shape[2], shape[0] / groups)
    let (x, y, kept, weight, shift) = (call.inputs[0], call.output, call.keptPerImage, call.parameters[0], call.parameters[1])
    call.forEachImage { image, scratch in
      guard let sums = scratch?.assumingMemoryBound(to: Double.self) else { return }
      let source = x + image * channels * area
      let (means, deviations) = (kept + image * 2 * channels, kept + image * 2 * channels + channels)
      let scale = UnsafeMutableRawPointer(sums + channels).assumingMemoryBound(to: Float.self)
      sums.update(repeating: 0, count: channels)
      ck_plain_sums(source, sums, channels, area)
      for group in 0..<groups {
        let range = group * share..<(group + 1) * share
        let mean = Float(range.reduce(0.0) { $0 + sums[$1] } / Double(share * area))
        for c in range { means[c] = mean }
      }
      sums.update(repeating: 0, count: channels)
      ck_plain_square_sums(source, means, sums, channels, area)
      for group in 0..<groups {
        let range = group * share..<(group + 1) * share
        let variance = range.reduce(0.0) { $0 + sums[$1] } / Double(share * area)
        let inverse = 1 / (variance + Double(epsilon)).squareRoot()
        for c in range {
          deviations[c] = Float(inverse)
          scale[c] = Float(Double(weight[c]) * inverse)
        }
      }
      ck_plain_normalize(source, means, scale, shift, y + image * channels * area, channels, area)
    }
  }
  /// The input.
  public func retained(forParameters: Bool) -> RetainedValues { .inputs }
  /// Image by image; parameter gradients are summed over fixed blocks of images.
  public func backward(_ call: borrowing GradientCall) {
    let shape = call.call.outputShape
    let (channels, area, share) = (shape[0], shape[1] * shape[2], shape[0] / groups)
    let (x, gy, kept, weight) = (call.call.inputs[0], call.outputGradient, call.call.keptPerImage, call.call.parameters[0])
    if call.parameterGradients[0] != nil || call.parameterGradients[1] != nil {
      withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * channels) { buffer in
        guard let totals = buffer.baseAddress else { return }
        call.call.sum(width: 2 * channels, into: totals) { images, sums in
          withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * channels) { one in
            guard let own = one.baseAddress else { return }
            for image in images {
              own.update(repeating: 0, count: 2 * channels)
              let (means, deviations) = (kept + image * 2 * channels, kept + image * 2 * channels + channels)
              ck_plain_norm_reduce(x + image * channels * area, gy + image * channels * area, means, own, channels, area)
              for c in 0..<channels {
                sums[2 * c] += own[2 * c]
                sums[2 * c + 1] += own[2 * c + 1] * Double(deviations[c])
              }
            }
          }
        }
        for c in 0..<channels {
          call.parameterGradients[0]?[c] = Float(totals[2 * c + 1])
          call.parameterGradients[1]?[c] = Float(totals[2 * c])
        }
      }
    }
    guard let gradient = call.inputGradients[0] else { return }
    call.call.forEachImage { image, scratch in
      guard let sums = scratch?.assumingMemoryBound(to: Double.self) else { return }
      let (means, deviations) = (kept + image * 2 * channels, kept + image * 2 * channels + channels)
      let a = UnsafeMutableRawPointer(sums + 2 * channels).assumingMemoryBound(to: Float.self)
      let (b, c) = (a + channels, a + 2 * channels)
      sums.update(repeating: 0, count: 2 * channels)
      let offset = image * channels * area
      ck_plain_norm_reduce(x + offset, gy + offset, means, sums, channels, area)
      for group in 0..<groups {
        let range = group * share..<(group + 1) * share
        let plain = range.reduce(0.0) { $0 + Double(weight[$1]) * sums[2 * $1] } / Double(share * area)
        let product = range.reduce(0.0) { $0 + Double(weight[$1]) * sums[2 * $1 + 1] } / Double(share * area)
        for k in range {
          let inverse = Double(deviations[k])
          a[k] = Float(Double(weight[k]) * inverse)
          b[k] = Float(-inverse * inverse * inverse * product)
          c[k] = Float(-inverse * plain)
        }
      }
      ck_plain_norm_gradient(x + offset, gy + offset, means, a, b, c, gradient + offset, channels, area)
    }
  }
}
