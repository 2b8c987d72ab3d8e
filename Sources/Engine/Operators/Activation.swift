// Functions of one value.

internal import CKernels

/// An elementwise function.
public struct Activation: DifferentiableOperator {
  /// `activation`.
  public static let name = "activation"
  /// Which function; at kinks the derivatives are PyTorch's.
  public enum Function: Hashable, Codable, Sendable {
    /// max(x, 0), and the same with a ceiling of 6.
    case relu, relu6
    /// x for x > 0, else slope · x.
    case leakyReLU(slope: Float)
    /// x Φ(x), exact and in its tanh form.
    case gelu, geluTanh
    /// x σ(x), and its piecewise form.
    case silu, hardSwish
    /// σ(x), and its piecewise form.
    case sigmoid, hardSigmoid
    /// The hyperbolic tangent and log(1 + eˣ).
    case tanh, softplus
  }
  /// The function.
  public var function: Function
  /// A layer that applies the function.
  public init(_ function: Function) { self.function = function }

  private var code: (ck_function, Float) {
    switch function {
    case .relu: (CK_RELU, 0)
    case .relu6: (CK_RELU6, 0)
    case .leakyReLU(let slope): (CK_LEAKY_RELU, slope)
    case .gelu: (CK_GELU, 0)
    case .geluTanh: (CK_GELU_TANH, 0)
    case .silu: (CK_SILU, 0)
    case .hardSwish: (CK_HARDSWISH, 0)
    case .sigmoid: (CK_SIGMOID, 0)
    case .hardSigmoid: (CK_HARDSIGMOID, 0)
    case .tanh: (CK_TANH, 0)
    case .softplus: (CK_SOFTPLUS, 0)
    }
  }
  /// True.
  public var treatsImagesAlone: Bool { true }
  /// The input's shape.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1 else { throw wrongInputs(Self.name, expected: "one input", got: inputs) }
    return inputs[0]
  }
  /// Range by range.
  public func forward(_ call: borrowing OperatorCall) {
    let (code, slope) = code
    let (x, y) = (call.inputs[0], call.output)
    call.forEachRange(of: call.images * call.outputShape.elementCount) { range in
      ck_function_forward(code, slope, x + range.lowerBound, y + range.lowerBound, range.count)
    }
  }
  /// The input.
  public func retained(forParameters: Bool) -> RetainedValues { .inputs }
  /// f'(x) · gradient.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let (code, slope) = code
    let (x, gy) = (call.call.inputs[0], call.outputGradient)
    call.call.forEachRange(of: call.call.images * call.call.outputShape.elementCount) { range in
      ck_function_backward(code, slope, x + range.lowerBound, gy + range.lowerBound, gradient + range.lowerBound, range.count)
    }
  }
}
