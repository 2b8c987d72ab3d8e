// Steps that run convolutions in blocked layout.

internal import CKernels

/// Where a convolution's packed weights come from.
struct PackedSource: Sendable {
  let key: Program.PackedKey
  let weight: ParameterID
  /// A buffer to pack into at every run; nil: the program keeps packed weights.
  let transient: BufferID?

  /// Runs the convolution with its weights packed.
  func run(_ conv: ck_conv, _ operand: ck_operand, _ epilogue: ck_epilogue, _ frame: borrowing Frame) {
    var (conv, operand, epilogue) = (conv, operand, epilogue)
    let (values, pool, images) = (frame.parameters.pointer(weight), frame.pool.handle, Int32(frame.images))
    if let transient {
      ck_conv_pack(&conv, pool, values, frame.floats(transient))
      return ck_conv_run(&conv, pool, images, frame.floats(transient), &operand, &epilogue)
    }
    let packed = frame.program.packedWeights(key, of: frame.parameters[weight], count: ck_conv_packed_count(&conv)) { target in
      ck_conv_pack(&conv, pool, values, target)
      frame.parameters[weight].giveBackPages()
    }
    packed.withPointer { ck_conv_run(&conv, pool, images, $0, &operand, &epilogue) }
  }
}

/// A convolution forward: evaluates its operand while packing, takes moments of its output.
final class ConvolutionForward: SummingStep, @unchecked Sendable {
  let name: String
  /// What its label adds.
  private var note = ""
  let conv: ck_conv
  let source: PackedSource
  let operand: OperandSpecification
  /// Changed only while the plan is compiled.
  private(set) var epilogue: EpilogueSpecification
  private var center: ChannelCopy?
  private let bias: ChannelCopy?
  /// Constants of the input normalisation, padded, for a stem.
  private let normalization: Tensor?

  convenience init(
    _ name: String, _ conv: ck_conv, _ source: PackedSource, _ operand: OperandSpecification, _ epilogue: EpilogueSpecification,
    bias: ParameterID?, normalization: Normalize? = nil
  ) {
    let constants = normalization.map {
      let padding = [Float](repeating: 0, count: 16 - $0.scale.count)
      return Tensor($0.scale + padding + $0.shift + padding, shape: [32])
    }
    let copy: ChannelCopy? = if let bias, let buffer = epilogue.bias { ChannelCopy(parameter: bias, buffer: buffer) } else { nil }
    self.init(name, conv, source, operand, epilogue, normalization: constants, bias: copy)
  }
  private init(
    _ name: String, _ conv: ck_conv, _ source: PackedSource, _ operand: OperandSpecification, _ epilogue: EpilogueSpecification,
    normalization: Tensor?, bias: ChannelCopy?
  ) {
    (self.name, self.conv, self.source, self.operand, self.epilogue) = (name, conv, source, operand, epilogue)
    (self.normalization, self.bias) = (normalization, bias)
  }
  func attach(_ sums: SumsSpecification, center: ChannelCopy?) {
    epilogue.sums = sums
    self.center = center
  }
  /// The same convolution in the backward, to the same bits: it reads what the forward left in memory and takes no moments.
  func computedAgain(packingInto transient: BufferID?) -> ConvolutionForward {
    let again = ConvolutionForward(
      name, conv, PackedSource(key: source.key, weight: source.weight, transient: transient), keptOperand,
      EpilogueSpecification(output: epilogue.output, bias: epilogue.bias), normalization: normalization, bias: bias)
    again.note = ", computed again"
    return again
  }
  /// What is read where nothing needs to be left behind: the value itself if this step keeps it.
  var keptOperand: OperandSpecification {
    if let kept = operand.store { return OperandSpecification(x: kept) }
    var operand = operand
    operand.signs = nil
    return operand
  }
  /// Operations per image, counted as direct products.
  var work: Double {
    var conv = conv
    return ck_conv_flops(&conv)
  }
  /// Adds a stored value to the result: a residual shortcut.
  func attach(addend: BufferID) { epilogue.addend = addend }

  var label: String { "\(name): \(Self.title(conv)) forward\(note)" }
  static func title(_ conv: ck_conv) -> String {
    switch conv.algorithm {
    case CK_CONV_WINOGRAD: "winograd"
    case CK_CONV_POINTWISE: conv.bfloat16 ? "bfloat16 pointwise" : "pointwise"
    case CK_CONV_DEPTHWISE: "depthwise"
    case CK_CONV_STEM: "stem"
    default: conv.bfloat16 ? "bfloat16 direct" : "direct"
    }
  }
  func run(_ frame: borrowing Frame) {
    center?.run(frame, channels: Int(conv.shape.filters))
    bias?.run(frame, channels: Int(conv.shape.filters))
    source.run(conv, normalized(operand.resolve(frame)), epilogue.resolve(frame), frame)
  }
  /// An operand as this convolution reads it: a stem's behind the input normalisation.
  func normalized(_ operand: ck_operand) -> ck_operand {
    guard let normalization else { return operand }
    var operand = operand
    let values = UnsafePointer(normalization.storage.pointer)
    operand.affine = ck_affine(scale: values, shift: values + 16, image_stride: 0)
    return operand
  }
}

/// The gradient of a convolution's input.
final class ConvolutionBackward: GradientStep, @unchecked Sendable {
  let name: String
  let conv: ck_conv
  let source: PackedSource
  let operand: OperandSpecification
  var epilogue: EpilogueSpecification

  init(_ name: String, _ conv: ck_conv, _ source: PackedSource, _ operand: OperandSpecification, _ epilogue: EpilogueSpecification) {
    (self.name, self.conv, self.source, self.operand, self.epilogue) = (name, conv, source, operand, epilogue)
  }
  var label: String { "\(name): \(ConvolutionForward.title(conv)) backward\(epilogue.note)" }
  func run(_ frame: borrowing Frame) {
    source.run(conv, operand.resolve(frame), epilogue.resolve(frame), frame)
  }
}

/// The gradients of a convolution's weights and bias.
final class ConvolutionWeightGradient: PlanStep {
  let forward: ConvolutionForward
  let operand: OperandSpecification, gradient: OperandSpecification
  let partial: BufferID, weights: BufferID?, bias: BufferID?

  init(
    _ forward: ConvolutionForward, _ operand: OperandSpecification, _ gradient: OperandSpecification, partial: BufferID, weights: BufferID?,
    bias: BufferID?
  ) {
    (self.forward, self.operand, self.gradient) = (forward, operand, gradient)
    (self.partial, self.weights, self.bias) = (partial, weights, bias)
  }
  var label: String { "\(forward.name): weight gradient" }
  func run(_ frame: borrowing Frame) {
    var conv = forward.conv
    var input = forward.normalized(operand.resolve(frame))
    var gradient = gradient.resolve(frame)
    ck_conv_weight_gradient(
      &conv, frame.pool.handle, Int32(frame.images), &input, &gradient, frame.raw(partial), weights.map { frame.floats($0) },
      bias.map { frame.floats($0) })
  }
}
