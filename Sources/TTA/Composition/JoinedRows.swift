// Rows of several tensors as one.

public import Engine

extension [Tensor] {
  /// The rows of all tensors after each other; all have the same shape but for the number of rows. No tensor is no row.
  public func joined() -> Tensor {
    guard count > 1, let first else { return first ?? Tensor(zeros: [0, 0]) }
    return Tensor(flatMap(\.values), shape: Shape([reduce(0) { $0 + $1.count }] + first.shape.dimensions.dropFirst()))
  }
}
