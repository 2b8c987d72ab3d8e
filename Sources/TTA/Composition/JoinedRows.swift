// Rows of several tensors as one.

import Engine

/// Tensors of rows after each other.
func joined(_ parts: [Tensor]) -> Tensor {
  guard parts.count > 1 else { return parts.first ?? Tensor(zeros: [0, 0]) }
  let shape = parts[0].shape.dimensions.dropFirst()
  return Tensor(parts.flatMap(\.values), shape: Shape([parts.reduce(0) { $0 + $1.count }] + shape))
}
