// Normalisation of rows: tokens, feature vectors.

internal import CKernels

/// Layer normalisation over the last axis. Parameters: weight, bias.
///
/// Ba, Kiros and Hinton, 2016.
public struct LayerNorm: DifferentiableOperator, NormOperator {
  /// `layer norm`.
  public static let name = "layer norm"
  /// Added to the variance.
  public var epsilon: Float
  /// A layer; PyTorch's default is 1e-5, timm's vision transformers use 1e-6.
  public init(epsilon: Float = 1e-5) { self.epsilon = epsilon }
  /// `layer`.
  public var kind: String { "layer" }
  /// False.
  public var mixesImages: Bool { false }
  /// True.
  public var treatsImagesAlone: Bool { true }

  /// The input's shape.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, let last = inputs[0].dimensions.last, last > 0 else {
      throw wrongInputs(Self.name, expected: "one value with a last axis", got: inputs)
    }
    return inputs[0]
  }
  private func rows(_ shape: Shape) -> (count: Int, width: Int) {
    let width = shape.dimensions[shape.rank - 1]
    return (shape.elementCount / width, width)
  }
  /// Mean and inverse deviation of each row.
  public func memory(for inputs: [Shape]) -> OperatorMemory {
    var memory = OperatorMemory()
    memory.keptPerImage = 2 * rows(inputs[0]).count
    return memory
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let (count, width) = rows(call.outputShape)
    let (x, y, kept, weight, shift) = (call.inputs[0], call.output, call.keptPerImage, call.parameters[0], call.parameters[1])
    call.forEachImage { image, _ in
      let offset = image * count * width
      ck_layer_norm(x + offset, weight, shift, epsilon, y + offset, kept + image * 2 * count, count, width)
    }
  }
  /// The input.
  public func retained(forParameters: Bool) -> RetainedValues { .inputs }
  /// Image by image; parameter gradients are summed over fixed blocks of images.
  public func backward(_ call: borrowing GradientCall) {
    let (count, width) = rows(call.call.outputShape)
    let (x, gy, kept, weight) = (call.call.inputs[0], call.outputGradient, call.call.keptPerImage, call.call.parameters[0])
    if call.parameterGradients[0] != nil || call.parameterGradients[1] != nil {
      withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * width) { buffer in
        guard let totals = buffer.baseAddress else { return }
        call.call.sum(width: 2 * width, into: totals) { images, sums in
          for image in images {
            let offset = image * count * width
            ck_layer_norm_reduce(x + offset, kept + image * 2 * count, gy + offset, sums, count, width)
          }
        }
        for i in 0..<width {
          call.parameterGradients[0]?[i] = Float(totals[i])
          call.parameterGradients[1]?[i] = Float(totals[width + i])
        }
      }
    }
    guard let gradient = call.inputGradients[0] else { return }
    call.call.forEachImage { image, _ in
      let offset = image * count * width
      ck_layer_norm_backward(x + offset, weight, kept + image * 2 * count, gy + offset, gradient + offset, count, width)
    }
  }
}
