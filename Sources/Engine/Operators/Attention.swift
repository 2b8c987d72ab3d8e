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
  /// A layer.
  public init(heads: Int) { self.heads = heads }

  /// tokens × width.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 2, heads > 0, inputs[0][1] % (3 * heads) == 0 else {
      throw wrongInputs(Self.name, expected: "tokens × 3·width with width divisible by \(heads) heads", got: inputs)
    }
    return [inputs[0][0], inputs[0][1] / 3]
  }
  /// Two squares of tokens for each worker.
  public func memory(for inputs: [Shape]) -> OperatorMemory {
    var memory = OperatorMemory()
    memory.scratchPerWorker = 2 * inputs[0][0] * inputs[0][0] * 4
    return memory
  }
  /// Two products per head.
  public func operations(for inputs: [Shape]) -> Double { 4 * Double(inputs[0][0] * inputs[0][0]) * Double(inputs[0][1] / 3) }

  private static func weights(
    _ query: UnsafePointer<Float>, _ key: UnsafePointer<Float>, _ tokens: Int, _ depth: Int, _ row: Int, _ out: UnsafeMutablePointer<Float>
  ) {
    ck_gemm(nil, CK_NORMAL, CK_TRANSPOSED, tokens, tokens, depth, query, row, key, row, out, tokens, nil, false)
    let scale = 1 / Float(depth).squareRoot()
    for i in 0..<tokens * tokens { out[i] *= scale }
    ck_softmax_rows(out, out, tokens, tokens)
  }
  /// Head by head.
  public func forward(_ call: borrowing OperatorCall) {
    let (tokens, width) = (call.outputShape[0], call.outputShape[1])
    let (depth, row, heads) = (width / heads, 3 * width, heads)
    let (x, y) = (call.inputs[0], call.output)
    call.forEachUnit(call.images * heads) { unit, scratch in
      guard let weights = scratch?.assumingMemoryBound(to: Float.self) else { return }
      let (image, head) = (unit / heads, unit % heads)
      let query = x + image * tokens * row + head * depth
      Self.weights(query, query + width, tokens, depth, row, weights)
      ck_gemm(
        nil, CK_NORMAL, CK_NORMAL, tokens, depth, tokens, weights, tokens, query + 2 * width, row,
        y + image * tokens * width + head * depth, width, nil, false)
    }
  }
  /// The input.
  public func retained(forParameters: Bool) -> RetainedValues { .inputs }
  /// Head by head.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let (tokens, width) = (call.call.outputShape[0], call.call.outputShape[1])
    let (depth, row, heads) = (width / heads, 3 * width, heads)
    let (x, gy) = (call.call.inputs[0], call.outputGradient)
    let scale = 1 / Float(depth).squareRoot()
    call.call.forEachUnit(call.call.images * heads) { unit, scratch in
      guard let weights = scratch?.assumingMemoryBound(to: Float.self) else { return }
      let slopes = weights + tokens * tokens
      let (image, head) = (unit / heads, unit % heads)
      let query = x + image * tokens * row + head * depth
      let arriving = gy + image * tokens * width + head * depth
      let target = gradient + image * tokens * row + head * depth
      Self.weights(query, query + width, tokens, depth, row, weights)
      ck_gemm(nil, CK_TRANSPOSED, CK_NORMAL, tokens, depth, tokens, weights, tokens, arriving, width, target + 2 * width, row, nil, false)
      ck_gemm(nil, CK_NORMAL, CK_TRANSPOSED, tokens, tokens, depth, arriving, width, query + 2 * width, row, slopes, tokens, nil, false)
      ck_softmax_rows_backward(weights, slopes, slopes, tokens, tokens)
      for i in 0..<tokens * tokens { slopes[i] *= scale }
      ck_gemm(nil, CK_NORMAL, CK_NORMAL, tokens, depth, tokens, slopes, tokens, query + width, row, target, row, nil, false)
      ck_gemm(nil, CK_TRANSPOSED, CK_NORMAL, tokens, depth, tokens, slopes, tokens, query, row, target + width, row, nil, false)
    }
  }
}
