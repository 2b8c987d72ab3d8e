// Multi-head self-attention between its projections.

internal import CKernels

/// softmax(Q Kᵀ / √d) V for each head, from tokens × 3·width (queries, keys, values side by side) to tokens × width.
///
/// Vaswani et al., NIPS 2017. The weights of attention are computed again in the backward: keeping them would take tokens² floats per head.
public struct Attention: DifferentiableOperator {
  /// `attention`.
  public static let name = "attention"
  /// Number of heads.
  public var heads: Int
  /// The token whose query is answered, where that is not all of them.
  public var query: Int?
  /// A layer.
  public init(heads: Int, query: Int? = nil) { (self.heads, self.query) = (heads, query) }

  /// True.
  public var treatsImagesAlone: Bool { true }
  /// tokens × width, or 1 × width for one query.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 2, heads > 0, inputs[0][1] % (3 * heads) == 0,
      query.map({ (0..<inputs[0][0]).contains($0) }) ?? true
    else {
      throw wrongInputs(Self.name, expected: "tokens × 3·width with width divisible by \(heads) heads", got: inputs)
    }
    return [query == nil ? inputs[0][0] : 1, inputs[0][1] / 3]
  }
  /// Packed operands and two squares of tokens for each worker.
  public func memory(for inputs: [Shape]) -> OperatorMemory {
    var memory = OperatorMemory()
    memory.scratchPerWorker = ck_attention_scratch_bytes(Int32(inputs[0][0]), Int32(inputs[0][1] / 3 / heads))
    return memory
  }
  /// Two products per head.
  public func operations(for inputs: [Shape]) -> Double {
    4 * Double(inputs[0][0] * (query == nil ? inputs[0][0] : 1)) * Double(inputs[0][1] / 3)
  }
  private func shape(_ input: Shape) -> ck_attention_shape {
    ck_attention_shape(
      tokens: Int32(input[0]), heads: Int32(heads), depth: Int32(input[1] / 3 / heads), first_query: Int32(query ?? 0),
      queries: Int32(query == nil ? input[0] : 1))
  }

  /// Head by head, on all workers.
  public func forward(_ call: borrowing OperatorCall) {
    var shape = shape(call.inputShapes[0])
    ck_attention(call.pool.handle, Int32(call.images), &shape, call.inputs[0], call.output)
  }
  /// The input.
  public func retained(forParameters: Bool) -> RetainedValues { .inputs }
  /// Head by head, on all workers.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    var shape = shape(call.call.inputShapes[0])
    ck_attention_backward(call.call.pool.handle, Int32(call.call.images), &shape, call.call.inputs[0], call.outputGradient, gradient)
  }
}
