// Products of rows with weights, and what happens to their results while they are in the cache.

internal import CKernels

/// output ← epilogue(input · weights): a linear layer, or with transposed weights the gradient of its input.
/// Unchecked: the compiler changes it until the plan is complete, nobody afterwards.
final class LinearStep: PlanStep, @unchecked Sendable {
  /// Which way the product goes.
  enum Direction { case forward, backward }
  /// The layer's name, and what `label` says behind it.
  let name: String, note: String
  let weight: ParameterID, bias: ParameterID?
  let direction: Direction
  /// Rows per image, and their length before and after.
  let rows: Int, width: Int, outputs: Int
  let input: BufferID, output: BufferID
  /// Weights in the kernel's order, for the length of the step.
  let packed: BufferID
  /// What the program keeps of weights in a mapped file; nil for weights that learn.
  let key: Program.PackedKey?
  let precision: Precision
  /// Added to the results.
  private(set) var addend: BufferID?
  private(set) var function = CK_ROW_NONE
  /// Where the function's values go, or where its slope is taken.
  private(set) var values: BufferID?, slopes: BufferID?

  init(
    _ name: String, note: String, weight: ParameterID, bias: ParameterID?, _ direction: Direction, rows: Int, width: Int, outputs: Int,
    input: BufferID, output: BufferID, packed: BufferID, key: Program.PackedKey?, precision: Precision
  ) {
    (self.name, self.note, self.weight, self.bias, self.direction) = (name, note, weight, bias, direction)
    (self.rows, self.width, self.outputs) = (rows, width, outputs)
    (self.input, self.output, self.packed, self.key, self.precision) = (input, output, packed, key, precision)
  }
  /// Nothing happens to the results so far.
  var isBare: Bool { addend == nil && function == CK_ROW_NONE }
  func add(_ buffer: BufferID) { addend = buffer }
  func apply(_ function: ck_row_function, into values: BufferID) { (self.function, self.values) = (function, values) }
  func multiplyBySlope(of function: ck_row_function, at slopes: BufferID) { (self.function, self.slopes) = (function, slopes) }

  var label: String {
    let parts = [function == CK_ROW_GELU ? "gelu" : function == CK_ROW_RELU ? "relu" : nil, addend == nil ? nil : "sum"].compactMap { $0 }
    return "\(name): \(precision == .bfloat16 ? "bfloat16 " : "")linear" + (parts.isEmpty ? "" : " with " + parts.joined(separator: ", "))
      + note
  }
  var takesImagesInParts: Bool { true }

  /// The weights as the forward reads them, packed once where they lie in a mapped file, which gets its pages back: as much memory as before.
  private func packedOnce(_ frame: borrowing Frame) -> Tensor? {
    guard let key, frame.parameters[weight].isMapped else { return nil }
    let (outputs, width) = direction == .forward ? (outputs, width) : (width, outputs)
    let (values, pool) = (frame.parameters[weight], frame.pool.handle)
    return frame.program.packedWeights(key, of: values, count: ck_gemm_packed_count(outputs, width)) { target in
      values.withPointer { ck_gemm_pack_b(pool, CK_TRANSPOSED, outputs, width, $0, width, target) }
      values.giveBackPages()
    }
  }
  func prepare(_ frame: borrowing Frame) {
    // Weights lie as outputs × inputs of the layer: transposed for the forward, as they are for the backward.
    let forward = direction == .forward
    guard let kept = packedOnce(frame) else {
      (precision == .bfloat16 ? ck_gemm_pack_b_bfloat16 : ck_gemm_pack_b)(
        frame.pool.handle, forward ? CK_TRANSPOSED : CK_NORMAL, outputs, width, frame.parameters.pointer(weight), forward ? width : outputs,
        frame.floats(packed))
      return
    }
    if !forward { kept.withPointer { ck_gemm_pack_transpose(frame.pool.handle, width, outputs, $0, frame.floats(packed)) } }
  }
  func run(_ frame: borrowing Frame) {
    guard direction == .forward, let kept = packedOnce(frame) else { return run(frame, frame.floats(packed)) }
    kept.withPointer { run(frame, $0) }
  }
  private func run(_ frame: borrowing Frame, _ packed: UnsafePointer<Float>) {
    var epilogue = ck_product_epilogue()
    epilogue.bias = bias.map { frame.parameters.pointer($0) }
    epilogue.addend = addend.map { frame.reading($0) }
    epilogue.function = function
    epilogue.values = values.map { frame.floats($0) }
    epilogue.slopes = slopes.map { UnsafePointer(frame.floats($0)) }
    (precision == .bfloat16 ? ck_linear_bfloat16 : ck_linear)(
      frame.pool.handle, frame.images * rows, outputs, width, frame.reading(input), packed, frame.floats(output), &epilogue)
  }
}

/// output ← f(input), the same bits as in the epilogue of a product.
final class RowFunctionStep: PlanStep {
  let name: String
  let function: ck_row_function
  let input: BufferID, output: BufferID
  /// Values per image.
  let count: Int
  init(_ name: String, _ function: ck_row_function, of input: BufferID, into output: BufferID, count: Int) {
    (self.name, self.function, self.input, self.output, self.count) = (name, function, input, output, count)
  }
  var label: String { "\(name): activation, computed again" }
  var takesImagesInParts: Bool { true }
  func run(_ frame: borrowing Frame) {
    let (x, values, total) = (frame.reading(input), frame.floats(output), count * frame.images)
    frame.pool.forEachRange(of: total) { ck_row_values(function, x + $0.lowerBound, values + $0.lowerBound, $0.count) }
  }
}
