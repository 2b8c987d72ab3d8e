// Values of an image gathered at regular distances.

/// Reads the values of one image at regular distances: a transposition, a slice, a repetition, or all of these at once.
///
/// Value (i, j, …) of the result is value `offset` + i · `steps[0]` + j · `steps[1]` + … of the input, counted in row-major order; a step of 0 repeats.
public struct StridedView: DifferentiableOperator {
  /// `strided view`.
  public static let name = "strided view"
  /// Position of the first value.
  public var offset: Int
  /// Lengths of the axes that are walked, outermost first, and how far apart neighbours along each lie in the input.
  public var lengths: [Int], steps: [Int]
  /// The result's shape, as many values as the lengths have.
  public var shape: Shape
  /// A layer.
  public init(offset: Int, lengths: [Int], steps: [Int], shape: Shape) {
    (self.offset, self.lengths, self.steps, self.shape) = (offset, lengths, steps, shape)
  }

  /// The given shape.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    let last = zip(lengths, steps).reduce(offset) { $0 + ($1.0 - 1) * $1.1 }
    guard inputs.count == 1, lengths.count == steps.count, lengths.reduce(1, *) == shape.elementCount, lengths.allSatisfy({ $0 > 0 }),
      offset >= 0, steps.allSatisfy({ $0 >= 0 }), last < inputs[0].elementCount
    else { throw wrongInputs(Self.name, expected: "one value of more than \(last) numbers", got: inputs) }
    return shape
  }
  /// Runs `body` for each run along the last axis: where it begins in the result and in the input, its length and its step.
  private func forEachRun(_ body: (_ to: Int, _ from: Int, _ count: Int, _ step: Int) -> Void) {
    guard let count = lengths.last, let step = steps.last else { return body(0, offset, 1, 1) }
    let outer = lengths.dropLast()
    withUnsafeTemporaryAllocation(of: Int.self, capacity: outer.count) { index in
      index.initialize(repeating: 0)
      var (to, from, axis) = (0, offset, 0)
      repeat {
        body(to, from, count, step)
        to += count
        axis = outer.count - 1
        while axis >= 0 {
          index[axis] += 1
          from += steps[axis]
          if index[axis] < outer[axis] { break }
          from -= steps[axis] * outer[axis]
          index[axis] = 0
          axis -= 1
        }
      } while axis >= 0
    }
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let (from, to) = (call.inputShapes[0].elementCount, call.outputShape.elementCount)
    let (x, y) = (call.inputs[0], call.output)
    call.forEachImage { image, _ in
      let (source, target) = (x + image * from, y + image * to)
      forEachRun { to, from, count, step in
        if step == 1 {
          (target + to).update(from: source + from, count: count)
        } else {
          for i in 0..<count { target[to + i] = source[from + i * step] }
        }
      }
    }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// Each gradient goes where its value came from; repeated values collect theirs.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let (from, to) = (call.call.inputShapes[0].elementCount, call.call.outputShape.elementCount)
    let gy = call.outputGradient
    call.call.forEachImage { image, _ in
      let (source, target) = (gy + image * to, gradient + image * from)
      target.update(repeating: 0, count: from)
      forEachRun { to, from, count, step in for i in 0..<count { target[from + i * step] += source[to + i] } }
    }
  }
}
