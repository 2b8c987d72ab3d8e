// Joining values along their first axis.

/// Joins values along the first axis of an image: channels of images, tokens of sequences.
public struct Concatenate: DifferentiableOperator {
  /// `concatenate`.
  public static let name = "concatenate"
  /// A layer.
  public init() {}
  /// The lengths of the first axis added up.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard let first = inputs.first, first.rank > 0, inputs.allSatisfy({ $0.dimensions.dropFirst() == first.dimensions.dropFirst() }) else {
      throw wrongInputs(Self.name, expected: "values that differ in their first axis only", got: inputs)
    }
    return Shape([inputs.reduce(0) { $0 + $1[0] }] + first.dimensions.dropFirst())
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let total = call.outputShape.elementCount
    let (inputs, shapes, out) = (call.inputs, call.inputShapes, call.output)
    call.forEachImage { image, _ in
      var target = out + image * total
      for (input, shape) in zip(inputs, shapes) {
        target.update(from: input + image * shape.elementCount, count: shape.elementCount)
        target += shape.elementCount
      }
    }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// Slices of the gradient.
  public func backward(_ call: borrowing GradientCall) {
    let total = call.call.outputShape.elementCount
    let (gradients, shapes, gy) = (call.inputGradients, call.call.inputShapes, call.outputGradient)
    call.call.forEachImage { image, _ in
      var source = gy + image * total
      for (gradient, shape) in zip(gradients, shapes) {
        if let gradient { (gradient + image * shape.elementCount).update(from: source, count: shape.elementCount) }
        source += shape.elementCount
      }
    }
  }
}
