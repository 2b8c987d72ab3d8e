// Rotations by quarter turns.

public import Engine

extension Tensor {
  /// Images `[n, channels, side, side]`, each rotated by its number of quarter turns, counterclockwise; numbers are 0 to 3.
  ///
  /// - Precondition: square images and one number per image.
  /// - Complexity: one pass over the values.
  public func turned(by turns: [Int]) -> Tensor {
    let dimensions = shape.dimensions
    precondition(dimensions.count == 4 && dimensions[2] == dimensions[3] && turns.count == count, "quarter turns of \(shape)")
    let side = dimensions[2]
    var result = self
    withSpan { old in
      result.update { new in
        for (image, turn) in turns.enumerated() where turn % 4 != 0 {
          for plane in image * dimensions[1]..<(image + 1) * dimensions[1] {
            let start = plane * side * side
            for row in 0..<side {
              for column in 0..<side {
                let source =
                  switch turn % 4 {
                  case 1: column * side + side - 1 - row
                  case 2: (side - 1 - row) * side + side - 1 - column
                  default: (side - 1 - column) * side + row
                  }
                new[start + row * side + column] = old[start + source]
              }
            }
          }
        }
      }
    }
    return result
  }
}
