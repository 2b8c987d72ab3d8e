// Linear layers over the last axis.

internal import CKernels

/// y = x Wᵀ + b over the last axis. Parameters: weight [outputs, inputs], then bias.
public struct Linear: DifferentiableOperator {
  /// `linear`.
  public static let name = "linear"
  /// Length of the last axis of the result.
  public var outputs: Int
  /// Whether an offset is added.
  public var hasBias: Bool
  /// A layer.
  public init(outputs: Int, hasBias: Bool = true) { (self.outputs, self.hasBias) = (outputs, hasBias) }

  /// True.
  public var treatsImagesAlone: Bool { true }
  /// The input's shape with another last length.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank >= 1 else { throw wrongInputs(Self.name, expected: "one value with a last axis", got: inputs) }
    return Shape(inputs[0].dimensions.dropLast() + [outputs])
  }
  /// Scratch of the packed products, forward and backward.
  public func memory(for inputs: [Shape]) -> OperatorMemory {
    var memory = OperatorMemory()
    let width = inputs[0].dimensions.last ?? 1
    let rows = 1 << 16
    memory.scratchPerWorker = max(
      ck_gemm_scratch_bytes(rows, outputs, width), ck_gemm_scratch_bytes(rows, width, outputs), ck_gemm_scratch_bytes(outputs, width, rows))
    return memory
  }
  /// Two per weight and row.
  public func operations(for inputs: [Shape]) -> Double { 2 * Double(inputs[0].elementCount) * Double(outputs) }
  /// One product.
  public func forward(_ call: borrowing OperatorCall) {
    let width = call.inputShapes[0].dimensions.last ?? 1
    let rows = call.images * call.inputShapes[0].elementCount / width
    ck_gemm(
      call.pool.handle, CK_NORMAL, CK_TRANSPOSED, rows, outputs, width, call.inputs[0], width, call.parameters[0], width, call.output,
      outputs, hasBias ? call.parameters[1] : nil, false)
  }
  /// The input where weights learn.
  public func retained(forParameters: Bool) -> RetainedValues { forParameters ? .inputs : [] }
  /// Two products at most.
  public func backward(_ call: borrowing GradientCall) {
    let width = call.call.inputShapes[0].dimensions.last ?? 1
    let rows = call.call.images * call.call.inputShapes[0].elementCount / width
    let gy = call.outputGradient
    if let gradient = call.inputGradients[0] {
      ck_gemm(
        call.call.pool.handle, CK_NORMAL, CK_NORMAL, rows, width, outputs, gy, outputs, call.call.parameters[0], width, gradient, width,
        nil,
        false)
    }
    if let gradient = call.parameterGradients[0] {
      ck_gemm(
        call.call.pool.handle, CK_TRANSPOSED, CK_NORMAL, outputs, width, rows, gy, outputs, call.call.inputs[0], width, gradient, width,
        nil,
        false)
    }
    if hasBias, let gradient = call.parameterGradients[1] {
      let (outputs, perImage) = (outputs, rows / call.call.images)
      withUnsafeTemporaryAllocation(of: Double.self, capacity: outputs) { buffer in
        guard let totals = buffer.baseAddress else { return }
        call.call.sum(width: outputs, into: totals) { images, sums in
          ck_column_sums(gy + images.lowerBound * perImage * outputs, sums, images.count * perImage, outputs)
        }
        for i in 0..<outputs { gradient[i] = Float(totals[i]) }
      }
    }
  }
}
