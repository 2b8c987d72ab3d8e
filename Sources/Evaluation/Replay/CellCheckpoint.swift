// A cell in the middle: state, scores and predictions that belong together.

import Engine
import Foundation
import TTA

/// A cell in the middle. State files carry the number of their batch in their names; the checkpoint, written last, says which ones belong to it.
struct CellCheckpoint: Codable {
  var nextBatch: Int
  var score: CellScore
  var timing: CellResult.Timing
  var constraint: TimeConstraint?

  private static func path(_ folder: String) -> String { folder + "/checkpoint.json" }
  private static func state(_ folder: String, _ batch: Int, _ runtime: Int) -> String { "\(folder)/state-\(batch)-\(runtime).safetensors" }

  /// Writes everything; what was there before stays valid until the last file is in place.
  func save(_ runtimes: [AdaptationRuntime], in folder: String) throws {
    for (number, runtime) in runtimes.enumerated() { try runtime.save(to: Self.state(folder, nextBatch, number)) }
    try AtomicFile.write(ReplayFolder.json(self), to: Self.path(folder))
    try Self.clean(folder, keeping: nextBatch)
  }
  /// Removes states of other batches and what writers that were killed left behind.
  private static func clean(_ folder: String, keeping batch: Int) throws {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
      let isOther = name.hasPrefix("state-") && !name.hasPrefix("state-\(batch)-")
      if isOther || name.hasSuffix(".tmp") { try? FileManager.default.removeItem(atPath: folder + "/" + name) }
    }
  }

  /// The checkpoint of a cell, if there is one; gives the runtimes their states.
  static func load(from folder: String, into runtimes: inout [AdaptationRuntime]) throws -> CellCheckpoint? {
    guard let checkpoint = try read(folder) else { return nil }
    for number in runtimes.indices { try runtimes[number].load(from: state(folder, checkpoint.nextBatch, number)) }
    return checkpoint
  }
  /// The checkpoint alone.
  static func read(_ folder: String) throws -> CellCheckpoint? {
    let path = path(folder)
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    do { return try JSONDecoder().decode(CellCheckpoint.self, from: Data(contentsOf: URL(fileURLWithPath: path))) } catch {
      throw TTAError(.invalidData, "\(path): damaged", hint: "delete \(folder) and use --resume to run the cell again", cause: error)
    }
  }
}
