// What goes into a strategy.

public import Engine

/// Images to answer for, in 0…1. No labels, by construction.
public struct Batch: Sendable {
  /// images × 3 × height × width.
  public let images: Tensor
  /// Position of the first image in the stream.
  public let index: Int
  /// Images of a stream, or views that a method made of them.
  public init(_ images: Tensor, index: Int = 0) { (self.images, self.index) = (images, index) }
  /// Number of images.
  public var count: Int { images.count }
  /// Images that lie next to each other; nothing is copied.
  public subscript(rows: Range<Int>) -> Batch { Batch(images[rows], index: index + rows.lowerBound) }
  /// A copy of the chosen images.
  public subscript(rows: [Int]) -> Batch { Batch(images[rows], index: index) }
}
