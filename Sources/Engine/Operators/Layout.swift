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
    let walk = Walk(call.inputShapes[0], axes)
    let (x, y, count) = (call.inputs[0], call.output, call.outputShape.elementCount)
    call.forEachImage { image, _ in walk.gather(x + image * count, into: y + image * count) }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// The axes back in their places.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let walk = Walk(call.call.inputShapes[0], axes)
    let (gy, count) = (call.outputGradient, call.call.outputShape.elementCount)
    call.call.forEachImage { image, _ in walk.scatter(gy + image * count, into: gradient + image * count) }
  }

  /// Lengths of the result's last three axes and of those before, with the input's steps.
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
  /// Channels, and the number of neighbouring values that share a factor.
  private func layout(_ shape: Shape) -> (channels: Int, run: Int) {
    isLast ? (shape[shape.rank - 1], 1) : (shape[0], shape.elementCount / max(1, shape[0]))
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let (count, layout) = (call.outputShape.elementCount, layout(call.outputShape))
    let (x, factors, y) = (call.inputs[0], call.parameters[0], call.output)
    call.forEachImage { image, _ in
      for i in 0..<count { y[image * count + i] = x[image * count + i] * factors[i / layout.run % layout.channels] }
    }
  }
  /// The input where the factors learn.
  public func retained(forParameters: Bool) -> RetainedValues { forParameters ? .inputs : [] }
  /// The gradient times the factors; sums over images and positions for the factors.
  public func backward(_ call: borrowing GradientCall) {
    let (count, layout) = (call.call.outputShape.elementCount, layout(call.call.outputShape))
    let (x, factors, gy) = (call.call.inputs[0], call.call.parameters[0], call.outputGradient)
    if let target = call.parameterGradients[0] {
      withUnsafeTemporaryAllocation(of: Double.self, capacity: layout.channels) { buffer in
        guard let totals = buffer.baseAddress else { return }
        call.call.sum(width: layout.channels, into: totals) { images, sums in
          for image in images {
            for i in 0..<count {
              sums[i / layout.run % layout.channels] += Double(x[image * count + i]) * Double(gy[image * count + i])
            }
          }
        }
        for channel in 0..<layout.channels { target[channel] = Float(totals[channel]) }
      }
    }
    guard let gradient = call.inputGradients[0] else { return }
    call.call.forEachImage { image, _ in
      for i in 0..<count { gradient[image * count + i] = gy[image * count + i] * factors[i / layout.run % layout.channels] }
    }
  }
}

/// Zeros around channels × rows × columns.
public struct Pad: DifferentiableOperator {
  /// `pad`.
  public static let name = "pad"
  /// Rows above and below, columns on the left and on the right.
  public var top: Int, left: Int, bottom: Int, right: Int
  /// A layer; numbers of at least 0.
  public init(top: Int, left: Int, bottom: Int, right: Int) { (self.top, self.left, self.bottom, self.right) = (top, left, bottom, right) }

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
      (y + image * to.elementCount).update(repeating: 0, count: to.elementCount)
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
