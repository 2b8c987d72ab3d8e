// tta replay

import ArgumentParser
import CEvaluation
import Engine
import Evaluation
import Foundation
import ModelIO
import Streams
import TTA

struct ReplayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Replays corruption benchmarks: every strategy in every setting, resumable, with a report.",
    discussion: """
      Example: tta replay --model shapes --data shapes --limit 500 --batch 50 --strategies source,batch-norm,tent --output out
      Example: tta replay --config out/configuration.yaml --output again --workers 2
      """)

  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Replay") var options: ReplayOptions
  @OptionGroup(title: "Configuration") var configuration: ConfigurationOptions
  @Option(name: .long, help: ArgumentHelp("Where results go.", valueName: "dir")) var output: String?
  @Flag(name: .long, help: "Go on with what the folder holds.") var resume = false
  @Option(name: .long, help: "Processes side by side, one cell each; the results are the same.") var workers = 1
  @Flag(name: .long, help: "Print the independent cells with their keys and run nothing.") var listCells = false
  @Option(name: .long, help: ArgumentHelp("Run one cell only; no tables are made.", valueName: "key")) var cell: String?
  @Option(
    name: .long, parsing: .upToNextOption, help: ArgumentHelp("Join the cells of other folders, then make the tables.", valueName: "dir"))
  var merge: [String] = []
  @Option(name: .customLong("worker-of"), help: .hidden) var parent: Int32?
  @OptionGroup(title: "Execution") var execution: ExecutionOptions
  @OptionGroup(title: "Output") var printing: OutputOptions

  func run() async throws {
    if let parent { ce_end_with_parent(parent) }
    let preparation = try ReplayPreparation(options.tree(over: file()), model: model, lowering: execution.arithmetic)
    if listCells { return try list(preparation.configuration) }
    guard let output else { throw TTAError(.usage, "no output: expected --output", hint: "for example --output out") }
    guard (1...256).contains(workers) else {
      throw TTAError(.usage, "--workers \(workers): expected a number from 1 to 256", hint: "one per two processors is a good start")
    }
    let folder = ReplayFolder(output)
    try folder.create()
    let executor = try execution.makeExecutor()
    if let cell { return try runCell(named: cell, preparation, folder, executor) }
    let lock = try folder.lock()
    defer { withExtendedLifetime(lock) {} }
    try folder.begin(preparation.configuration, resume: resume || !merge.isEmpty)
    if !merge.isEmpty { try ReplayResults.merge(merge.map { ReplayFolder($0) }, into: folder) }
    try ReplayResults.repairRows(folder, preparation.configuration)
    let setup = setup(preparation, folder, executor)
    // What cannot work is found before the first cell runs.
    let waiting = try preparation.configuration.cells.filter { try folder.finished($0) == nil }
    for cell in waiting { _ = try CellRunner(cell, setup) }
    if merge.isEmpty {
      if workers > 1, waiting.count > 1 {
        try ReplayWorkers(
          folder: folder, threads: max(1, executor.threads / workers), count: workers, execution: execution, quiet: printing.quiet
        )
        .run(waiting, total: preparation.configuration.cells.count, saveEvery: preparation.saveEvery)
      } else {
        try runCells(waiting, setup, executor, total: preparation.configuration.cells.count)
      }
    }
    try finish(preparation, folder, executor, setup)
  }

  /// The configuration file, which may be one that a replay wrote, overlaid by `--set`.
  private func file() throws -> OptionTree {
    var tree = try configuration.config.map(ConfigurationFile.read) ?? .keys([:])
    if let path = configuration.config, tree["modelDigest"] != nil {
      let text = try MappedFile(path: path).text()
      guard let written = try? JSONDecoder().decode(ReplayConfiguration.self, from: Data(text.utf8)) else {
        throw TTAError(.invalidData, "\(path): not the configuration of a replay", hint: "name the configuration.yaml of a replay")
      }
      tree = ReplayPreparation.tree(of: written)
    }
    return try configuration.overlay(tree)
  }
  private struct Row: Encodable { var key: String, setting: String, severity: Double?, strategy: String, seed: UInt64 }
  private func list(_ configuration: ReplayConfiguration) throws {
    if printing.json {
      return try Console.json(
        configuration.cells.map {
          Row(key: $0.key, setting: $0.setting.label, severity: $0.severity, strategy: $0.strategy.label, seed: $0.seed)
        })
    }
    for cell in configuration.cells { Console.result(cell.key) }
  }
  private func setup(_ preparation: ReplayPreparation, _ folder: ReplayFolder, _ executor: Executor) -> CellRunner.Setup {
    CellRunner.Setup(
      configuration: preparation.configuration, source: preparation.source, program: Program(preparation.loaded.model.graph),
      parameters: preparation.loaded.model.parameters, folder: folder, saveEvery: preparation.saveEvery,
      pictureThreads: executor.threads)
  }

  private func runCell(named key: String, _ preparation: ReplayPreparation, _ folder: ReplayFolder, _ executor: Executor) throws {
    let cells = preparation.configuration.cells
    guard let cell = cells.first(where: { $0.key == key }) else {
      throw NearestNames.unknown("cell", key, in: cells.map(\.key))
    }
    try folder.begin(preparation.configuration, resume: true)
    guard try folder.finished(cell) == nil else { return }
    try runCells([cell], setup(preparation, folder, executor), executor, total: 1)
  }
  private func runCells(_ cells: [ReplayCell], _ setup: CellRunner.Setup, _ executor: Executor, total: Int) throws {
    let interruption = Interruption(endsAtOnce: parent == nil)
    var progress = ReplayProgress(quiet: printing.quiet, total: total, done: total - cells.count)
    for cell in cells {
      var runner = try CellRunner(cell, setup)
      let result = try runner.run(on: executor) { step in
        progress.show(cell, step)
        return !interruption.isRequested
      }
      progress.endCell()
      guard result != nil else {
        progress.end()
        Console.error("interrupted; everything so far is kept: the same command with --resume goes on")
        throw ExitCode(130)
      }
    }
    progress.end()
  }

  private func finish(_ preparation: ReplayPreparation, _ folder: ReplayFolder, _ executor: Executor, _ setup: CellRunner.Setup) throws {
    let results = try ReplayResults(
      folder, preparation.configuration, classNames: preparation.loaded.description.classes ?? setup.source.images.classNames ?? [],
      version: TTACommandLine.version, revision: Machine.revision,
      machine: .init(
        instructionSet: Machine.instructionSet, blas: Machine.blas, threads: executor.threads, workers: workers,
        processors: Machine.processors))
    try results.write(tensorBoard: preparation.writesEvents)
    var report = ReplayReport([.init(name: preparation.configuration.dataset, manifest: results.manifest, results: results.results)])
    if let first = preparation.configuration.cells.first {
      report.pictures = try ContactSheet(CellRunner(first, setup).stream, maximumDomains: 20)
    }
    try AtomicFile.write(report.html, to: folder.file("report.html"))
    for key in results.manifest.missing { Console.error("warning: cell \(key) is missing") }
    if printing.json { return try Console.json(results.summary) }
    ReplayTable.print(results)
    if !printing.quiet {
      Console.error("strategies waited \(Numbers.decimals(results.manifest.time.waitingPercent, 1)) % of the time for pictures")
      Console.error("report: \(folder.file("report.html"))")
    }
  }
}
