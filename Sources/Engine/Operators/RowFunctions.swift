// Functions of the rows of a batch.

internal import CKernels
import Foundation

/// A function of one row: probabilities, log-probabilities, their normaliser, unit length.
public struct RowFunction: DifferentiableOperator {
  /// `row function`.
  public static let name = "row function"
  /// Which function.
  public enum Function: Hashable, Codable, Sendable {
    /// eˣ over its sum, the logarithm of that, and log Σ eˣ.
    case softmax, logSoftmax, logSumExp
    /// x / max(‖x‖, ε).
    case unitLength(epsilon: Float)
  }
  /// The function.
  public var function: Function
  /// A layer.
  public init(_ function: Function) { self.function = function }
  /// The row, or one value.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 1, inputs[0][0] > 0 else { throw wrongInputs(Self.name, expected: "one row", got: inputs) }
    return function == .logSumExp ? [1] : inputs[0]
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let width = call.inputShapes[0][0]
    let (x, y, function) = (call.inputs[0], call.output, function)
    call.forEachImage { image, _ in
      let row = x + image * width
      switch function {
      case .softmax: ck_softmax_rows(row, y + image * width, 1, width)
      case .logSoftmax: ck_log_softmax_rows(row, y + image * width, 1, width)
      case .logSumExp: y[image] = logSumExp(row, width)
      case .unitLength(let epsilon):
        let length = max(Float(ck_sum_of_squares(row, width).squareRoot()), epsilon)
        for i in 0..<width { y[image * width + i] = row[i] / length }
      }
    }
  }
  /// What the derivative is written in.
  public func retained(forParameters: Bool) -> RetainedValues { [.inputs, .output] }
  /// Image by image.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let width = call.call.inputShapes[0][0]
    let (x, y, gy, function) = (call.call.inputs[0], call.call.output, call.outputGradient, function)
    call.call.forEachImage { image, _ in
      let (row, target) = (x + image * width, gradient + image * width)
      switch function {
      case .softmax: ck_softmax_rows_backward(y + image * width, gy + image * width, target, 1, width)
      case .logSoftmax:
        var sum: Float = 0
        for i in 0..<width { sum += gy[image * width + i] }
        for i in 0..<width { target[i] = gy[image * width + i] - expf(y[image * width + i]) * sum }
      case .logSumExp: for i in 0..<width { target[i] = gy[image] * expf(row[i] - y[image]) }
      case .unitLength(let epsilon):
        let length = Float(ck_sum_of_squares(row, width).squareRoot())
        var product: Float = 0
        for i in 0..<width { product += gy[image * width + i] * y[image * width + i] }
        if length <= epsilon { product = 0 }
        for i in 0..<width { target[i] = (gy[image * width + i] - y[image * width + i] * product) / max(length, epsilon) }
      }
    }
  }
}

func logSumExp(_ row: UnsafePointer<Float>, _ width: Int) -> Float {
  var largest = row[0]
  for i in 1..<width { largest = max(largest, row[i]) }
  var sum = 0.0
  for i in 0..<width { sum += exp(Double(row[i] - largest)) }
  return largest + Float(log(sum))
}

/// The cosine of the angle between two rows, x · y / (max(‖x‖, ε) max(‖y‖, ε)).
public struct CosineSimilarity: DifferentiableOperator {
  /// `cosine similarity`.
  public static let name = "cosine similarity"
  /// Smallest length.
  public var epsilon: Float
  /// A layer.
  public init(epsilon: Float = 1e-8) { self.epsilon = epsilon }
  /// One value.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 2, inputs[0].rank == 1, inputs[0] == inputs[1] else {
      throw wrongInputs(Self.name, expected: "two rows of one length", got: inputs)
    }
    return [1]
  }
  private func lengths(_ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ width: Int) -> (Double, Double, Double) {
    var product = 0.0
    for i in 0..<width { product += Double(x[i]) * Double(y[i]) }
    let floor = Double(epsilon)
    return (product, max(ck_sum_of_squares(x, width).squareRoot(), floor), max(ck_sum_of_squares(y, width).squareRoot(), floor))
  }
  /// Image by image, in double.
  public func forward(_ call: borrowing OperatorCall) {
    let width = call.inputShapes[0][0]
    let (x, y, out) = (call.inputs[0], call.inputs[1], call.output)
    call.forEachImage { image, _ in
      let (product, a, b) = lengths(x + image * width, y + image * width, width)
      out[image] = Float(product / (a * b))
    }
  }
  /// Both inputs.
  public func retained(forParameters: Bool) -> RetainedValues { .inputs }
  /// Image by image, in double.
  public func backward(_ call: borrowing GradientCall) {
    let width = call.call.inputShapes[0][0]
    let (x, y, gy) = (call.call.inputs[0], call.call.inputs[1], call.outputGradient)
    let (first, second) = (call.inputGradients[0], call.inputGradients[1])
    call.call.forEachImage { image, _ in
      let (u, v, g) = (x + image * width, y + image * width, Double(gy[image]))
      let (product, a, b) = lengths(u, v, width)
      let cosine = product / (a * b)
      for i in 0..<width {
        first?[image * width + i] = Float(g * (Double(v[i]) / (a * b) - cosine * Double(u[i]) / (a * a)))
        second?[image * width + i] = Float(g * (Double(u[i]) / (a * b) - cosine * Double(v[i]) / (b * b)))
      }
    }
  }
}
