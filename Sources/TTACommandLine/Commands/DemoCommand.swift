// tta demo

import ArgumentParser
import Engine
import Evaluation
import Foundation
import ModelIO
import Streams
import TTA
import Vision

struct DemoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo", abstract: "Compares strategies side by side on the built-in classifier and pictures under corruptions.",
    discussion: "Example: tta demo --strategies source,batch-norm,tent --report demo.html")

  @Option(name: .long, help: ArgumentHelp("Strategies, the columns of the table (tta list strategies).", valueName: "a,b,c"))
  var strategies = "source,batch-norm,tent"
  @Option(name: .long, help: ArgumentHelp("Corruptions or groups, in order, and clean (tta list corruptions).", valueName: "a,b,c"))
  var corruptions = "standard"
  @Option(name: .long, help: "Strength of the corruptions, 1 to 5.") var severity = 5
  @Option(name: .long, help: "Pictures per corruption, 1 to 10000.") var images = 1_000
  @Option(name: .long, help: "Pictures per batch.") var batch = 100
  @Option(name: .long, help: "Of all random numbers.") var seed: UInt64 = 1
  @Option(name: .long, help: ArgumentHelp("Also write a page with curves and pictures, one self-contained file.", valueName: "file.html"))
  var report: String?
  @OptionGroup(title: "Execution") var execution: ExecutionOptions
  @OptionGroup(title: "Output") var output: OutputOptions

  private struct Result: Encodable {
    var images_per_domain: Int, severity: Int, batch: Int, seed: UInt64
    var threads: Int, isa: String, blas: String
    var seconds: Double, finding: String, note: String
  }
  private static let note = "Rendered shapes with regenerated corruptions: not a published benchmark."

  func run() async throws {
    try validateNumbers()
    let executor = try execution.makeExecutor()
    let names = words(of: strategies)
    if let twice = names.indices.first(where: { names[..<$0].contains(names[$0]) }) {
      throw TTAError(
        .usage, "--strategies \(strategies): \(names[twice]) is named twice", hint: "tta replay compares one strategy under several options"
      )
    }
    let parts = try names.map { (name: $0, strategy: try Registry.current.compose(.keys(["name": .text($0)]))) }
    guard !parts.isEmpty else {
      throw TTAError(.usage, "--strategies: expected at least one name", hint: "for example source,batch-norm,tent")
    }
    if let offline = parts.first(where: { $0.strategy.isOffline }) {
      throw TTAError(
        .usage, "\(offline.name) learns from a whole set of images before it answers; the demo is a stream",
        hint: "tta replay --model shapes --data shapes --strategies \(offline.name) shows each domain to it as a whole")
    }
    let stream = try makeStream()
    let loaded = try BuiltinModel.load()
    let program = Program(loaded.model.graph)
    var evaluation = try SideBySideEvaluation(
      stream,
      strategies: parts.map { part in
        var runtime = try AdaptationRuntime(program: program, source: loaded.model.parameters, part.strategy, seed: seed)
        runtime.smallBatch = .source
        return (part.name, runtime)
      })
    try evaluation.warmUp(on: executor)
    let interruption = Interruption()
    var progress = DemoProgress(quiet: output.quiet)
    try evaluation.run(on: executor) { step in
      progress.show(step)
      return !interruption.isRequested
    }
    progress.end()
    try finish(evaluation, loaded, executor, seconds: progress.seconds)
    if !evaluation.isFinished {
      Console.error("interrupted after batch \(evaluation.nextBatch) of \(stream.count); the results are those so far")
      throw ExitCode(130)
    }
  }

  private func validateNumbers() throws {
    guard (1...ShapesDataset.test.count).contains(images) else {
      throw TTAError(
        .usage, "--images \(images): expected a number from 1 to \(ShapesDataset.test.count)",
        hint: "the default is 1000 pictures per corruption")
    }
    guard (1...5).contains(severity) else {
      throw TTAError(
        .usage, "--severity \(severity): expected a number from 1 to 5", hint: "--corruptions clean shows pictures as they are")
    }
    try requireBatch(batch)
  }
  private func makeStream() throws -> DomainStream {
    var domains: [Domain] = []
    for name in words(of: corruptions) {
      let named = name == "clean" ? [Domain.clean] : try CorruptionKind.group(name).map { Domain($0.name, severity: severity) }
      domains += named.filter { !domains.contains($0) }
    }
    guard !domains.isEmpty else {
      throw TTAError(.usage, "--corruptions \(corruptions): expected at least one corruption", hint: "tta list corruptions shows them")
    }
    var options = DomainStream.Options()
    options.seed = seed
    return try DomainStream(ImageRange(ShapesDataset.test, 0..<images), domains: domains, batchSize: batch, options: options)
  }

  private func finish(_ evaluation: SideBySideEvaluation, _ loaded: LoadedModel, _ executor: Executor, seconds: Double) throws {
    let summary = EvaluationSummary(model: loaded.source, evaluation) { $0.label }
    let finding = Findings.sentence(evaluation.standings)
    for contestant in evaluation.contestants {
      let incidents = contestant.runtime.incidents
      guard let first = incidents.first else { continue }
      Console.error("warning: \(contestant.name): \(first)" + (incidents.count > 1 ? " (and \(incidents.count - 1) more)" : ""))
    }
    if output.json {
      try Console.json(
        SideBySide(
          summary,
          Result(
            images_per_domain: images, severity: severity, batch: batch, seed: seed, threads: executor.threads, isa: Machine.instructionSet,
            blas: Machine.blas, seconds: seconds, finding: finding, note: Self.note)))
    } else {
      printTable(summary)
      Console.result("")
      Console.result(finding)
      Console.result(Self.note)
    }
    guard let report else { return }
    var page = ReportPage(title: "tta demo: strategies side by side", finding: finding, note: Self.note, standings: evaluation.standings)
    page.classNames = ShapesDataset.classes
    page.pictures = try ContactSheet(evaluation.stream)
    page.facts = facts(loaded, executor, seconds: seconds, isWhole: evaluation.isFinished)
    page.command = command
    try AtomicFile.write(page.html, to: report)
    if !output.quiet { Console.error("report: \(report)") }
  }
  private func facts(_ loaded: LoadedModel, _ executor: Executor, seconds: Double, isWhole: Bool) -> [ReportPage.Fact] {
    [
      .init("model", "\(loaded.source): \(loaded.architecture), parameters \(loaded.model.parameters.digest)"),
      .init("strategies", strategies),
      .init("corruptions", "\(corruptions), severity \(severity), one after the other, never reset"),
      .init("pictures", "shapes 0 to \(Numbers.grouped(Double(images - 1))) under each corruption, batches of \(batch)"),
      .init("seed", "\(seed)"),
      .init("convolutions", execution.arithmetic),
      .init("time", Numbers.time(seconds: seconds) + (isWhole ? "" : ", interrupted: the numbers cover a part of the stream")),
      .init(
        "machine",
        "tta \(TTACommandLine.version) (\(Machine.revision)), instruction set \(Machine.instructionSet), BLAS core \(Machine.blas), "
          + "\(executor.threads) threads"),
    ]
  }
  /// The command that repeats the run, every number written out.
  private var command: String {
    let program = URL(fileURLWithPath: CommandLine.arguments.first ?? "tta").lastPathComponent
    var typed = [program, "demo", "--strategies", words(of: strategies).joined(separator: ",")]
    typed += ["--corruptions", words(of: corruptions).joined(separator: ","), "--severity", "\(severity)", "--images", "\(images)"]
    typed += ["--batch", "\(batch)", "--seed", "\(seed)"]
    if let threads = execution.threads { typed += ["--threads", "\(threads)"] }
    typed += execution.arithmeticArguments
    return typed.joined(separator: " ")
  }
  private func printTable(_ summary: EvaluationSummary) {
    var table = TextTable(["error in %"] + summary.strategies.map(\.name))
    for domain in summary.domains {
      table.add([domain] + summary.strategies.map { Numbers.decimals($0.perDomain[domain] ?? 0, 1) })
    }
    table.add(["mean"] + summary.strategies.map { Numbers.decimals($0.errorPercent, 1) })
    table.add(["images/s"] + summary.strategies.map { Numbers.grouped($0.imagesPerSecond) })
    table.lines.forEach(Console.result)
  }
}

