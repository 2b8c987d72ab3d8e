// Input normalisation with fixed constants.

internal import CKernels

/// (x − mean) / deviation per channel: the first node of a classifier, so that batches are images in 0…1.
public struct Normalize: DifferentiableOperator {
  /// `normalize`.
  public static let name = "normalize"
  /// Per channel, in units of 0…1.
  public let mean: [Float], deviation: [Float]
  /// Constants per channel.
  public init(mean: [Float], deviation: [Float]) { (self.mean, self.deviation) = (mean, deviation) }
  var scale: [Float] { deviation.map { 1 / $0 } }
  var shift: [Float] { zip(mean, deviation).map { -$0 / $1 } }

  /// The input's shape.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 3, inputs[0][0] == mean.count, mean.count == deviation.count else {
      throw wrongInputs(Self.name, expected: "an image of \(mean.count) channels", got: inputs)
    }
    return inputs[0]
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let shape = call.outputShape
    let (x, y) = (call.inputs[0], call.output)
    let scale = scale
    let zero = [Float](repeating: 0, count: mean.count)
    call.forEachImage { image, _ in
      let offset = image * shape.elementCount
      ck_plain_normalize(x + offset, mean, scale, zero, y + offset, shape[0], shape[1] * shape[2])
    }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// The gradient divided by the deviation.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let shape = call.call.outputShape
    let gy = call.outputGradient
    let scale = scale
    let zero = [Float](repeating: 0, count: mean.count)
    call.call.forEachImage { image, _ in
      let offset = image * shape.elementCount
      ck_plain_affine(gy + offset, scale, zero, gradient + offset, shape[0], shape[1] * shape[2])
    }
  }
}
