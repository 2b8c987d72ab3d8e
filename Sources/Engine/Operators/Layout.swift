// The same values in another order or under another shape.

internal import CKernels

/// Moves the axes of one image: axis k of the result is axis `axes[k]` of the input.
public struct Permute: DifferentiableOperator {
  /// `permute`.
  public static let name = "permute"
  /// For each axis of the result, the axis of the input.
  public var axes: [Int]
  /// A layer; `axes` holds each of 0 ..< rank once.
  public init(_ axes: [Int]) { self.axes = axes }

  /// The input's lengths in the new order.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, axes.sorted() == Array(0..<inputs[0].rank) else {
      throw wrongInputs(Self.name, expected: "one value of \(axes.count) axes, moved as \(axes)", got: inputs)
    }
    return Shape(axes.map { inputs[0][$0] })
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let (x, y, count) = (call.inputs[0], call.output, call.outputShape.elementCount)
    if let (rows, columns) = matrix(call.inputShapes[0]) {
      return call.forEachImage { image, _ in transpose(x + image * count, into: y + image * count, rows: rows, columns: columns) }
    }
    let walk = Walk(call.inputShapes[0], axes)
    call.forEachImage { image, _ in walk.gather(x + image * count, into: y + image * count) }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// The axes back in their places.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let (gy, count) = (call.outputGradient, call.call.outputShape.elementCount)
    if let (rows, columns) = matrix(call.call.inputShapes[0]) {
      return call.call.forEachImage { image, _ in
        transpose(gy + image * count, into: gradient + image * count, rows: columns, columns: rows)
      }
    }
    let walk = Walk(call.call.inputShapes[0], axes)
    call.call.forEachImage { image, _ in walk.scatter(gy + image * count, into: gradient + image * count) }
  }

  /// Rows and columns where moving the axes is transposing a matrix: the last axes in front of the first ones.
  private func matrix(_ shape: Shape) -> (rows: Int, columns: Int)? {
    guard let first = axes.first, axes == Array(first..<axes.count) + Array(0..<first) else { return nil }
    let rows = shape.dimensions[..<first].reduce(1, *)
    return (rows, shape.elementCount / max(1, rows))
  }

  /// Lengths of the result's axes, and how far apart neighbours along each lie in the input.
  private struct Walk {
    private var lengths: [Int], steps: [Int]

    init(_ shape: Shape, _ axes: [Int]) {
      var stride = Array(repeating: 1, count: shape.rank)
      for axis in stride.indices.dropLast().reversed() { stride[axis] = stride[axis + 1] * shape[axis + 1] }
      (lengths, steps) = (axes.map { shape[$0] }, axes.map { stride[$0] })
    }
    func gather(_ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>) {
      forEachRow { from, to, count, step in for i in 0..<count { y[to + i] = x[from + i * step] } }
    }
    func scatter(_ y: UnsafePointer<Float>, into x: UnsafeMutablePointer<Float>) {
      forEachRow { from, to, count, step in for i in 0..<count { x[from + i * step] = y[to + i] } }
    }
    private func forEachRow(_ body: (_ from: Int, _ to: Int, _ count: Int, _ step: Int) -> Void) {
      let last = lengths.count - 1
      func descend(_ axis: Int, _ from: Int, _ to: inout Int) {
        if axis == last {
          body(from, to, lengths[last], steps[last])
          to += lengths[last]
        } else {
          for i in 0..<lengths[axis] { descend(axis + 1, from + i * steps[axis], &to) }
        }
      }
      var to = 0
      if last >= 0 { descend(0, 0, &to) }
    }
  }
}

/// y[c][r] = x[r][c], in tiles that stay in the cache.
func transpose(_ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, rows: Int, columns: Int) {
  let tile = 16
  for firstRow in stride(from: 0, to: rows, by: tile) {
    for firstColumn in stride(from: 0, to: columns, by: tile) {
      for c in firstColumn..<min(columns, firstColumn + tile) {
        for r in firstRow..<min(rows, firstRow + tile) { y[c * rows + r] = x[r * columns + c] }
      }
    }
  }
}

/// The values of one image in their order under another shape.
public struct Reshape: DifferentiableOperator {
  /// `reshape`.
  public static let name = "reshape"
  /// The new shape; nil flattens.
  public var shape: Shape?
  /// A layer.
  public init(_ shape: Shape? = nil) { self.shape = shape }

  /// The given shape.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, shape.map({ $0.elementCount == inputs[0].elementCount }) ?? true else {
      throw wrongInputs(Self.name, expected: "\(shape?.elementCount ?? 0) values", got: inputs)
    }
    return shape ?? [inputs[0].elementCount]
  }
  /// A copy.
  public func forward(_ call: borrowing OperatorCall) {
    let (x, y) = (call.inputs[0], call.output)
    call.forEachRange(of: call.images * call.outputShape.elementCount) { range in
      (y + range.lowerBound).update(from: x + range.lowerBound, count: range.count)
    }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// A copy back.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let gy = call.outputGradient
    call.call.forEachRange(of: call.call.images * call.call.outputShape.elementCount) { range in
      (gradient + range.lowerBound).update(from: gy + range.lowerBound, count: range.count)
    }
  }
}

