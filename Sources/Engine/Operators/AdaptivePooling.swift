// Pooling to a given size.

/// Maximum or mean over a grid of given size, with PyTorch's cell bounds: cell i covers ⌊i·n/m⌋ ..< ⌈(i+1)·n/m⌉.
public struct AdaptivePooling: DifferentiableOperator {
  /// `adaptive pooling`.
  public static let name = "adaptive pooling"
  /// Whether the maximum is taken, else the mean.
  public var takesMaximum: Bool
  /// Rows and columns of the result.
  public var size: Convolution.Pair
  /// A layer.
  public init(takesMaximum: Bool = false, size: Convolution.Pair) { (self.takesMaximum, self.size) = (takesMaximum, size) }

  /// channels × rows × columns.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 3, inputs[0].elementCount > 0 else {
      throw wrongInputs(Self.name, expected: "one image", got: inputs)
    }
    return [inputs[0][0], size.height, size.width]
  }
  private static func cell(_ i: Int, _ n: Int, _ m: Int) -> Range<Int> { i * n / m..<((i + 1) * n + m - 1) / m }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let (input, output) = (call.inputShapes[0], call.outputShape)
    let (x, y) = (call.inputs[0], call.output)
    call.forEachImage { image, _ in
      each(image, input, output) { cell, plane, rows, columns in
        var (sum, best): (Float, Float) = (0, -.infinity)
        for i in rows {
          for j in columns {
            let value = x[plane + i * input[2] + j]
            sum += value
            best = max(best, value)
          }
        }
        y[cell] = takesMaximum ? best : sum / Float(rows.count * columns.count)
      }
    }
  }
  private func each(
    _ image: Int, _ input: Shape, _ output: Shape, _ body: (_ cell: Int, _ plane: Int, _ rows: Range<Int>, _ columns: Range<Int>) -> Void
  ) {
    for channel in 0..<input[0] {
      let plane = (image * input[0] + channel) * input[1] * input[2]
      for r in 0..<size.height {
        for q in 0..<size.width {
          let cell = ((image * output[0] + channel) * output[1] + r) * output[2] + q
          body(cell, plane, Self.cell(r, input[1], size.height), Self.cell(q, input[2], size.width))
        }
      }
    }
  }
  /// The input, to find maxima again.
  public func retained(forParameters: Bool) -> RetainedValues { takesMaximum ? .inputs : [] }
  /// Image by image.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let (input, output) = (call.call.inputShapes[0], call.call.outputShape)
    let (x, gy) = (call.call.inputs[0], call.outputGradient)
    call.call.forEachImage { image, _ in
      (gradient + image * input.elementCount).update(repeating: 0, count: input.elementCount)
      each(image, input, output) { cell, plane, rows, columns in
        var best = -1
        let share = gy[cell] / Float(rows.count * columns.count)
        for i in rows {
          for j in columns {
            let position = plane + i * input[2] + j
            if takesMaximum {
              if best < 0 || x[position] > x[best] { best = position }
            } else {
              gradient[position] += share
            }
          }
        }
        if takesMaximum { gradient[best] += gy[cell] }
      }
    }
  }
}
