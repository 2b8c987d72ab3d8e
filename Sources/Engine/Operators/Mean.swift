// Means over positions or tokens.

/// The mean over all positions of an image (channels × rows × columns → channels), or over the tokens of a sequence (tokens × width → width).
public struct Mean: DifferentiableOperator {
  /// `mean`.
  public static let name = "mean"
  /// What is averaged over.
  public enum Axis: Hashable, Codable, Sendable {
    /// Rows and columns of an image: global average pooling.
    case positions
    /// The tokens of a sequence.
    case tokens
  }
  /// What is averaged over.
  public var axis: Axis
  /// A layer.
  public init(over axis: Axis) { self.axis = axis }

  /// channels, or width.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == (axis == .positions ? 3 : 2), inputs[0].elementCount > 0 else {
      throw wrongInputs(Self.name, expected: axis == .positions ? "one image" : "one sequence of tokens", got: inputs)
    }
    return [axis == .positions ? inputs[0][0] : inputs[0][1]]
  }
  /// Distance between channels and between the values that are averaged, and how many there are.
  private func strides(_ input: Shape) -> (channel: Int, step: Int, count: Int) {
    axis == .positions ? (input[1] * input[2], 1, input[1] * input[2]) : (1, input[1], input[0])
  }
  /// Image by image, in double.
  public func forward(_ call: borrowing OperatorCall) {
    let input = call.inputShapes[0]
    let width = call.outputShape[0]
    let (stride, step, count) = strides(input)
    let (x, y) = (call.inputs[0], call.output)
    call.forEachImage { image, _ in
      for c in 0..<width {
        let start = x + image * input.elementCount + c * stride
        var sum = 0.0
        for i in 0..<count { sum += Double(start[i * step]) }
        y[image * width + c] = Float(sum / Double(count))
      }
    }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// Equal shares.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let input = call.call.inputShapes[0]
    let width = call.call.outputShape[0]
    let (stride, step, count) = strides(input)
    let gy = call.outputGradient
    call.call.forEachImage { image, _ in
      for c in 0..<width {
        let share = gy[image * width + c] / Float(count)
        let start = gradient + image * input.elementCount + c * stride
        for i in 0..<count { start[i * step] = share }
      }
    }
  }
}
