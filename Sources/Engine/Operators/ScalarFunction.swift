// Functions of one value that no classifier family needs often enough for kernels of their own.

import Foundation

/// An elementwise function, computed in double.
public struct ScalarFunction: DifferentiableOperator {
  /// `scalar function`.
  public static let name = "scalar function"
  /// Which function.
  public enum Function: Hashable, Codable, Sendable {
    /// scale · x + shift.
    case affine(scale: Float, shift: Float)
    /// x between two bounds; the gradient passes inside and on them.
    case clip(lowest: Float, highest: Float)
    /// |x|, eˣ, log x, √x, 1 / x, the error function.
    case magnitude, exponential, logarithm, squareRoot, reciprocal, errorFunction
    /// x to a fixed power.
    case power(Float)
    /// x for x > 0, else scale · (eˣ − 1); everything times `factor`.
    case elu(scale: Float, factor: Float)
    /// min(max(scale · x + shift, 0), 1).
    case hardSigmoid(scale: Float, shift: Float)
    /// x tanh(log(1 + eˣ)).
    case mish
  }
  /// The function.
  public var function: Function
  /// A layer that applies the function.
  public init(_ function: Function) { self.function = function }

  /// The input's shape.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1 else { throw wrongInputs(Self.name, expected: "one input", got: inputs) }
    return inputs[0]
  }
  private func value(_ x: Double) -> Double {
    switch function {
    case .affine(let scale, let shift): Double(scale) * x + Double(shift)
    case .clip(let lowest, let highest): min(max(x, Double(lowest)), Double(highest))
    case .magnitude: abs(x)
    case .exponential: exp(x)
    case .logarithm: log(x)
    case .squareRoot: x.squareRoot()
    case .reciprocal: 1 / x
    case .errorFunction: erf(x)
    case .power(let exponent): exponent == 2 ? x * x : pow(x, Double(exponent))
    case .elu(let scale, let factor): Double(factor) * (x > 0 ? x : Double(scale) * expm1(x))
    case .hardSigmoid(let scale, let shift): min(max(Double(scale) * x + Double(shift), 0), 1)
    case .mish: x * tanh(log1p(exp(-abs(x))) + max(x, 0))
    }
  }
  private func slope(_ x: Double) -> Double {
    switch function {
    case .affine(let scale, _): return Double(scale)
    case .clip(let lowest, let highest): return x >= Double(lowest) && x <= Double(highest) ? 1 : 0
    case .magnitude: return x > 0 ? 1 : x < 0 ? -1 : 0
    case .exponential: return exp(x)
    case .logarithm: return 1 / x
    case .squareRoot: return 0.5 / x.squareRoot()
    case .reciprocal: return -1 / (x * x)
    case .errorFunction: return 2 / Double.pi.squareRoot() * exp(-x * x)
    case .power(let exponent): return exponent == 2 ? 2 * x : Double(exponent) * pow(x, Double(exponent) - 1)
    case .elu(let scale, let factor): return Double(factor) * (x > 0 ? 1 : Double(scale) * exp(x))
    case .hardSigmoid(let scale, let shift):
      let inner = Double(scale) * x + Double(shift)
      return inner > 0 && inner < 1 ? Double(scale) : 0
    case .mish:
      let hyperbolic = tanh(log1p(exp(-abs(x))) + max(x, 0))
      return hyperbolic + x * (1 - hyperbolic * hyperbolic) / (1 + exp(-x))
    }
  }
  /// Range by range.
  public func forward(_ call: borrowing OperatorCall) {
    let (x, y) = (call.inputs[0], call.output)
    call.forEachRange(of: call.images * call.outputShape.elementCount) { range in
      for i in range { y[i] = Float(value(Double(x[i]))) }
    }
  }
  /// The input.
  public func retained(forParameters: Bool) -> RetainedValues { .inputs }
  /// f'(x) · gradient.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let (x, gy) = (call.call.inputs[0], call.outputGradient)
    call.call.forEachRange(of: call.call.images * call.call.outputShape.elementCount) { range in
      for i in range { gradient[i] = Float(slope(Double(x[i])) * Double(gy[i])) }
    }
  }
}
