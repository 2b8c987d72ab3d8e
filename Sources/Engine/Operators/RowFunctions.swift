// Functions of the rows of a batch.

internal import CKernels
import Foundation

/// A function of rows along the last axis: probabilities, log-probabilities, their normaliser, unit length.
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
  /// The input's shape; the normaliser is one value per row.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, let width = inputs[0].dimensions.last, width > 0 else {
      throw wrongInputs(Self.name, expected: "one value of rows", got: inputs)
    }
    return function == .logSumExp ? Shape(inputs[0].dimensions.dropLast() + [1]) : inputs[0]
  }
  /// Number and length of the rows of a batch.
  private func rows(_ shape: Shape, images: Int) -> (count: Int, width: Int) {
    let width = shape[shape.rank - 1]
    return (images * (shape.elementCount / width), width)
  }
  /// Row by row.
  public func forward(_ call: borrowing OperatorCall) {
    let (count, width) = rows(call.inputShapes[0], images: call.images)
    let (x, y, function) = (call.inputs[0], call.output, function)
    call.forEachUnit(count) { index, _ in
      let row = x + index * width
      switch function {
      case .softmax: ck_softmax_rows(row, y + index * width, 1, width)
      case .logSoftmax: ck_log_softmax_rows(row, y + index * width, 1, width)
      case .logSumExp: y[index] = logSumExp(row, width)
      case .unitLength(let epsilon):
        let length = max(Float(ck_sum_of_squares(row, width).squareRoot()), epsilon)
        for i in 0..<width { y[index * width + i] = row[i] / length }
      }
    }
  }
  /// What the derivative is written in.
  public func retained(forParameters: Bool) -> RetainedValues { [.inputs, .output] }
  /// Row by row.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let (count, width) = rows(call.call.inputShapes[0], images: call.call.images)
    let (x, y, gy, function) = (call.call.inputs[0], call.call.output, call.outputGradient, function)
    call.call.forEachUnit(count) { index, _ in
      let (row, target) = (x + index * width, gradient + index * width)
      switch function {
      case .softmax: ck_softmax_rows_backward(y + index * width, gy + index * width, target, 1, width)
      case .logSoftmax:
        var sum: Float = 0
        for i in 0..<width { sum += gy[index * width + i] }
        for i in 0..<width { target[i] = gy[index * width + i] - expf(y[index * width + i]) * sum }
      case .logSumExp: for i in 0..<width { target[i] = gy[index] * expf(row[i] - y[index]) }
      case .unitLength(let epsilon):
        let length = Float(ck_sum_of_squares(row, width).squareRoot())
        var product: Float = 0
        for i in 0..<width { product += gy[index * width + i] * y[index * width + i] }
        if length <= epsilon { product = 0 }
        for i in 0..<width { target[i] = (gy[index * width + i] - y[index * width + i] * product) / max(length, epsilon) }
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
