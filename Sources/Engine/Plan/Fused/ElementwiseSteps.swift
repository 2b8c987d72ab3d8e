// Steps in blocked layout that are not convolutions: evaluation, pooling, shortcuts, changes of layout.

internal import CKernels

/// Evaluates an operand element by element: materialises values, joins gradients, takes moments.
final class Elementwise: SummingStep, GradientStep, @unchecked Sendable {
  let name: String
  let shape: Shape
  let operand: OperandSpecification
  /// Changed only while the plan is compiled.
  var epilogue: EpilogueSpecification
  private var center: ChannelCopy?
  var label: String { name + epilogue.note }

  init(_ name: String, _ shape: Shape, _ operand: OperandSpecification, _ epilogue: EpilogueSpecification) {
    (self.name, self.shape, self.operand, self.epilogue) = (name, shape, operand, epilogue)
  }
  func attach(_ sums: SumsSpecification, center: ChannelCopy?) {
    epilogue.sums = sums
    self.center = center
  }
  func run(_ frame: borrowing Frame) {
    center?.run(frame, channels: shape[0])
    var operand = operand.resolve(frame)
    var epilogue = epilogue.resolve(frame)
    ck_elementwise(frame.pool.handle, Int32(frame.images), Int32(shape[0]), Int32(shape[1]), Int32(shape[2]), &operand, &epilogue)
  }
}

/// Plain rows into blocks.
final class ToBlocked: PlanStep {
  let label = "to blocked layout"
  let shape: Shape, input: BufferID, output: BufferID
  init(_ shape: Shape, _ input: BufferID, _ output: BufferID) { (self.shape, self.input, self.output) = (shape, input, output) }
  func run(_ frame: borrowing Frame) {
    ck_to_blocked(
      frame.pool.handle, Int32(frame.images), Int32(shape[0]), Int32(shape[1]), Int32(shape[2]), frame.reading(input), frame.floats(output))
  }
}

/// Blocks into plain rows.
final class FromBlocked: PlanStep {
  let label = "from blocked layout"
  let shape: Shape, operand: OperandSpecification, output: BufferID
  init(_ shape: Shape, _ operand: OperandSpecification, _ output: BufferID) {
    (self.shape, self.operand, self.output) = (shape, operand, output)
  }
  func run(_ frame: borrowing Frame) {
    var operand = operand.resolve(frame)
    ck_from_blocked(
      frame.pool.handle, Int32(frame.images), Int32(shape[0]), Int32(shape[1]), Int32(shape[2]), &operand, frame.floats(output))
  }
}

/// Global average pooling: blocks into plain rows of channels.
final class GlobalAverage: PlanStep {
  let label = "global average"
  let shape: Shape, operand: OperandSpecification, output: BufferID
  init(_ shape: Shape, _ operand: OperandSpecification, _ output: BufferID) {
    (self.shape, self.operand, self.output) = (shape, operand, output)
  }
  func run(_ frame: borrowing Frame) {
    var operand = operand.resolve(frame)
    ck_global_average(
      frame.pool.handle, Int32(frame.images), Int32(shape[0]), Int32(shape[1]), Int32(shape[2]), &operand, frame.floats(output))
  }
}
final class GlobalAverageBackward: GradientStep, @unchecked Sendable {
  var label: String { "global average backward" + epilogue.note }
  let shape: Shape, gradient: BufferID
  var epilogue: EpilogueSpecification
  init(_ shape: Shape, _ gradient: BufferID, _ epilogue: EpilogueSpecification) {
    (self.shape, self.gradient, self.epilogue) = (shape, gradient, epilogue)
  }
  func run(_ frame: borrowing Frame) {
    var epilogue = epilogue.resolve(frame)
    ck_global_average_backward(
      frame.pool.handle, Int32(frame.images), Int32(shape[0]), Int32(shape[1]), Int32(shape[2]), frame.reading(gradient), &epilogue)
  }
}