/// A learnt factor per channel (channels × 1 × 1 in PyTorch) or per feature. Parameter: the factors.
///
/// Layer scale of Touvron et al., "Going deeper with image transformers", ICCV 2021.
public struct ScaleChannels: DifferentiableOperator {
  /// `scale channels`.
  public static let name = "scale channels"
  /// Whether the last axis holds the channels, else the first.
  public var isLast: Bool
  /// A layer.
  public init(isLast: Bool) { self.isLast = isLast }

  /// The input's shape.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank > 0 else { throw wrongInputs(Self.name, expected: "one value with an axis", got: inputs) }
    return inputs[0]
  }
  /// Runs `body` for each run of neighbouring values that share a factor (or, with channels last, for each row of one value per channel).
  private func forEachRun(_ shape: Shape, _ body: (_ range: Range<Int>, _ channel: Int?) -> Void) {
    let (count, channels) = (shape.elementCount, isLast ? shape[shape.rank - 1] : shape[0])
    guard count > 0 else { return }
    if isLast {
      for row in stride(from: 0, to: count, by: channels) { body(row..<row + channels, nil) }
    } else {
      let run = count / channels
      for channel in 0..<channels { body(channel * run..<(channel + 1) * run, channel) }
    }
  }
  private func scale(_ x: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, _ shape: Shape) {
    forEachRun(shape) { range, channel in
      if let channel {
        let factor = factors[channel]
        for i in range { y[i] = x[i] * factor }
      } else {
        for i in range { y[i] = x[i] * factors[i - range.lowerBound] }
      }
    }
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let shape = call.outputShape
    let (x, factors, y, count) = (call.inputs[0], call.parameters[0], call.output, shape.elementCount)
    call.forEachImage { image, _ in scale(x + image * count, factors, into: y + image * count, shape) }
  }
  /// The input where the factors learn.
  public func retained(forParameters: Bool) -> RetainedValues { forParameters ? .inputs : [] }
  /// The gradient times the factors; sums over images and positions for the factors.
  public func backward(_ call: borrowing GradientCall) {
    let shape = call.call.outputShape
    let count = shape.elementCount
    let (x, factors, gy) = (call.call.inputs[0], call.call.parameters[0], call.outputGradient)
    if let target = call.parameterGradients[0] {
      let channels = isLast ? shape[shape.rank - 1] : shape[0]
      withUnsafeTemporaryAllocation(of: Double.self, capacity: channels) { buffer in
        guard let totals = buffer.baseAddress else { return }
        call.call.sum(width: channels, into: totals) { images, sums in
          for image in images {
            let (x, gy) = (x + image * count, gy + image * count)
            forEachRun(shape) { range, channel in
              for i in range { sums[channel ?? i - range.lowerBound] += Double(x[i]) * Double(gy[i]) }
            }
          }
        }
        for channel in 0..<channels { target[channel] = Float(totals[channel]) }
      }
    }
    guard let gradient = call.inputGradients[0] else { return }
    call.call.forEachImage { image, _ in scale(gy + image * count, factors, into: gradient + image * count, shape) }
  }
}

/// A constant around channels × rows × columns.
public struct Pad: DifferentiableOperator {
  /// `pad`.
  public static let name = "pad"
  /// Rows above and below, columns on the left and on the right.
  public var top: Int, left: Int, bottom: Int, right: Int
  /// What is put there.
  public var value: Float
  /// A layer; numbers of at least 0.
  public init(top: Int, left: Int, bottom: Int, right: Int, value: Float = 0) {
    (self.top, self.left, self.bottom, self.right, self.value) = (top, left, bottom, right, value)
  }

  /// channels × (top + rows + bottom) × (left + columns + right).
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 3, min(top, left, bottom, right) >= 0 else {
      throw wrongInputs(Self.name, expected: "one image", got: inputs)
    }
    return [inputs[0][0], top + inputs[0][1] + bottom, left + inputs[0][2] + right]
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let (from, to) = (call.inputShapes[0], call.outputShape)
    let (x, y) = (call.inputs[0], call.output)
    call.forEachImage { image, _ in
      (y + image * to.elementCount).update(repeating: value, count: to.elementCount)
      for row in 0..<from[0] * from[1] {
        (y + image * to.elementCount + place(of: row, from, to)).update(from: x + image * from.elementCount + row * from[2], count: from[2])
      }
    }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// The inner part of the gradient.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let (from, to) = (call.call.inputShapes[0], call.call.outputShape)
    let gy = call.outputGradient
    call.call.forEachImage { image, _ in
      for row in 0..<from[0] * from[1] {
        (gradient + image * from.elementCount + row * from[2]).update(
          from: gy + image * to.elementCount + place(of: row, from, to), count: from[2])
      }
    }
  }
  /// Where a row of the input, counted over all channels, begins in the result.
  private func place(of row: Int, _ from: Shape, _ to: Shape) -> Int {
    let (channel, inner) = row.quotientAndRemainder(dividingBy: from[1])
    return (channel * to[1] + top + inner) * to[2] + left
  }
}
