// Two low-rank maps beside a layer, each with a factor of its own.

internal import CKernels

/// y = s₀ · U₀ D₀ x + s₁ · U₁ D₁ x, over the last axis of features and tokens, or as 1×1 convolutions with a stride over channels × height × width.
/// Parameters: D₀ [r₀, inputs], U₀ [outputs, r₀], D₁ [r₁, inputs], U₁ [outputs, r₁], factors [2] (which get no gradient).
public struct LowRankPair: DifferentiableOperator {
  /// `low-rank pair`.
  public static let name = "low-rank pair"
  /// Length of the result's channel axis.
  public var outputs: Int
  /// r₀ and r₁.
  public var ranks: [Int]
  /// Of the convolutions.
  public var stride: Int
  /// A pair of maps.
  public init(outputs: Int, ranks: (Int, Int), stride: Int = 1) {
    (self.outputs, self.ranks, self.stride) = (outputs, [ranks.0, ranks.1], stride)
  }
  private var rankSum: Int { ranks[0] + ranks[1] }

  /// Another number of channels, and fewer positions by the stride.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank >= 1 else { throw wrongInputs(Self.name, expected: "one value", got: inputs) }
    guard inputs[0].rank == 3 else { return Shape(inputs[0].dimensions.dropLast() + [outputs]) }
    return [outputs, (inputs[0][1] + stride - 1) / stride, (inputs[0][2] + stride - 1) / stride]
  }
  /// The inner values, times their factors.
  public func memory(for inputs: [Shape]) -> OperatorMemory {
    var memory = OperatorMemory()
    let width = inputs[0].rank == 3 ? inputs[0][0] : inputs[0].dimensions.last ?? 1
    let places = positions(inputs[0])
    memory.keptPerImage = places * rankSum
    let rows = 1 << 16
    let largest = max(width, outputs, rankSum)
    memory.scratchPerWorker = max(
      ck_gemm_scratch_bytes(rows, largest, largest), ck_gemm_scratch_bytes(largest, largest, rows),
      inputs[0].rank == 3 ? 2 * width * places * 4 : 0)
    return memory
  }
  /// Positions of one image's result.
  private func positions(_ shape: Shape) -> Int {
    guard shape.rank == 3 else { return shape.elementCount / max(1, shape.dimensions.last ?? 1) }
    return ((shape[1] + stride - 1) / stride) * ((shape[2] + stride - 1) / stride)
  }
  /// Two per weight and position.
  public func operations(for inputs: [Shape]) -> Double {
    let width = inputs[0].rank == 3 ? inputs[0][0] : inputs[0].dimensions.last ?? 1
    return 2 * Double(positions(inputs[0])) * Double(rankSum) * Double(width + outputs)
  }

  /// Four products.
  public func forward(_ call: borrowing OperatorCall) {
    if call.inputShapes[0].rank == 3 { return forwardPlanes(call) }
    let width = call.inputShapes[0].dimensions.last ?? 1
    let rows = call.images * positions(call.inputShapes[0])
    // Both maps' values of a position lie next to each other.
    var inner = call.keptPerImage
    for map in 0..<2 {
      let (down, up, factor) = (call.parameters[2 * map], call.parameters[2 * map + 1], call.parameters[4][map])
      ck_gemm(
        call.pool.handle, CK_NORMAL, CK_TRANSPOSED, rows, ranks[map], width, call.inputs[0], width, down, width, inner, rankSum, nil, false)
      scale(inner, factor, rows: rows, of: ranks[map], step: rankSum)
      ck_gemm(
        call.pool.handle, CK_NORMAL, CK_TRANSPOSED, rows, outputs, ranks[map], inner, rankSum, up, ranks[map], call.output, outputs, nil,
        map == 1)
      inner += ranks[map]
    }
  }
  private func scale(_ values: UnsafeMutablePointer<Float>, _ factor: Float, rows: Int, of width: Int, step: Int) {
    guard factor != 1 else { return }
    for row in 0..<rows { for i in row * step..<row * step + width { values[i] *= factor } }
  }
  /// Image by image: channels are rows.
  private func forwardPlanes(_ call: borrowing OperatorCall) {
    let shape = call.inputShapes[0]
    let (channels, places) = (shape[0], positions(shape))
    let (x, y, kept, parameters) = (call.inputs[0], call.output, call.keptPerImage, call.parameters)
    call.forEachImage { image, scratch in
      let columns = strided(x + image * shape.elementCount, shape, scratch)
      for map in 0..<2 {
        let inner = kept + image * places * rankSum + map * places * ranks[0]
        ck_gemm(
          nil, CK_NORMAL, CK_NORMAL, ranks[map], places, channels, parameters[2 * map], channels, columns, places, inner, places, nil, false
        )
        scale(inner, parameters[4][map], rows: ranks[map], of: places, step: places)
        ck_gemm(
          nil, CK_NORMAL, CK_NORMAL, outputs, places, ranks[map], parameters[2 * map + 1], ranks[map], inner, places,
          y + image * outputs * places, places, nil, map == 1)
      }
    }
  }
  /// The positions that the stride meets, channels × positions.
  private func strided(_ image: UnsafePointer<Float>, _ shape: Shape, _ scratch: UnsafeMutableRawPointer?) -> UnsafePointer<Float> {
    guard stride > 1, let scratch else { return image }
    let target = scratch.assumingMemoryBound(to: Float.self)
    var next = 0
    for channel in 0..<shape[0] {
      for row in Swift.stride(from: 0, to: shape[1], by: stride) {
        for column in Swift.stride(from: 0, to: shape[2], by: stride) {
          target[next] = image[(channel * shape[1] + row) * shape[2] + column]
          next += 1
        }
      }
    }
    return UnsafePointer(target)
  }

  /// The input where a map down learns.
  public func retained(forParameters: Bool) -> RetainedValues { forParameters ? .inputs : [] }
  /// Products in the other direction; the inner values give way to their gradients.
  public func backward(_ call: borrowing GradientCall) {
    if call.call.inputShapes[0].rank == 3 { return backwardPlanes(call) }
    let width = call.call.inputShapes[0].dimensions.last ?? 1
    let rows = call.call.images * positions(call.call.inputShapes[0])
    let (pool, gy) = (call.call.pool.handle, call.outputGradient)
    var inner = call.call.keptPerImage
    for map in 0..<2 {
      let (down, up, factor) = (call.call.parameters[2 * map], call.call.parameters[2 * map + 1], call.call.parameters[4][map])
      if let gradient = call.parameterGradients[2 * map + 1] {
        ck_gemm(pool, CK_TRANSPOSED, CK_NORMAL, outputs, ranks[map], rows, gy, outputs, inner, rankSum, gradient, ranks[map], nil, false)
      }
      ck_gemm(pool, CK_NORMAL, CK_NORMAL, rows, ranks[map], outputs, gy, outputs, up, ranks[map], inner, rankSum, nil, false)
      scale(inner, factor, rows: rows, of: ranks[map], step: rankSum)
      if let gradient = call.parameterGradients[2 * map] {
        ck_gemm(
          pool, CK_TRANSPOSED, CK_NORMAL, ranks[map], width, rows, inner, rankSum, call.call.inputs[0], width, gradient, width, nil, false)
      }
      if let gradient = call.inputGradients[0] {
        ck_gemm(pool, CK_NORMAL, CK_NORMAL, rows, width, ranks[map], inner, rankSum, down, width, gradient, width, nil, map == 1)
      }
      inner += ranks[map]
    }
    clearFactors(call)
  }
  private func clearFactors(_ call: borrowing GradientCall) { call.parameterGradients[4]?.update(repeating: 0, count: 2) }

  private func backwardPlanes(_ call: borrowing GradientCall) {
    let shape = call.call.inputShapes[0]
    let (channels, places) = (shape[0], positions(shape))
    let (x, gy, kept, parameters) = (call.call.inputs[0], call.outputGradient, call.call.keptPerImage, call.call.parameters)
    // Sums over images stay in order: one unit of work per matrix.
    let (upGradients, downGradients) = (
      [call.parameterGradients[1], call.parameterGradients[3]], [call.parameterGradients[0], call.parameterGradients[2]]
    )
    let images = call.call.images
    func inner(_ image: Int, _ map: Int) -> UnsafeMutablePointer<Float> { kept + image * places * rankSum + map * places * ranks[0] }
    call.call.forEachUnit(2) { map, _ in
      guard let gradient = upGradients[map] else { return }
      for image in 0..<images {
        ck_gemm(
          nil, CK_NORMAL, CK_TRANSPOSED, outputs, ranks[map], places, gy + image * outputs * places, places, inner(image, map), places,
          gradient, ranks[map], nil, image > 0)
      }
    }
    let gx = call.inputGradients[0]
    call.call.forEachImage { image, scratch in
      for map in 0..<2 {
        ck_gemm(
          nil, CK_TRANSPOSED, CK_NORMAL, ranks[map], places, outputs, parameters[2 * map + 1], ranks[map], gy + image * outputs * places,
          places, inner(image, map), places, nil, false)
        scale(inner(image, map), parameters[4][map], rows: ranks[map], of: places, step: places)
      }
      guard let gx, let scratch else { return }
      let target = stride == 1 ? gx + image * shape.elementCount : scratch.assumingMemoryBound(to: Float.self)
      for map in 0..<2 {
        ck_gemm(
          nil, CK_TRANSPOSED, CK_NORMAL, channels, places, ranks[map], parameters[2 * map], channels, inner(image, map), places, target,
          places, nil, map == 1)
      }
      if stride > 1 { spread(target, shape, gx + image * shape.elementCount) }
    }
    call.call.forEachUnit(2) { map, scratch in
      guard let gradient = downGradients[map] else { return }
      for image in 0..<images {
        let columns = strided(x + image * shape.elementCount, shape, scratch)
        ck_gemm(
          nil, CK_NORMAL, CK_TRANSPOSED, ranks[map], channels, places, inner(image, map), places, columns, places, gradient, channels, nil,
          image > 0)
      }
    }
    clearFactors(call)
  }
  private func spread(_ columns: UnsafeMutablePointer<Float>, _ shape: Shape, _ image: UnsafeMutablePointer<Float>) {
    image.update(repeating: 0, count: shape.elementCount)
    var next = 0
    for channel in 0..<shape[0] {
      for row in Swift.stride(from: 0, to: shape[1], by: stride) {
        for column in Swift.stride(from: 0, to: shape[2], by: stride) {
          image[(channel * shape[1] + row) * shape[2] + column] = columns[next]
          next += 1
        }
      }
    }
  }
}