/// The gradient of a gate: sums over positions of gradient times value, into plain rows of channels.
final class ChannelProducts: PlanStep {
  let label = "gate gradient"
  let shape: Shape, operand: OperandSpecification, gradient: BufferID, output: BufferID
  init(_ shape: Shape, _ operand: OperandSpecification, _ gradient: BufferID, _ output: BufferID) {
    (self.shape, self.operand, self.gradient, self.output) = (shape, operand, gradient, output)
  }
  func run(_ frame: borrowing Frame) {
    var operand = operand.resolve(frame)
    ck_channel_products(
      frame.pool.handle, Int32(frame.images), Int32(shape[0]), Int32(shape[1]), Int32(shape[2]), &operand, frame.reading(gradient),
      frame.floats(output))
  }
}
/// Per image the factors of a gate, then the gradient of the mean divided by its positions: scale and shift of the gradient behind a gate.
final class GateCoefficients: PlanStep {
  let label = "gate coefficients"
  let factors: GateReference, mean: BufferID, positions: Int, output: BufferID
  init(_ factors: GateReference, mean: BufferID, positions: Int, _ output: BufferID) {
    (self.factors, self.mean, self.positions, self.output) = (factors, mean, positions, output)
  }
  func run(_ frame: borrowing Frame) {
    let (channels, target) = (factors.channels, frame.floats(output))
    let (factors, gradient) = (frame.reading(factors.buffer), frame.reading(mean))
    for image in 0..<frame.images {
      let row = target + image * 2 * channels
      row.update(from: factors + image * channels, count: channels)
      for c in 0..<channels { row[channels + c] = gradient[image * channels + c] / Float(positions) }
    }
  }
}

/// Pooling of windows.
final class PoolingForward: SummingStep, @unchecked Sendable {
  let label: String
  let shape: ck_pool_shape
  let operand: OperandSpecification
  /// Changed only while the plan is compiled.
  private(set) var epilogue: EpilogueSpecification
  private var center: ChannelCopy?
  init(_ label: String, _ shape: ck_pool_shape, _ operand: OperandSpecification, _ epilogue: EpilogueSpecification) {
    (self.label, self.shape, self.operand, self.epilogue) = (label, shape, operand, epilogue)
  }
  func attach(_ sums: SumsSpecification, center: ChannelCopy?) {
    epilogue.sums = sums
    self.center = center
  }
  func run(_ frame: borrowing Frame) {
    center?.run(frame, channels: Int(shape.channels))
    var shape = shape
    var operand = operand.resolve(frame)
    var epilogue = epilogue.resolve(frame)
    ck_pooling(frame.pool.handle, Int32(frame.images), &shape, &operand, &epilogue)
  }
}
final class PoolingBackward: GradientStep, @unchecked Sendable {
  let name: String
  let shape: ck_pool_shape
  let operand: OperandSpecification, gradient: BufferID
  var epilogue: EpilogueSpecification
  var label: String { name + epilogue.note }
  init(_ name: String, _ shape: ck_pool_shape, _ operand: OperandSpecification, _ gradient: BufferID, _ epilogue: EpilogueSpecification) {
    (self.name, self.shape, self.operand, self.gradient, self.epilogue) = (name, shape, operand, gradient, epilogue)
  }
  func run(_ frame: borrowing Frame) {
    var shape = shape
    var operand = operand.resolve(frame)
    var epilogue = epilogue.resolve(frame)
    ck_pooling_backward(frame.pool.handle, Int32(frame.images), &shape, &operand, frame.reading(gradient), &epilogue)
  }
}

/// Shortcuts without weights, in both directions.
final class ShortcutStep: PlanStep {
  let label: String
  let shortcut: Shortcut, shape: Shape, input: BufferID, output: BufferID, backward: Bool
  init(_ label: String, _ shortcut: Shortcut, _ shape: Shape, _ input: BufferID, _ output: BufferID, backward: Bool) {
    self.label = label + (backward ? ": shortcut backward" : ": shortcut")
    (self.shortcut, self.shape, self.input, self.output, self.backward) = (shortcut, shape, input, output, backward)
  }
  func run(_ frame: borrowing Frame) {
    let run = backward ? ck_shortcut_backward : ck_shortcut
    run(
      frame.pool.handle, Int32(frame.images), Int32(shape[0]), Int32(shape[1]), Int32(shape[2]), Int32(shortcut.stride),
      Int32(shortcut.channelsBefore), Int32(shortcut.outChannels), frame.reading(input), frame.floats(output))
  }
}
