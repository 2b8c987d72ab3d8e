// Arithmetic of two values of which one is repeated along axes of the other.

import Foundation

/// x ∘ y with NumPy's broadcasting: an axis of length 1 is repeated, missing axes come first. The second value is another node's, or a parameter.
public struct BroadcastArithmetic: DifferentiableOperator {
  /// `broadcast arithmetic`.
  public static let name = "broadcast arithmetic"
  /// The four operations, the larger and the smaller one; at ties the first takes the gradient.
  public enum Operation: String, Codable, Sendable, CaseIterable { case add, subtract, multiply, divide, maximum, minimum }
  /// Which operation.
  public var operation: Operation
  /// The shape of the parameter that is the second value, for one image; nil where it is another node's output.
  public var parameterShape: Shape?
  /// Whether the second value comes first: y ∘ x.
  public var isReversed: Bool
  /// A layer.
  public init(_ operation: Operation, parameterShape: Shape? = nil, isReversed: Bool = false) {
    (self.operation, self.parameterShape, self.isReversed) = (operation, parameterShape, isReversed)
  }

  /// The longer length of every axis.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    let both = inputs + (parameterShape.map { [$0] } ?? [])
    guard both.count == 2 else { throw wrongInputs(Self.name, expected: "two values", got: inputs) }
    let rank = max(both[0].rank, both[1].rank)
    let padded = both.map { Array(repeating: 1, count: rank - $0.rank) + $0.dimensions }
    guard zip(padded[0], padded[1]).allSatisfy({ $0 == $1 || $0 == 1 || $1 == 1 }) else {
      throw wrongInputs(Self.name, expected: "lengths that are equal or 1", got: both)
    }
    return Shape(zip(padded[0], padded[1]).map { max($0, $1) })
  }
  /// Distances of neighbours along the axes of the result, 0 where a value is repeated.
  private static func steps(_ shape: Shape, in result: Shape) -> [Int] {
    var (steps, step) = (Array(repeating: 0, count: result.rank), 1)
    for axis in shape.dimensions.indices.reversed() {
      let place = axis + result.rank - shape.rank
      if shape[axis] > 1 { steps[place] = step }
      step *= shape[axis]
    }
    return steps
  }
  /// Runs `body` for each value of one image's result with the positions in both values.
  private static func walk(_ result: Shape, _ first: [Int], _ second: [Int], _ body: (_ i: Int, _ x: Int, _ y: Int) -> Void) {
    withUnsafeTemporaryAllocation(of: Int.self, capacity: result.rank) { index in
      index.initialize(repeating: 0)
      var (x, y) = (0, 0)
      for i in 0..<result.elementCount {
        body(i, x, y)
        var axis = result.rank - 1
        while axis >= 0 {
          index[axis] += 1
          x += first[axis]
          y += second[axis]
          if index[axis] < result[axis] { break }
          x -= first[axis] * result[axis]
          y -= second[axis] * result[axis]
          index[axis] = 0
          axis -= 1
        }
      }
    }
  }
  private func value(_ x: Float, _ y: Float) -> Float {
    let (a, b) = isReversed ? (y, x) : (x, y)
    return switch operation {
    case .add: a + b
    case .subtract: a - b
    case .multiply: a * b
    case .divide: a / b
    case .maximum: max(a, b)
    case .minimum: min(a, b)
    }
  }
  /// Derivatives by x and by y.
  private func slopes(_ x: Float, _ y: Float) -> (x: Float, y: Float) {
    let (a, b) = isReversed ? (y, x) : (x, y)
    let (first, second): (Float, Float) =
      switch operation {
      case .add: (1, 1)
      case .subtract: (1, -1)
      case .multiply: (b, a)
      case .divide: (1 / b, -a / (b * b))
      case .maximum: a >= b ? (1, 0) : (0, 1)
      case .minimum: a <= b ? (1, 0) : (0, 1)
      }
    return isReversed ? (second, first) : (first, second)
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let result = call.outputShape
    let other = parameterShape ?? call.inputShapes[1]
    let (first, second) = (Self.steps(call.inputShapes[0], in: result), Self.steps(other, in: result))
    let (count, width) = (call.inputShapes[0].elementCount, parameterShape == nil ? other.elementCount : 0)
    let (x, y, out) = (call.inputs[0], parameterShape == nil ? call.inputs[1] : call.parameters[0], call.output)
    call.forEachImage { image, _ in
      let (x, y, out) = (x + image * count, y + image * width, out + image * result.elementCount)
      Self.walk(result, first, second) { i, a, b in out[i] = value(x[a], y[b]) }
    }
  }
  /// Both values.
  public func retained(forParameters: Bool) -> RetainedValues { .inputs }
  /// Gradients of repeated values are summed in double.
  public func backward(_ call: borrowing GradientCall) {
    let result = call.call.outputShape
    let other = parameterShape ?? call.call.inputShapes[1]
    let (first, second) = (Self.steps(call.call.inputShapes[0], in: result), Self.steps(other, in: result))
    let (count, width) = (call.call.inputShapes[0].elementCount, parameterShape == nil ? other.elementCount : 0)
    let (x, y) = (call.call.inputs[0], parameterShape == nil ? call.call.inputs[1] : call.call.parameters[0])
    let gy = call.outputGradient
    let gradients = (call.inputGradients[0], parameterShape == nil ? call.inputGradients[1] : nil)
    call.call.forEachImage { image, _ in
      let (x, y, gy) = (x + image * count, y + image * width, gy + image * result.elementCount)
      withUnsafeTemporaryAllocation(of: Double.self, capacity: count + other.elementCount) { sums in
        sums.update(repeating: 0)
        Self.walk(result, first, second) { i, a, b in
          let slope = slopes(x[a], y[b])
          sums[a] += Double(slope.x) * Double(gy[i])
          sums[count + b] += Double(slope.y) * Double(gy[i])
        }
        if let target = gradients.0 { for a in 0..<count { target[image * count + a] = Float(sums[a]) } }
        if let target = gradients.1 { for b in 0..<width { target[image * width + b] = Float(sums[count + b]) } }
      }
    }
    guard parameterShape != nil, let target = call.parameterGradients[0] else { return }
    withUnsafeTemporaryAllocation(of: Double.self, capacity: other.elementCount) { buffer in
      guard let totals = buffer.baseAddress else { return }
      call.call.sum(width: other.elementCount, into: totals) { images, sums in
        for image in images {
          let (x, gy) = (x + image * count, gy + image * result.elementCount)
          Self.walk(result, first, second) { i, a, b in sums[b] += Double(slopes(x[a], y[b]).y) * Double(gy[i]) }
        }
      }
      for b in 0..<other.elementCount { target[b] = Float(totals[b]) }
    }
  }
}
