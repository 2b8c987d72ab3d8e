// Methods that see a whole target set before they answer any of it.

public import Engine

/// A method that learns from all images of a target set before it answers: source-free domain adaptation beside the methods for streams.
///
/// Who runs it gathers the set and calls `AdaptationRuntime.study` first; `tta replay` does so at the start of each domain, `tta adapt` at the start of its
/// files. Batches that come before are answered by the source model.
public protocol OfflineStrategy: AdaptationStrategy {
  /// Learns from the images of a whole target set, `[n, 3, height, width]` in 0…1, as often as it likes.
  mutating func study(_ images: Tensor, in context: inout AdaptationContext) throws
}

extension AdaptationStrategy {
  /// Whether it, or what it is composed around, learns from a whole target set before it answers.
  public var isOffline: Bool { (self as? Composition)?.base.isOffline ?? (self is any OfflineStrategy) }
}

extension Composition {
  /// The base learns under the adapters' inputs.
  mutating func study(_ images: Tensor, in context: inout AdaptationContext) throws {
    guard var offline = base as? any OfflineStrategy else { throw TTAError(.internal, "\(type(of: base)) learns from batches") }
    for adapter in adapters { try adapter.willAnswer(Batch(images), in: &context) }
    try offline.study(images, in: &context)
    base = offline
  }
}
