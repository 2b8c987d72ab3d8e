// Everything a stream remembers.

public import Engine

/// Everything a stream remembers: a value. Its file is one safetensors file: tensors by path, the rest as JSON in the header.
public struct AdaptationState: Sendable {
  /// The learning network.
  public internal(set) var parameters: Parameters
  /// The strategy with all its memory.
  public internal(set) var strategy: any AdaptationStrategy
  /// The position in the random numbers.
  public internal(set) var random: RandomSource
  /// What watches the strategy, with all its memory.
  public internal(set) var watch: (any StreamGuard)?
  /// The state that the watch last called good.
  var good: GoodState?
  /// Batches and images answered so far.
  public internal(set) var batches = 0, images = 0
  /// Images of the largest batch so far.
  public internal(set) var largestBatch = 0
}

/// What a guard can come back to.
struct GoodState: Sendable, Codable {
  var parameters: Parameters
  @Slot var strategy: any AdaptationStrategy
}

/// What to do about a loss, a gradient or an input that is not finite.
public enum NonFinitePolicy: String, Codable, Sendable, CaseIterable {
  /// An error; nothing has changed.
  case `throw`
  /// The batch is answered without learning.
  case skip
  /// The stream goes back to its start, then the batch is answered without learning.
  case reset
}

/// What to do with a batch that is too small for the statistics a strategy takes from it.
public enum SmallBatchPolicy: String, Codable, Sendable, CaseIterable {
  /// An error.
  case `throw`
  /// The source model answers, with stored statistics; nothing is learnt.
  case source
}

/// When a stream goes back to its start.
public enum ResetPolicy: Hashable, Codable, Sendable {
  /// Never.
  case never
  /// Before each batch: episodic adaptation.
  case eachBatch
  /// After every so many batches.
  case every(Int)
}
