// Residual shortcuts without weights.

/// Takes every stride-th position and surrounds the channels with zeros: the shortcut of type A of He et al., CVPR 2016.
public struct Shortcut: DifferentiableOperator {
  /// `shortcut`.
  public static let name = "shortcut"
  /// Step over positions.
  public var stride: Int
  /// Zero channels in front, and the number of channels of the result.
  public var channelsBefore: Int, outChannels: Int
  /// A layer.
  public init(stride: Int, channelsBefore: Int, outChannels: Int) {
    (self.stride, self.channelsBefore, self.outChannels) = (stride, channelsBefore, outChannels)
  }
  /// channels × rows × columns.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 3, inputs[0][0] + channelsBefore <= outChannels else {
      throw wrongInputs(Self.name, expected: "an image of at most \(outChannels - channelsBefore) channels", got: inputs)
    }
    return [outChannels, (inputs[0][1] + stride - 1) / stride, (inputs[0][2] + stride - 1) / stride]
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let (input, output) = (call.inputShapes[0], call.outputShape)
    let (x, y) = (call.inputs[0], call.output)
    call.forEachImage { image, _ in
      (y + image * output.elementCount).update(repeating: 0, count: output.elementCount)
      each(input, output) { from, to in y[image * output.elementCount + to] = x[image * input.elementCount + from] }
    }
  }
  private func each(_ input: Shape, _ output: Shape, _ body: (_ from: Int, _ to: Int) -> Void) {
    for c in 0..<input[0] {
      for r in 0..<output[1] {
        for q in 0..<output[2] {
          body((c * input[1] + r * stride) * input[2] + q * stride, ((c + channelsBefore) * output[1] + r) * output[2] + q)
        }
      }
    }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// The transposed copy.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let (input, output) = (call.call.inputShapes[0], call.call.outputShape)
    let gy = call.outputGradient
    call.call.forEachImage { image, _ in
      (gradient + image * input.elementCount).update(repeating: 0, count: input.elementCount)
      each(input, output) { from, to in gradient[image * input.elementCount + from] = gy[image * output.elementCount + to] }
    }
  }
}
