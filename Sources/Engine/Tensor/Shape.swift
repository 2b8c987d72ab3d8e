// The lengths of a tensor's axes.

/// The lengths of a tensor's axes, outermost first, printed as `200×3×32×32`.
public struct Shape: Hashable, Codable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  /// Outermost axis first.
  public var dimensions: [Int]

  /// A shape with the given lengths.
  public init(_ dimensions: [Int]) { self.dimensions = dimensions }
  /// `[200, 3, 32, 32]`.
  public init(arrayLiteral elements: Int...) { dimensions = elements }

  /// Number of axes.
  public var rank: Int { dimensions.count }
  /// Number of elements: the product of the lengths; 1 for a scalar.
  public var elementCount: Int { dimensions.reduce(1, *) }
  /// One length.
  public subscript(axis: Int) -> Int { dimensions[axis] }
  /// The lengths joined by ×; `scalar` when there are none.
  public var description: String {
    dimensions.isEmpty ? "scalar" : dimensions.map(String.init).joined(separator: "×")
  }
}
