// Several strategies over one stream, batch by batch.

public import Engine
public import Streams
public import TTA

/// Several strategies over one stream: every batch is made once, ahead of its use, and answered by each of them before the next one.
///
/// A value: a copy is a snapshot, and a run that was stopped continues where it was.
public struct SideBySideEvaluation: Sendable {
  /// One strategy with its stream state and its score.
  public struct Contestant: Sendable {
    /// What to call it.
    public let name: String
    /// The state of its stream.
    public internal(set) var runtime: AdaptationRuntime
    /// Its score so far.
    public internal(set) var score: OnlineScore
  }
  /// Where a run is, after a batch that all contestants have answered.
  public struct Progress: Sendable {
    /// The domain of the batch.
    public let domain: Domain
    /// Batches done, and all of them.
    public let batch: Int, batches: Int
    /// Whether the batch was the last one of its domain.
    public let endsDomain: Bool
    /// Pictures of the batch that could not be read.
    public let failures: [ImageFailure]
    /// The scores so far, in the order of the strategies.
    public let standings: [Standing]
  }
  /// The score of one strategy.
  public struct Standing: Codable, Hashable, Sendable {
    /// What the strategy is called.
    public let name: String
    /// Its score so far.
    public let score: OnlineScore
    /// A score with its name.
    public init(name: String, score: OnlineScore) { (self.name, self.score) = (name, score) }
  }

  /// The pictures.
  public let stream: DomainStream
  /// The strategies in the order given.
  public private(set) var contestants: [Contestant]
  /// Number of the next batch.
  public private(set) var nextBatch = 0

  /// A run that has not begun. `strategies` are runtimes before their first batch, with distinct names.
  public init(_ stream: DomainStream, strategies: [(name: String, runtime: AdaptationRuntime)]) {
    precondition(Set(strategies.map(\.name)).count == strategies.count, "two strategies of one name")
    self.stream = stream
    contestants = strategies.map { strategy in
      Contestant(name: strategy.name, runtime: strategy.runtime, score: OnlineScore(classes: strategy.runtime.graph.classCount))
    }
  }

  /// The scores so far, in the order of the strategies.
  public var standings: [Standing] { contestants.map { Standing(name: $0.name, score: $0.score) } }
  /// Whether all batches are done.
  public var isFinished: Bool { nextBatch >= stream.count }

  /// Compiles and allocates for all strategies, so that the first batch is timed like the others.
  public func warmUp(on executor: Executor) throws {
    for contestant in contestants { try contestant.runtime.warmUp(batchSize: stream.batchSize, on: executor) }
  }

  /// Runs until the stream ends or `report`, called after each batch, answers false.
  ///
  /// Only a strategy's own work counts as its seconds. The next batch is made meanwhile on another thread; who goes first, and so has
  /// that thread beside it, changes from batch to batch.
  public mutating func run(on executor: Executor, report: (Progress) throws -> Bool) throws {
    let batches = stream.prefetched(from: nextBatch)
    let clock = ContinuousClock()
    while let batch = try batches.next() {
      for turn in contestants.indices {
        let position = (turn + batch.index) % contestants.count
        guard batch.count > 0 else {
          contestants[position].runtime.skipBatch()
          continue
        }
        let input = Batch(batch.images, index: contestants[position].runtime.state.images)
        let start = clock.now
        let predicted = try contestants[position].runtime.process(input, on: executor).labels
        let duration = (clock.now - start).components
        let seconds = Double(duration.seconds) + Double(duration.attoseconds) * 1e-18
        contestants[position].score.add(predicted: predicted, to: batch, seconds: seconds)
      }
      nextBatch = batch.index + 1
      let progress = Progress(
        domain: batch.domain, batch: nextBatch, batches: stream.count, endsDomain: endsDomain(batch), failures: batch.failures,
        standings: standings)
      guard try report(progress) else { return }
    }
  }

  private func endsDomain(_ batch: LabeledBatch) -> Bool {
    let before = stream.segments[...batch.domainIndex].reduce(0) { $0 + ($1.places.count + stream.batchSize - 1) / stream.batchSize }
    return batch.index + 1 == before
  }
}
