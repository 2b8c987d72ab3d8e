// All result files of a replay, from its finished cells.

import Engine
public import Foundation
import Streams

/// All result files of a replay, from its finished cells: the same whoever ran them, and in which order.
public struct ReplayResults: Sendable {
  /// The folder.
  public let folder: ReplayFolder
  /// What was run.
  public let manifest: ReplayManifest
  /// The finished cells in the order of the configuration.
  public let results: [CellResult]

  /// Reads what is finished.
  public init(
    _ folder: ReplayFolder, _ configuration: ReplayConfiguration, classNames: [String], version: String, revision: String,
    machine: ReplayManifest.Machine, finished: Date = Date()
  ) throws {
    self.folder = folder
    results = try folder.finishedCells(configuration)
    manifest = try ReplayManifest(
      configuration, results, classNames: classNames, version: version, revision: revision, machine: machine, finished: finished)
  }
  /// The numbers of the tables.
  public var summary: ReplaySummary { ReplaySummary(run: manifest.run, results) }

  /// Writes `results.csv` anew from what is safe, so that no row is there twice or in part. Unfinished cells keep the rows of their finished domains.
  public static func repairRows(_ folder: ReplayFolder, _ configuration: ReplayConfiguration) throws {
    let run = try ReplayManifest.runName(configuration)
    var text = ResultTable.header
    for cell in configuration.cells {
      if let result = try folder.finished(cell) {
        text += ResultTable.rows(result, run, configuration)
      } else if let kept = try CellCheckpoint.read(folder.progress(cell)) {
        let result = CellResult(
          cell: cell, score: kept.score, resets: "", answers: "", usesLabels: cell.setting.name == "episodic-oracle",
          constraint: kept.constraint, timing: kept.timing)
        text += ResultTable.rows(result, run, configuration)
      }
    }
    try AtomicFile.write(text, to: folder.file("results.csv"))
  }

  /// Writes all files but the page.
  public func write(tensorBoard: Bool) throws {
    let run = manifest.run
    try AtomicFile.write(
      ResultTable.header + results.map { ResultTable.rows($0, run, manifest.configuration) }.joined(), to: folder.file("results.csv"))
    try AtomicFile.write(CurveTable.header + results.map { CurveTable.rows($0, run) }.joined(), to: folder.file("curves.csv"))
    let groups = ReplayGroup.groups(of: results)
    try AtomicFile.write(PrintedTables.markdown(manifest, groups), to: folder.file("table.md"))
    try AtomicFile.write(PrintedTables.latex(manifest, groups), to: folder.file("table.tex"))
    try AtomicFile.write(Self.json(summary), to: folder.file("summary.json"))
    try AtomicFile.write(Self.json(manifest), to: folder.file("manifest.json"))
    if tensorBoard { for result in results { try writeEvents(result) } }
  }
  private static func json(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
  }
  private func writeEvents(_ result: CellResult) throws {
    // TensorBoard shows a run per folder; all events of a file share one time, so that two runs give the same bytes.
    let path = folder.file("tensorboard/\(result.cell.key)")
    try ReplayFolder.makeFolder(path)
    var events = EventFile(time: 0)
    for (number, point) in result.score.online.curve.enumerated() {
      events.add("error/batch", point.batchErrorPercent, step: point.images)
      events.add("error/domain", point.domainErrorPercent, step: point.images)
      events.add("error/overall", point.overallErrorPercent, step: point.images)
      events.add("entropy", result.score.entropies[number], step: point.images)
      events.add("drift", result.score.driftPercents[number], step: point.images)
    }
    try AtomicFile.write(events.bytes, to: path + "/events.out.tfevents.0.replay")
  }

  /// Joins the finished cells of other folders into this one. Throws where they ran another configuration.
  public static func merge(_ others: [ReplayFolder], into folder: ReplayFolder) throws {
    for other in others where other.path != folder.path {
      let configuration = try other.configuration()
      if let difference = try configuration.difference(from: folder.configuration()) {
        throw TTAError(
          .usage, "\(other.path): differs from \(folder.path) in \(difference.key): expected \(difference.other), got \(difference.own)",
          hint: "only cells of one configuration can be joined")
      }
      for cell in configuration.cells {
        guard let result = try other.finished(cell) else { continue }
        try folder.keep(result)
        let predictions = "predictions/\(cell.key).npy"
        guard FileManager.default.fileExists(atPath: other.file(predictions)) else { continue }
        try ReplayFolder.makeFolder(folder.file("predictions"))
        try? FileManager.default.removeItem(atPath: folder.file(predictions))
        do { try FileManager.default.copyItem(atPath: other.file(predictions), toPath: folder.file(predictions)) } catch {
          throw TTAError(
            .cannotWrite, "\(folder.file(predictions)): \(error.localizedDescription)", hint: "check the free space", cause: error)
        }
      }
    }
  }
}
