// tta bench

import ArgumentParser
import CKernels
import Engine
import Foundation
import ModelIO
import TTA

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measures how fast a strategy adapts a model on this machine.",
    discussion: "Example: tta bench --model shapes --strategy tent --batch 100")

  @OptionGroup(title: "Model") var model: ModelOptions
  @Flag(name: .long, help: "Fresh weights for --architecture instead of a file.")
  var randomWeights = false
  @OptionGroup(title: "Strategy") var strategy: StrategyOptions
  @OptionGroup(title: "Configuration") var configuration: ConfigurationOptions
  @Option(name: .long, help: "Images per batch.") var batch = 64
  @Option(name: .long, help: "Measured batches, after warm-up.") var repeats = 10
  @Flag(name: .long, help: "Every kernel × shape against the peak of this machine, measured in the same run.") var kernels = false
  @Option(name: .long, help: ArgumentHelp("How fast batches of a data set are made, by number of threads.", valueName: "dataset"))
  var stream: String?
  @Flag(name: .long, help: "Every corruption on one picture of either published size, one thread.") var corruptions = false
  @Option(name: .long, help: "Severity for --corruptions, 0 to 5 in steps of 0.25.") var severity = 3.0
  @Flag(name: .long, help: "Also the time of each step of the plan.") var profile = false
  @OptionGroup(title: "Execution") var execution: ExecutionOptions
  @OptionGroup(title: "Output") var output: OutputOptions

  private struct Times: Encodable { var min: Double, median: Double, max: Double }
  private struct Result: Encodable {
    var model: String, strategy: String
    var batch: Int, threads: Int
    var isa: String, blas: String
    var images_per_second: Double
    var milliseconds_per_batch: Times
    var peak_memory_bytes: Int, arena_bytes: Int
    var gflops: Double
    var load_average: Double
  }

  func run() async throws {
    if kernels { return try KernelBenchmark.run(threads: execution.threads ?? Machine.processors, json: output.json) }
    if let stream {
      return try StreamBenchmark.run(
        stream, batch: batch, batches: repeats, threads: execution.threads ?? Machine.processors, json: output.json)
    }
    if corruptions { return try CorruptionBenchmark.run(severity: severity, json: output.json) }
    guard batch > 0, repeats > 0 else { throw TTAError(.usage, "--batch and --repeats: expected numbers of at least 1") }
    let executor = try execution.makeExecutor()
    let (name, model) = try benchmarked()
    var runtime = try AdaptationRuntime(
      model, Registry.current.compose(strategy.section(configuration.tree()["strategy"] ?? .keys([:]), fallback: "tent")))
    var random = RandomSource(seed: 7)
    var images = Tensor(zeros: Shape([batch] + model.graph.inputShape.dimensions))
    images.update { span in for i in span.indices { span[i] = random.uniform() } }
    for _ in 0..<2 { _ = try runtime.process(Batch(images), on: executor) }
    if profile { executor.profile = [:] }
    var seconds: [Double] = []
    for index in 0..<repeats {
      let start = ContinuousClock.now
      _ = try runtime.process(Batch(images), on: executor)
      seconds.append((ContinuousClock.now - start).seconds)
      if !output.quiet, Console.isTerminal { Console.progress("\rbatch \(index + 1)/\(repeats)") }
    }
    if !output.quiet, Console.isTerminal { Console.progress("\r\u{1B}[K") }
    seconds.sort()
    let median = seconds[seconds.count / 2]
    let operations = model.graph.operationsPerImage * Double(batch) * (runtime.adapted.isEmpty ? 1 : 2)
    var load = [0.0]
    getloadavg(&load, 1)
    let result = Result(
      model: name, strategy: strategy.name ?? "tent", batch: batch, threads: executor.threads, isa: Machine.instructionSet,
      blas: Machine.blas,
      images_per_second: Double(batch) / median,
      milliseconds_per_batch: Times(min: seconds[0] * 1e3, median: median * 1e3, max: (seconds.last ?? 0) * 1e3),
      peak_memory_bytes: Machine.peakMemoryBytes, arena_bytes: executor.arenaBytes, gflops: operations / median * 1e-9,
      load_average: load[0])
    if output.json { return try Console.json(result) }
    Console.result("\(name), \(result.strategy), batch \(batch), \(executor.threads) threads, \(result.isa), \(executor.lowering.rawValue)")
    Console.result(
      "  \(Numbers.grouped(result.images_per_second)) images/s   \(Numbers.time(seconds: median)) per batch (median of \(repeats); "
        + "\(Numbers.time(seconds: seconds[0])) to \(Numbers.time(seconds: seconds.last ?? 0)))")
    Console.result(
      "  \(Numbers.decimals(result.gflops, 1)) GFLOP/s counted as direct products   peak memory \(Numbers.bytes(result.peak_memory_bytes)), "
        + "of which arena \(Numbers.bytes(result.arena_bytes))")
    if let steps = executor.profile {
      for (label, time) in steps.sorted(by: { $0.value > $1.value }).prefix(40) {
        Console.result("  \(Numbers.decimals(time / Double(repeats) * 1e3, 2)) ms  \(label)")
      }
    }
  }

  private func benchmarked() throws -> (String, Model) {
    guard randomWeights else {
      let loaded = try model.load(model.model == nil ? .text("shapes") : nil)
      return (loaded.source == "shapes" ? "shapes" : loaded.architecture, loaded.model)
    }
    guard let name = model.architecture else {
      throw TTAError(.usage, "--random-weights needs --architecture", hint: "for example --architecture resnet50 --random-weights")
    }
    let architecture = try Architecture.named(name)
    let configuration = ArchitectureConfiguration(
      classes: architecture.defaultClasses, inputSize: model.inputSize ?? architecture.defaultInputSize)
    return (architecture.name, try RandomWeights.model(architecture.graph(configuration), seed: 1))
  }
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
extension Graph {
  /// Multiplications and additions of one image's forward, counted as direct products.
  var operationsPerImage: Double {
    nodes.indices.reduce(0) { $0 + nodes[$1].operation.operations(for: nodes[$1].inputs.map { $0 < 0 ? inputShape : nodes[$0].shape }) }
  }
}
