// tta bench --strategy: how fast strategies adapt a model, and what they compute for it.

import CEvaluation
import Engine
import Foundation
import ModelIO
import TTA

/// How fast one strategy adapts a model to batches of noise, what it computes, and what memory it takes.
struct StrategyBenchmark {
  /// What was measured.
  struct Measurement: Encodable {
    /// Of the measured batches; `p99` is the 99th percentile by nearest rank.
    struct Times: Encodable { var min: Double, median: Double, p99: Double, max: Double }
    /// Whether time and memory stay as they are: medians of the first and the last tenth of the batches, growth of the memory between their ends.
    struct Steadiness: Encodable { var first_tenth_milliseconds: Double, last_tenth_milliseconds: Double, memory_growth_bytes: Int }
    var strategy: String
    /// Whether it learns by gradients.
    var adapts: Bool
    var images_per_second: Double
    var milliseconds_per_batch: Times
    /// Images that went forward and backward through the network, per image answered.
    var forwards_per_image: Double, backwards_per_image: Double
    /// The peak, what the plan says it should be, and the arena's part.
    var peak_memory_bytes: Int, planned_memory_bytes: Int, arena_bytes: Int
    var gflops: Double
    /// From 100 batches on.
    var steadiness: Steadiness?
  }
  let model: Model, batch: Int, repeats: Int
  let execution: ExecutionOptions
  /// Memory that the process took before it had a model.
  let memoryAtStart: Int
  /// Called after each measured batch.
  let progress: (_ strategy: String, _ done: Int) -> Void

  /// Measures what the section of a configuration describes, after two batches of warm-up. A strategy that learns from whole sets learns from each batch
  /// as one. What it needs beside a model, and the section does not name, is made for it: fresh importances, a fresh rotation head. Gives the executor
  /// too, with the profile of its steps where that was asked for.
  func measure(_ section: OptionTree, profile: Bool = false) throws -> (measurement: Measurement, executor: Executor) {
    try prepared(section) { benchmark, section in try benchmark.measurePrepared(section, profile: profile) }
  }
  private func measurePrepared(_ section: OptionTree, profile: Bool) throws -> (measurement: Measurement, executor: Executor) {
    let name = section["name"]?.text ?? "tent"
    ce_reset_peak_memory()
    let executor = try execution.makeExecutor()
    var random = RandomSource(seed: 7)
    var images = Tensor(zeros: Shape([batch] + model.graph.inputShape.dimensions))
    images.update { span in for i in span.indices { span[i] = random.uniform() } }
    var strategy = try Registry.current.compose(section)
    if var vida = strategy as? ViDA {
      // A teacher that says what its student says leaves nothing to learn from, and the backward would be left out.
      vida.initialTeacherGain = 1.05
      strategy = vida
    }
    var runtime = try AdaptationRuntime(model, strategy, guard: Registry.current.watch(section))
    func step() throws {
      if runtime.isOffline { try runtime.study(images, on: executor) }
      _ = try runtime.process(Batch(images), on: executor)
    }
    for _ in 0..<2 { try step() }
    if profile { executor.profile = [:] }
    let before = executor.work
    var seconds: [Double] = []
    seconds.reserveCapacity(repeats)
    let tenth = repeats / 10
    var memory = 0
    for index in 0..<repeats {
      let start = ContinuousClock.now
      try step()
      seconds.append((ContinuousClock.now - start).seconds)
      progress(name, index + 1)
      if index + 1 == tenth { memory = ce_resident_memory() }
    }
    var steadiness: Measurement.Steadiness?
    if repeats >= 100 {
      func middle(_ part: ArraySlice<Double>) -> Double { part.sorted()[part.count / 2] * 1e3 }
      steadiness = .init(
        first_tenth_milliseconds: middle(seconds.prefix(tenth)), last_tenth_milliseconds: middle(seconds.suffix(tenth)),
        memory_growth_bytes: ce_resident_memory() - memory)
    }
    seconds.sort()
    let median = seconds[seconds.count / 2]
    let answered = Double(batch * repeats)
    let forwards = Double(executor.work.forwardImages - before.forwardImages) / answered
    let backwards = Double(executor.work.backwardImages - before.backwardImages) / answered
    let operations = model.graph.operationsPerImage * Double(batch) * (forwards + backwards)
    let measurement = Measurement(
      strategy: name, adapts: !runtime.adapted.isEmpty, images_per_second: Double(batch) / median,
      milliseconds_per_batch: .init(
        min: seconds[0] * 1e3, median: median * 1e3, p99: seconds[(seconds.count * 99 + 99) / 100 - 1] * 1e3,
        max: (seconds.last ?? 0) * 1e3),
      forwards_per_image: forwards, backwards_per_image: backwards, peak_memory_bytes: ce_peak_memory(),
      planned_memory_bytes: try memoryAtStart + runtime.planSummary(batchSize: batch, on: executor).memoryBytes,
      arena_bytes: executor.arenaBytes,
      gflops: operations / median * 1e-9, steadiness: steadiness)
    return (measurement, executor)
  }

  /// Measures every registered strategy with the parts that the section names beside it, each with an executor of its own. One that cannot be had is
  /// left out, with the reason.
  func measureAll(_ section: OptionTree) throws -> (rows: [Measurement], left: [String]) {
    var (rows, left): ([Measurement], [String]) = ([], [])
    for entry in Registry.current.entries(.strategy) {
      var section = section
      section["name"] = .text(entry.name)
      do { rows.append(try measure(section).measurement) } catch let error as TTAError { left.append("\(entry.name): \(error.message)") }
    }
    return (rows, left)
  }
  private func prepared<Result>(_ section: OptionTree, _ body: (StrategyBenchmark, OptionTree) throws -> Result) throws -> Result {
    var section = section
    switch section["name"]?.text {
    case "eata" where section["file"] == nil:
      let file = FileManager.default.temporaryDirectory.appendingPathComponent("tta-bench-\(UUID().uuidString).safetensors").path
      defer { try? FileManager.default.removeItem(atPath: file) }
      let importance = try model.graph.resolve(.normAffine).ids.map { id in
        (model.graph.parameters[Int(id.rawValue)].name, Tensor(repeating: 1, shape: model.parameters[id].shape))
      }
      try FisherInformation.write(Dictionary(uniqueKeysWithValues: importance), model: model, to: file)
      section["file"] = .text(file)
      return try body(self, section)
    case "ttt" where RotationHead.find(in: model.graph) == nil:
      let headed = try RandomWeights.addRotationHead(to: model, seed: 1)
      return try body(
        StrategyBenchmark(
          model: headed, batch: batch, repeats: repeats, execution: execution, memoryAtStart: memoryAtStart, progress: progress), section)
    default: return try body(self, section)
    }
  }
}
