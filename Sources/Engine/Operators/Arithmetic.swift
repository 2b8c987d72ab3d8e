// Sums and products of two values.

internal import CKernels

/// The sum of two values of one shape.
public struct Add: DifferentiableOperator {
  /// `add`.
  public static let name = "add"
  /// A layer.
  public init() {}
  /// True.
  public var treatsImagesAlone: Bool { true }
  /// The shape of both.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 2, inputs[0] == inputs[1] else { throw wrongInputs(Self.name, expected: "two values of one shape", got: inputs) }
    return inputs[0]
  }
  /// Range by range.
  public func forward(_ call: borrowing OperatorCall) {
    let (x, y, out) = (call.inputs[0], call.inputs[1], call.output)
    call.forEachRange(of: call.images * call.outputShape.elementCount) { range in
      ck_add(x + range.lowerBound, y + range.lowerBound, out + range.lowerBound, range.count)
    }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// The gradient, for both.
  public func backward(_ call: borrowing GradientCall) {
    let gy = call.outputGradient
    for gradient in call.inputGradients {
      guard let gradient else { continue }
      call.call.forEachRange(of: call.call.images * call.call.outputShape.elementCount) { range in
        (gradient + range.lowerBound).update(from: gy + range.lowerBound, count: range.count)
      }
    }
  }
}

/// The product of a value with another of the same shape, or with one factor per channel (channels × 1 × 1 or channels).
public struct Multiply: DifferentiableOperator {
  /// `multiply`.
  public static let name = "multiply"
  /// A layer.
  public init() {}
  /// The shape of the first.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 2, inputs[1].elementCount > 0, inputs[0] == inputs[1] || inputs[1].elementCount == inputs[0].dimensions.first
    else { throw wrongInputs(Self.name, expected: "two values of one shape, or a value and one factor per channel", got: inputs) }
    return inputs[0]
  }
  /// Channel by channel.
  public func forward(_ call: borrowing OperatorCall) {
    let (total, factors) = (call.outputShape.elementCount, call.inputShapes[1].elementCount)
    let (x, y, out) = (call.inputs[0], call.inputs[1], call.output)
    call.forEachImage { image, _ in
      if factors == total { return ck_multiply(x + image * total, y + image * total, out + image * total, total) }
      let area = total / factors
      for c in 0..<factors {
        let factor = y[image * factors + c]
        for i in image * total + c * area..<image * total + (c + 1) * area { out[i] = x[i] * factor }
      }
    }
  }
  /// Both inputs.
  public func retained(forParameters: Bool) -> RetainedValues { .inputs }
  /// The gradient times the other factor.
  public func backward(_ call: borrowing GradientCall) {
    let (total, factors) = (call.call.outputShape.elementCount, call.call.inputShapes[1].elementCount)
    let (x, y, gy) = (call.call.inputs[0], call.call.inputs[1], call.outputGradient)
    let (first, second) = (call.inputGradients[0], call.inputGradients[1])
    let area = total / factors
    call.call.forEachImage { image, _ in
      for c in 0..<factors {
        var sum = 0.0
        for i in image * total + c * area..<image * total + (c + 1) * area {
          if let first { first[i] = gy[i] * y[image * factors + c] }
          sum += Double(gy[i]) * Double(x[i])
        }
        if let second { second[image * factors + c] = Float(sum) }
      }
    }
  }
}
