// What fused steps read and write, in terms of buffers: turned into the kernels' structures when a step runs.

internal import CKernels

/// Channels padded to whole blocks of 16.
func paddedChannels(_ channels: Int) -> Int { (channels + 15) / 16 * 16 }

/// Scale and shift per channel inside a buffer of coefficients.
struct AffineReference: Sendable {
  var buffer: BufferID
  /// Offsets in floats; nil stands for 1 or 0.
  var scale: Int?, shift: Int?
  /// Floats from one image's set to the next; 0 when all images share one.
  var imageStride: Int

  func resolve(_ frame: borrowing Frame) -> ck_affine {
    let base = UnsafePointer(frame.floats(buffer))
    return ck_affine(scale: scale.map { base + $0 }, shift: shift.map { base + $0 }, image_stride: imageStride)
  }
}

/// One factor per image and channel in plain rows; channels is a multiple of 16.
struct GateReference: Sendable {
  var buffer: BufferID
  var channels: Int
}

/// A value evaluated while it is read: gate · activation(affine(x) + affine(second) + third).
struct OperandSpecification: Sendable {
  var x: BufferID
  var affine: AffineReference?
  var second: BufferID?, secondAffine: AffineReference?
  var third: BufferID?
  var activation = CK_ACTIVATION_NONE
  /// Not together with `second`, `third` or `store`.
  var gate: GateReference?
  /// Where the evaluated value is kept as well, and where its signs are.
  var store: BufferID?, signs: BufferID?

  var touched: [BufferID] {
    [x] + [affine?.buffer, second, secondAffine?.buffer, third, gate?.buffer, store, signs].compactMap { $0 }
  }
  func resolve(_ frame: borrowing Frame) -> ck_operand {
    var operand = ck_operand()
    operand.x = frame.reading(x)
    if let affine { operand.affine = affine.resolve(frame) }
    if let second { operand.second = frame.reading(second) }
    if let secondAffine { operand.second_affine = secondAffine.resolve(frame) }
    if let third { operand.third = frame.reading(third) }
    operand.activation = activation
    if let gate {
      operand.gate = frame.reading(gate.buffer)
      operand.gate_stride = gate.channels
    }
    if let store { operand.store = frame.floats(store) }
    if let signs { operand.signs = frame.signs(signs) }
    return operand
  }
}

/// Sums per image and channel.
struct SumsSpecification: Sendable {
  var sums: BufferID
  /// nil: moments of the result itself.
  var source: BufferID?
  var center: AffineReference?
  var touched: [BufferID] { [sums] + [source, center?.buffer].compactMap { $0 } }
  func resolve(_ frame: borrowing Frame) -> ck_sums {
    var result = ck_sums()
    result.sums = frame.doubles(sums)
    if let source { result.source = frame.reading(source) }
    if let center {
      let affine = center.resolve(frame)
      result.center = affine.scale
      result.center_stride = affine.image_stride
    }
    return result
  }
}

/// What happens to each result before it is stored.
struct EpilogueSpecification: Sendable {
  var output: BufferID
  /// True where nobody reads the output: only sums are taken.
  var isUnread = false
  /// What a step's label says of that.
  var note: String { isUnread ? ", sums only" : "" }
  var bias: BufferID?
  var addend: BufferID?
  /// The mask's source, or the signs that an operand left.
  var maskActivation = CK_ACTIVATION_NONE, maskSource: BufferID?, maskAffine: AffineReference?, maskSigns: BufferID?
  var sums: SumsSpecification?, moreSums: SumsSpecification?

  var touched: [BufferID] {
    (isUnread ? [] : [output]) + [bias, addend, maskSource, maskAffine?.buffer, maskSigns].compactMap { $0 } + (sums?.touched ?? [])
      + (moreSums?.touched ?? [])
  }
  func resolve(_ frame: borrowing Frame) -> ck_epilogue {
    var epilogue = ck_epilogue()
    if !isUnread { epilogue.output = frame.floats(output) }
    if let bias { epilogue.bias = UnsafePointer(frame.floats(bias)) }
    if let addend { epilogue.addend = frame.reading(addend) }
    epilogue.mask.activation = maskActivation
    if let maskSource { epilogue.mask.source = frame.reading(maskSource) }
    if let maskAffine { epilogue.mask.affine = maskAffine.resolve(frame) }
    if let maskSigns { epilogue.mask.signs = UnsafePointer(frame.signs(maskSigns)) }
    if let sums { epilogue.sums = sums.resolve(frame) }
    if let moreSums { epilogue.more_sums = moreSums.resolve(frame) }
    return epilogue
  }
}
