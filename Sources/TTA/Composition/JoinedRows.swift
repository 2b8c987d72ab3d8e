// Rows of several tensors as one.

public import Engine

extension [Tensor] {
  /// The rows of all tensors after each other; all have the same shape but for the number of rows. No tensor is no row.
  public func joined() -> Tensor {
    guard count > 1, let first else { return first ?? Tensor(zeros: [0, 0]) }
    var result = Tensor(uninitialized: Shape([reduce(0) { $0 + $1.count }] + first.shape.dimensions.dropFirst()))
    result.withMutablePointer { target in
      var end = target
      for tensor in self {
        precondition(
          tensor.shape.dimensions.dropFirst() == first.shape.dimensions.dropFirst(), "rows of \(tensor.shape) behind rows of \(first.shape)"
        )
        tensor.withPointer { end.update(from: $0, count: tensor.elementCount) }
        end += tensor.elementCount
      }
    }
    return result
  }
}