/// What a demo shows while it runs.
struct DemoProgress {
  private let quiet: Bool
  private var line: ProgressLine
  private let start = ContinuousClock.now
  /// Time since the first batch began.
  private(set) var seconds = 0.0

  init(quiet: Bool) {
    self.quiet = quiet
    line = ProgressLine(quiet: quiet)
  }
  mutating func show(_ step: SideBySideEvaluation.Progress) {
    seconds = (ContinuousClock.now - start).seconds
    let errors = step.standings.map { standing in
      (name: standing.name, text: Numbers.decimals(standing.score.parts.last?.tally.errorPercent ?? 0, 1) + " %")
    }
    if step.endsDomain, !quiet, !Console.isTerminal {
      let images = Numbers.grouped(Double(step.standings.first?.score.parts.last?.tally.answered ?? 0))
      Console.error("\(step.domain)  \(images) images  " + errors.map { "\($0.name) \($0.text)" }.joined(separator: "  "))
    }
    let answered = step.standings.reduce(0) { $0 + $1.score.overall.answered }
    let own = step.standings.reduce(0) { $0 + $1.score.overall.seconds }
    let eta = Numbers.clock(seconds: seconds / Double(step.batch) * Double(step.batches - step.batch))
    let alone = errors.count == 1
    line.draw(
      alone ? "\(errors[0].name)  \(step.domain)" : "\(step.domain)", done: Double(step.batch) / Double(step.batches),
      "\(Numbers.grouped(Double(answered) / max(own, 1e-9))) img/s  error "
        + (alone ? errors[0].text : errors.map { "\($0.name) \($0.text)" }.joined(separator: ", ")) + "  ETA \(eta)")
  }
  mutating func end() { line.clear() }
}
