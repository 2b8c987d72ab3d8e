// tta bench

import ArgumentParser
import CEvaluation
import CKernels
import Engine
import Foundation
import ModelIO
import TTA

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measures how fast a strategy adapts a model on this machine.",
    discussion: """
      Example: tta bench --model shapes --strategy tent --batch 100
      Example: tta bench --model shapes --strategy all --repeats 3
      Example, latency of requests: tta bench --model shapes --strategy source --batch 1 --repeats 10000
      """)

  @OptionGroup(title: "Model") var model: ModelOptions
  @Flag(name: .long, help: "Fresh weights for --architecture instead of a file.")
  var randomWeights = false
  @OptionGroup(title: "Strategy") var strategy: StrategyOptions
  @OptionGroup(title: "Configuration") var configuration: ConfigurationOptions
  @Option(name: .long, help: "Images per batch.") var batch = 64
  @Option(name: .long, help: "Measured batches, after warm-up.") var repeats = 10
  @Flag(name: .long, help: "Every kernel × shape against the peak of this machine, measured in the same run.") var kernels = false
  @Flag(name: .long, help: "LAME by number of images and of classes.") var lame = false
  @Option(name: .long, help: ArgumentHelp("How fast batches of a data set are made, by number of threads.", valueName: "dataset"))
  var stream: String?
  @Flag(name: .long, help: "Every corruption on one picture of either published size, one thread.") var corruptions = false
  @Option(name: .long, help: "Severity for --corruptions, 0 to 5 in steps of 0.25.") var severity = 3.0
  @Flag(name: .long, help: "Also the time of each kind of step and of the slowest steps.") var profile = false
  @OptionGroup(title: "Execution") var execution: ExecutionOptions
  @OptionGroup(title: "Output") var output: OutputOptions

  private struct Result: Encodable {
    var model: String, batch: Int, threads: Int
    var isa: String, blas: String
    var load_average: Double
  }
  private struct Table: Encodable {
    var model: String, batch: Int, threads: Int, isa: String, blas: String
    var load_average: Double
    var strategies: [StrategyBenchmark.Measurement], left_out: [String]
  }

  func run() async throws {
    if kernels { return try KernelBenchmark.run(threads: execution.threads ?? Machine.processors, json: output.json) }
    if let stream {
      return try StreamBenchmark.run(
        stream, batch: batch, batches: repeats, threads: execution.threads ?? Machine.processors, json: output.json)
    }
    if lame { return try LameBenchmark.run(repeats: repeats, threads: execution.threads ?? Machine.processors, json: output.json) }
    if corruptions { return try CorruptionBenchmark.run(severity: severity, json: output.json) }
    try requireBatch(batch)
    guard (1...10_000_000).contains(repeats) else {
      throw TTAError(.usage, "--repeats \(repeats): expected a number from 1 to 10000000", hint: "10 unless said otherwise")
    }
    let memoryAtStart = ce_resident_memory()
    let (name, model) = try benchmarked()
    let benchmark = StrategyBenchmark(
      model: model, batch: batch, repeats: repeats, execution: execution, memoryAtStart: memoryAtStart
    ) { strategy, done in
      if !output.quiet, Console.isTerminal { Console.progress("\r\u{1B}[K\(strategy): batch \(done)/\(repeats)") }
    }
    defer { if !output.quiet, Console.isTerminal { Console.progress("\r\u{1B}[K") } }
    var load = [0.0]
    getloadavg(&load, 1)
    let threads = execution.threads ?? Executor.processorCount
    let section = try strategy.section(configuration.tree()["strategy"] ?? .keys([:]), fallback: "tent")
    if strategy.name == "all" {
      let (rows, left) = try benchmark.measureAll(section)
      if output.json {
        return try Console.json(
          Table(
            model: name, batch: batch, threads: threads, isa: Machine.instructionSet, blas: Machine.blas, load_average: load[0],
            strategies: rows, left_out: left))
      }
      return show(rows, left, name, threads)
    }
    let (measured, executor) = try benchmark.measure(section, profile: profile)
    if output.json {
      return try Console.json(
        SideBySide(
          measured,
          Result(
            model: name, batch: batch, threads: threads, isa: Machine.instructionSet, blas: Machine.blas, load_average: load[0])))
    }
    let times = measured.milliseconds_per_batch
    Console.result(
      "\(name), \(measured.strategy), batch \(batch), \(threads) threads, \(Machine.instructionSet), \(execution.arithmetic)")
    Console.result(
      "  \(Numbers.grouped(measured.images_per_second)) images/s   \(Numbers.time(seconds: times.median / 1e3)) per batch (median of \(repeats); 99 % within \(Numbers.time(seconds: times.p99 / 1e3)); "
        + "\(Numbers.time(seconds: times.min / 1e3)) to \(Numbers.time(seconds: times.max / 1e3)))")
    Console.result(
      "  \(Numbers.decimals(measured.forwards_per_image, 2)) forwards and \(Numbers.decimals(measured.backwards_per_image, 2)) backwards per image   "
        + "\(Numbers.decimals(measured.gflops, 1)) GFLOP/s counted as direct products")
    Console.result(
      "  peak memory \(Numbers.bytes(measured.peak_memory_bytes)), of which arena \(Numbers.bytes(measured.arena_bytes)); "
        + "\(Numbers.bytes(measured.planned_memory_bytes)) planned")
    if let steady = measured.steadiness {
      Console.result(
        "  first tenth of the batches \(Numbers.time(seconds: steady.first_tenth_milliseconds / 1e3)), last tenth "
          + "\(Numbers.time(seconds: steady.last_tenth_milliseconds / 1e3)); memory grew by \(Numbers.bytes(max(0, steady.memory_growth_bytes))) between them"
      )
    }
    if let steps = executor.profile { show(steps) }
  }
  /// Time per batch by kind of step, then of the slowest steps.
  private func show(_ profile: [String: Double]) {
    func line(_ time: Double, _ text: String) { Console.result("  \(Numbers.decimals(time / Double(repeats) * 1e3, 2)) ms  \(text)") }
    let kinds = Dictionary(grouping: profile) { $0.key.components(separatedBy: ": ").last ?? $0.key }
    let totals = kinds.mapValues { (time: $0.reduce(0) { $0 + $1.value }, steps: $0.count) }
    for (kind, total) in totals.sorted(by: { $0.value.time > $1.value.time }) { line(total.time, "\(kind), \(total.steps) steps") }
    Console.result("the slowest steps:")
    for (label, time) in profile.sorted(by: { $0.value > $1.value }).prefix(40) { line(time, label) }
  }
  private func show(_ rows: [StrategyBenchmark.Measurement], _ left: [String], _ name: String, _ threads: Int) {
    Console.result("\(name), batch \(batch), \(threads) threads, \(Machine.instructionSet), median of \(repeats) batches")
    var table = TextTable(["strategy", "images/s", "per batch", "forwards/image", "backwards/image", "peak memory", "arena"])
    for row in rows {
      table.add([
        row.strategy, Numbers.grouped(row.images_per_second), Numbers.time(seconds: row.milliseconds_per_batch.median / 1e3),
        Numbers.decimals(row.forwards_per_image, 2), Numbers.decimals(row.backwards_per_image, 2), Numbers.bytes(row.peak_memory_bytes),
        Numbers.bytes(row.arena_bytes),
      ])
    }
    table.lines.forEach(Console.result)
    let idle = rows.filter { $0.adapts && $0.backwards_per_image == 0 }.map(\.strategy)
    if !idle.isEmpty {
      Console.error(
        "note: no image of this noise was learnt from by \(idle.joined(separator: ", ")): their rates are those of forwards alone")
    }
    for line in left { Console.error("left out: \(line)") }
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
      classes: try model.classNames()?.count ?? architecture.defaultClasses, inputSize: model.inputSize ?? architecture.defaultInputSize)
    return (architecture.name, try RandomWeights.modelInFile(architecture.graph(configuration), seed: 1))
  }
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
