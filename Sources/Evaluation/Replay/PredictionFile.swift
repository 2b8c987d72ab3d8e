// The scores that a cell emitted, kept while it runs.

import Engine
import Foundation
import Streams

/// The scores that a cell emitted: rows that are cut back to a checkpoint, and one NumPy file at the end.
struct PredictionFile {
  private let raw: String, classes: Int
  private let file: FileHandle

  /// Continues behind so many rows.
  init(folder: String, classes: Int, rows: Int) throws {
    (raw, self.classes) = (folder + "/predictions.raw", classes)
    if !FileManager.default.fileExists(atPath: raw) { _ = FileManager.default.createFile(atPath: raw, contents: nil) }
    guard let file = FileHandle(forUpdatingAtPath: raw) else {
      throw TTAError(.cannotWrite, "\(raw): cannot be written", hint: "check the permissions of the folder")
    }
    self.file = file
    try guarded { try file.truncate(atOffset: UInt64(rows * classes * 4)) }
  }
  private func guarded(_ body: () throws -> Void) throws {
    do { try body() } catch {
      throw TTAError(
        .cannotWrite, "\(raw): \(error.localizedDescription)", hint: "check the free space, then use --resume", cause: error)
    }
  }
  /// Adds the rows of a batch.
  func append(_ scores: Tensor) throws {
    try guarded { try file.write(contentsOf: scores.values.withUnsafeBytes { Data($0) }) }
  }
  /// Everything is on the disk when this returns.
  func synchronize() throws { try guarded { try file.synchronize() } }
  /// Writes the NumPy file, float32 rows × classes.
  func finish(to path: String) throws {
    try file.seek(toOffset: 0)
    var writer = try NumpyWriter(path: path, type: .float32, rowShape: [classes])
    while let data = try file.read(upToCount: 4_096 * classes * 4), !data.isEmpty {
      let values = data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
      try writer.append(Tensor(values, shape: [values.count / classes, classes]))
    }
    try writer.close()
  }
}
