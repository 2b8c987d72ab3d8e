// manifest.json: what ran, under which rules, on what.

import Engine
public import Foundation
import Streams
import TTA

/// What ran, under which rules, on what: `manifest.json`. `machine` and `time` are the only parts that differ between two runs.
public struct ReplayManifest: Codable, Hashable, Sendable {
  /// The rules of one cell, which make numbers comparable or not.
  public struct Rules: Codable, Hashable, Sendable {
    /// The cell.
    public var key: String
    /// When the method started again, and where predictions come from.
    public var resets: String, answers: String
    /// Whether labels chose among answers.
    public var usesLabels: Bool
    /// Declared cost in source forwards, and batches per batch that is learnt from, where pictures do not wait.
    public var declaredCost: Double?, period: Int?
    /// Batches that were not learnt from, and pictures that could not be read.
    public var incidents: Int, unreadable: Int
  }
  /// What it ran on.
  public struct Machine: Codable, Hashable, Sendable {
    /// Instruction set and BLAS core of the kernels.
    public var instructionSet: String, blas: String
    /// Worker threads, processes side by side, processors.
    public var threads: Int, workers: Int, processors: Int
    /// A machine.
    public init(instructionSet: String, blas: String, threads: Int, workers: Int, processors: Int) {
      (self.instructionSet, self.blas, self.threads, self.workers, self.processors) = (instructionSet, blas, threads, workers, processors)
    }
  }
  /// How long it took.
  public struct Time: Codable, Hashable, Sendable {
    /// When the results were put together.
    public var finished: String
    /// Sum over the cells, in seconds.
    public var seconds: Double
    /// Share of it that strategies waited for pictures, in per cent.
    public var waitingPercent: Double
    /// Measured cost of a step in source forwards by cell, where pictures do not wait.
    public var measuredCosts: [String: Double]
  }
  /// Version and revision of the tool.
  public var version: String, revision: String
  /// Names the configuration: the first twelve digits of a digest of it.
  public var run: String
  /// What was run.
  public var configuration: ReplayConfiguration
  /// Names of the classes in the order of their numbers; empty where nobody knows them.
  public var classNames: [String]
  /// One per finished cell.
  public var rules: [Rules]
  /// Cells of the configuration that are missing.
  public var missing: [String]
  /// What must be known before numbers are compared with others.
  public var notes: [String]
  /// The command that repeats the run.
  public var command: String
  /// What it ran on.
  public var machine: Machine
  /// How long it took.
  public var time: Time

  /// The name of a configuration.
  public static func runName(_ configuration: ReplayConfiguration) throws -> String { String(Digest.of(try configuration.json).prefix(12)) }

  /// The manifest of some finished cells.
  public init(
    _ configuration: ReplayConfiguration, _ results: [CellResult], classNames: [String], version: String, revision: String,
    machine: Machine,
    finished: Date
  ) throws {
    self.classNames = classNames
    (self.version, self.revision, self.configuration, self.machine) = (version, revision, configuration, machine)
    run = try Self.runName(configuration)
    rules = results.map { result in
      Rules(
        key: result.cell.key, resets: result.resets, answers: result.answers, usesLabels: result.usesLabels,
        declaredCost: result.constraint?.declaredCost, period: result.constraint?.period, incidents: result.score.incidentCount,
        unreadable: result.score.unreadable)
    }
    let done = Set(results.map(\.cell.key))
    missing = configuration.cells.map(\.key).filter { !done.contains($0) }
    notes = Self.notes(configuration, results)
    command = "tta replay --config configuration.yaml --output NEW"
    let seconds = results.reduce(0) { $0 + $1.timing.seconds }
    let waiting = results.reduce(0) { $0 + $1.timing.waitingSeconds }
    var costs: [String: Double] = [:]
    for result in results { if let constraint = result.constraint { costs[result.cell.key] = constraint.measuredCost } }
    time = Time(
      finished: finished.ISO8601Format(), seconds: seconds, waitingPercent: seconds > 0 ? 100 * waiting / seconds : 0, measuredCosts: costs)
  }

  private static func notes(_ configuration: ReplayConfiguration, _ results: [CellResult]) -> [String] {
    var notes = ["batches of \(configuration.batch); preprocessing: \(configuration.preprocessing)"]
    for setting in configuration.settings {
      var resets: [String] = []
      for result in results where result.cell.setting == setting && !resets.contains(result.resets) { resets.append(result.resets) }
      if !resets.isEmpty { notes.append("\(setting.label): resets: \(resets.joined(separator: " or "))") }
    }
    if configuration.settings.contains(where: { $0.name == "episodic-oracle" }) {
      notes.append("episodic-oracle chooses answers by labels: an upper bound, not a method")
    }
    if configuration.settings.contains(where: { $0.name == "online-grid" }) {
      notes.append("online-grid: choosing the best row uses labels")
    }
    let labels = Set(results.flatMap { $0.score.online.parts.map(\.domain.label) })
    if labels.contains(where: { $0.contains("(procedural)") }) {
      notes.append("frost is procedural: its numbers are not comparable with those of the published files")
    }
    if !configuration.corruptions.isEmpty, configuration.data["published"] == nil {
      notes.append("corruptions were made here from clean pictures, not read from the published files")
    } else if configuration.data["published"] != nil {
      notes.append("corrupted pictures were read from files as they are")
    }
    let incidents = results.reduce(0) { $0 + $1.score.incidentCount }
    if incidents > 0 {
      notes.append("\(incidents) incidents: batches that were not learnt from, or verdicts of a guard; cells/*.json says why")
    }
    let unreadable = results.reduce(0) { $0 + $1.score.unreadable }
    if unreadable > 0 { notes.append("\(unreadable) pictures could not be read and were left out") }
    return notes
  }
}
