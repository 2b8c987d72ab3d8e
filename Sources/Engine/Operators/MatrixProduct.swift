// Products of two values that both depend on the image.

internal import CKernels

/// A B for each matrix of a stack: … × rows × inner times … × inner × columns, both with the same leading axes.
public struct MatrixProduct: DifferentiableOperator {
  /// `matrix product`.
  public static let name = "matrix product"
  /// A layer.
  public init() {}

  /// The leading axes, rows and columns.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 2, inputs[0].rank >= 2, inputs[0].rank == inputs[1].rank,
      inputs[0].dimensions.dropLast(2) == inputs[1].dimensions.dropLast(2),
      inputs[0].dimensions.last == inputs[1].dimensions.dropLast().last
    else { throw wrongInputs(Self.name, expected: "two stacks of matrices, … × rows × inner and … × inner × columns", got: inputs) }
    return Shape(inputs[0].dimensions.dropLast() + [inputs[1][inputs[1].rank - 1]])
  }
  private struct Sizes {
    let rows: Int, inner: Int, columns: Int, matrices: Int
    init(_ inputs: [Shape]) {
      let rank = inputs[0].rank
      (rows, inner, columns) = (inputs[0][rank - 2], inputs[0][rank - 1], inputs[1][rank - 1])
      matrices = inputs[0].dimensions.dropLast(2).reduce(1, *)
    }
  }
  /// Two per value of the result and inner position.
  public func operations(for inputs: [Shape]) -> Double {
    let sizes = Sizes(inputs)
    return 2 * Double(sizes.matrices * sizes.rows) * Double(sizes.inner * sizes.columns)
  }
  /// Matrix by matrix.
  public func forward(_ call: borrowing OperatorCall) {
    let sizes = Sizes(call.inputShapes)
    let (x, y, out) = (call.inputs[0], call.inputs[1], call.output)
    let (rows, inner, columns) = (sizes.rows, sizes.inner, sizes.columns)
    call.forEachUnit(call.images * sizes.matrices) { i, _ in
      ck_gemm(
        nil, CK_NORMAL, CK_NORMAL, rows, columns, inner, x + i * rows * inner, inner, y + i * inner * columns, columns,
        out + i * rows * columns, columns, nil, false)
    }
  }
  /// Both inputs.
  public func retained(forParameters: Bool) -> RetainedValues { .inputs }
  /// G Bᵀ and Aᵀ G.
  public func backward(_ call: borrowing GradientCall) {
    let sizes = Sizes(call.call.inputShapes)
    let (x, y, gy) = (call.call.inputs[0], call.call.inputs[1], call.outputGradient)
    let (rows, inner, columns) = (sizes.rows, sizes.inner, sizes.columns)
    let (first, second) = (call.inputGradients[0], call.inputGradients[1])
    call.call.forEachUnit(call.call.images * sizes.matrices) { i, _ in
      let g = gy + i * rows * columns
      if let first {
        ck_gemm(
          nil, CK_NORMAL, CK_TRANSPOSED, rows, inner, columns, g, columns, y + i * inner * columns, columns, first + i * rows * inner,
          inner, nil,
          false)
      }
      if let second {
        ck_gemm(
          nil, CK_TRANSPOSED, CK_NORMAL, inner, columns, rows, x + i * rows * inner, inner, g, columns, second + i * inner * columns,
          columns, nil,
          false)
      }
    }
  }
}
