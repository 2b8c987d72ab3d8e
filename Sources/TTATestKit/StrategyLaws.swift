// Laws that every strategy obeys.

public import Engine
import Foundation
public import TTA

/// Laws that every strategy obeys; each check returns what is broken, nothing when all is well.
public struct StrategyLaws {
  /// The strategy, the model and the stream to check on.
  public let model: Model, strategy: any AdaptationStrategy, batches: [Batch]
  private let executor: Executor

  /// Laws of a strategy on a model over a few batches.
  public init(_ strategy: any AdaptationStrategy, on model: Model, batches: [Batch], threads: Int = 2) {
    (self.model, self.strategy, self.batches) = (model, strategy, batches)
    executor = Executor(threads: threads)
  }
  private func runtime(_ changed: (any AdaptationStrategy)? = nil) throws -> AdaptationRuntime {
    var stream = try AdaptationRuntime(model, changed ?? strategy, seed: 5)
    // One that learns from whole sets learns from all batches first.
    if stream.isOffline { try stream.study(batches.map(\.images).joined(), on: executor) }
    return stream
  }
  private func run(_ runtime: inout AdaptationRuntime, _ batches: some Sequence<Batch>) throws -> [Tensor] {
    try batches.map { try runtime.process($0, on: executor).scores.tensor }
  }

  /// Every answer is finite.
  public func answersAreFinite() throws -> String? {
    var stream = try runtime()
    return try run(&stream, batches).allSatisfy(\.isFinite) ? nil : "an answer is not finite"
  }
  /// A stream that was reset answers like a fresh one, bit for bit.
  public func resetEqualsFresh() throws -> String? {
    var used = try runtime()
    _ = try run(&used, batches)
    used.resetToSource()
    if used.isOffline { try used.study(batches.map(\.images).joined(), on: executor) }
    var fresh = try runtime()
    return try run(&used, batches) == run(&fresh, batches) ? nil : "a reset stream answers otherwise than a fresh one"
  }
  /// A stream that was saved and loaded in the middle goes on bit-equal.
  public func saveLoadContinues() throws -> String? {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("tta-laws-\(UUID().uuidString).safetensors").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let half = batches.count / 2
    var first = try runtime()
    _ = try run(&first, batches[..<half])
    try first.save(to: path)
    var second = try runtime()
    try second.load(from: path)
    guard second.state.parameters == first.state.parameters else { return "loaded parameters differ from the saved ones" }
    return try run(&first, batches[half...]) == run(&second, batches[half...])
      ? nil : "a loaded stream goes on otherwise than the saved one"
  }
  /// A snapshot restored later repeats the stream from there.
  public func snapshotRepeats() throws -> String? {
    var stream = try runtime()
    let snapshot = stream.state
    let once = try run(&stream, batches)
    stream.restore(snapshot)
    return try run(&stream, batches) == once ? nil : "a restored snapshot answers otherwise"
  }
  /// The number of threads changes no bit.
  public func threadsChangeNothing() throws -> String? {
    var (one, many) = (try runtime(), try runtime())
    let single = Executor(threads: 1)
    let alone = try batches.map { try one.process($0, on: single).scores.tensor }
    return try run(&many, batches) == alone ? nil : "one thread and several threads differ"
  }
  /// Only the configured parameters change.
  public func onlyConfiguredParametersChange() throws -> String? {
    var stream = try runtime()
    _ = try run(&stream, batches)
    let running = Set(model.graph.parameters.filter { [.runningMean, .runningVariance].contains($0.role) }.map(\.id))
    for info in model.graph.parameters where !stream.adapted.contains(info.id) && !running.contains(info.id) {
      if stream.state.parameters[info.id] != model.parameters[info.id] { return "\(info.name) changed, although nothing asked to learn it" }
    }
    return nil
  }
  /// A gradient strategy whose optimiser does not move changes no learnt parameter.
  public func withoutLearningRateNothingIsLearnt() throws -> String? {
    guard var still = strategy as? any GradientStrategy else { return nil }
    still.learner.optimizer = SGD(learningRate: 0)
    var stream = try runtime(still)
    let start = model.parameters.count == stream.state.parameters.count ? model.parameters : stream.state.parameters
    _ = try run(&stream, batches)
    let changed = stream.adapted.ids.first { stream.state.parameters[$0] != start[$0] }
    return changed.map { "\(stream.graph.parameters[Int($0.rawValue)].name) changed although the learning rate is 0" }
  }
  /// All laws.
  public func broken() throws -> [String] {
    try [
      answersAreFinite(), resetEqualsFresh(), saveLoadContinues(), snapshotRepeats(), threadsChangeNothing(),
      onlyConfiguredParametersChange(),
      withoutLearningRateNothingIsLearnt(),
    ].compactMap {
      $0
    }
  }
}
