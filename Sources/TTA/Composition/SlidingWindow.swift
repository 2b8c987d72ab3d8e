// Methods that need batches, on streams of single images.

public import Engine

/// Gives a strategy the most recent images as its batch, and answers the new ones.
///
/// The buffer of mariodoebler/test-time-adaptation (section "single sample"): predictions come from the whole window, updates happen once the window has
/// turned over. Until a quarter of it is filled, the model answers with its stored statistics.
public struct SlidingWindow: AdaptationStrategy {
  /// What adapts.
  @Slot public var base: any AdaptationStrategy
  let size: Int
  private var recent: Tensor?
  private var sinceUpdate = 0

  /// A strategy over a window of at least two images.
  public init(_ base: any AdaptationStrategy, size: Int) throws(TTAError) {
    guard size >= 2 else { throw TTAError(.usage, "window: expected at least 2 images, got \(size)") }
    guard !base.isOffline else {
      throw TTAError(.usage, "window: the strategy learns from a whole target set, not from windows", hint: "leave the window out")
    }
    (self.base, self.size) = (base, size)
  }
  /// The base's needs; single images are enough.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    try base.configure(&setup)
    guard setup.smallestBatch <= size else {
      throw TTAError(.usage, "window: \(size) images, the strategy needs \(setup.smallestBatch)", hint: "use a larger window")
    }
    setup.smallestBatch = 1
  }
  /// Adapts to the window when it has turned over, else answers from it.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    let window = window(with: batch)
    recent = window
    sinceUpdate += batch.count
    guard window.count >= max(2, min(size, size / 4 + 1)) else {
      return Prediction(try context.forward(batch.images, context.options.with(.stored)))
    }
    let whole: Prediction
    if sinceUpdate >= size {
      sinceUpdate = 0
      whole = try base.adapt(to: Batch(window, index: batch.index), in: &context)
    } else {
      whole = try base.predict(Batch(window, index: batch.index), in: &context)
    }
    return whole.last(batch.count)
  }
  /// The base's.
  public var answering: Parameters? { base.answering }
  /// Answers from the window and the batch; the window stays.
  public func predict(_ batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    let window = window(with: batch)
    guard window.count >= 2 else { return Prediction(try context.forward(batch.images, context.options.with(.stored))) }
    return try base.predict(Batch(window, index: batch.index), in: &context).last(batch.count)
  }
  /// The last images, the batch's at the end; a batch larger than the window is the window.
  private func window(with batch: Batch) -> Tensor {
    guard let recent, batch.count < size else { return batch.images }
    let kept = min(recent.count, size - batch.count)
    return [recent[Array(recent.count - kept..<recent.count)], batch.images].joined()
  }
}
extension Prediction {
  /// The last rows.
  func last(_ count: Int) -> Prediction {
    let total = scores.tensor.count
    guard total > count else { return self }
    let rows = Array(total - count..<total)
    var cut = self
    switch scores {
    case .logits(let tensor): cut.scores = .logits(tensor[rows])
    case .probabilities(let tensor): cut.scores = .probabilities(tensor[rows])
    }
    cut.features = features.map { $0[rows] }
    cut.weights = weights.map { Array($0.suffix(count)) }
    return cut
  }
}
extension AdaptationStrategy {
  /// Adapts over a window of recent images: batch-statistics methods on single images.
  public func over(window size: Int) throws(TTAError) -> SlidingWindow { try SlidingWindow(self, size: size) }
}
