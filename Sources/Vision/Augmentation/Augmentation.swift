// Random views of batches, for methods that average over them or compare them.

public import Engine

/// Makes views of images. Part of a strategy's state, so that a stream that is saved and loaded goes on with the same draws.
public protocol Augmentation: Codable, Sendable {
  /// View `number` (from 0) of images `[n, 3, side, side]` in 0…1, of the same shape. All draws come from `random`; the number of threads
  /// changes no bit.
  func view(_ number: Int, of images: Tensor, using random: inout RandomSource, on executor: Executor) throws -> Tensor
}

/// Images as they are.
public struct NoAugmentation: Augmentation {
  /// The identity.
  public init() {}
  /// The images.
  public func view(_ number: Int, of images: Tensor, using random: inout RandomSource, on executor: Executor) -> Tensor { images }
}
