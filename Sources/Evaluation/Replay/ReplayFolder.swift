// The folder that a replay writes.

import CEvaluation
public import Engine
import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// The folder that a replay writes: what lies where, who may write, what is there already.
public struct ReplayFolder: Sendable {
  /// Where it is.
  public let path: String

  /// A folder; nothing is made yet.
  public init(_ path: String) { self.path = path }
  /// A file of the results.
  public func file(_ name: String) -> String { path + "/" + name }
  /// The result of a finished cell.
  func result(_ cell: ReplayCell) -> String { file("cells/\(cell.key).json") }
  /// The folder of an unfinished cell.
  func progress(_ cell: ReplayCell) -> String { file("progress/\(cell.key)") }

  /// Whether a replay began here.
  public var hasRun: Bool { FileManager.default.fileExists(atPath: file("configuration.yaml")) }

  /// Makes the folders.
  public func create() throws(TTAError) {
    for name in ["cells", "progress"] { try Self.makeFolder(file(name)) }
  }
  static func makeFolder(_ path: String) throws(TTAError) {
    do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
      throw TTAError(
        .cannotWrite, "\(path): the folder cannot be made: \(error.localizedDescription)",
        hint: "check the path, its permissions and the free space", cause: error)
    }
  }

  /// The configuration that a run began with here.
  public func configuration() throws -> ReplayConfiguration {
    let text = try MappedFile(path: file("configuration.yaml")).text()
    do { return try JSONDecoder().decode(ReplayConfiguration.self, from: Data(text.utf8)) } catch {
      throw TTAError(
        .invalidData, "\(file("configuration.yaml")): not the configuration of a replay", hint: "name the folder of a replay", cause: error)
    }
  }
  /// Begins a run or goes on with one. Throws `usage` where another configuration ran here, naming the first difference, or where a run is
  /// there and `resume` is false.
  public func begin(_ configuration: ReplayConfiguration, resume: Bool) throws {
    if hasRun {
      guard resume else {
        throw TTAError(
          .usage, "\(path): holds a replay already", hint: "--resume continues it; another --output begins a new one")
      }
      if let difference = try configuration.difference(from: self.configuration()) {
        throw TTAError(
          .usage, "\(path): the replay there differs in \(difference.key): expected \(difference.other), got \(difference.own)",
          hint: "repeat its options to resume it, or begin a new one in another folder")
      }
    } else {
      try AtomicFile.write(configuration.json, to: file("configuration.yaml"))
    }
  }

  /// Keeps others out until the lock is dropped. Throws `usage` where another process has it.
  public func lock(_ name: String = "run") throws(TTAError) -> ReplayLock {
    try ReplayLock(path: file("progress/\(name).lock"), what: path)
  }

  /// Results of the cells that are finished, in the order of the configuration.
  public func finishedCells(_ configuration: ReplayConfiguration) throws -> [CellResult] {
    try configuration.cells.compactMap { try finished($0) }
  }
  /// The result of a cell, if it is finished.
  public func finished(_ cell: ReplayCell) throws -> CellResult? {
    let path = result(cell)
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    do { return try JSONDecoder().decode(CellResult.self, from: Data(contentsOf: URL(fileURLWithPath: path))) } catch {
      throw TTAError(
        .invalidData, "\(path): not the result of a cell", hint: "delete it and use --resume to run the cell again", cause: error)
    }
  }
  /// Keeps a finished cell, whole or not at all.
  func keep(_ result: CellResult) throws {
    try AtomicFile.write(Self.json(result), to: self.result(result.cell))
    try? FileManager.default.removeItem(atPath: progress(result.cell))
  }
  static func json(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
  }

  /// Adds rows to `results.csv`, on the disk when this returns.
  func append(_ rows: String) throws(TTAError) {
    let path = file("results.csv")
    let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
    func failure() -> TTAError {
      TTAError(
        .cannotWrite, "\(path): \(String(cString: strerror(errno)))", hint: "check permissions and free space, then use --resume")
    }
    guard descriptor >= 0 else { throw failure() }
    defer { close(descriptor) }
    var text = lseek(descriptor, 0, SEEK_END) == 0 ? ResultTable.header + rows : rows
    let (written, expected) = text.withUTF8 { (write(descriptor, $0.baseAddress, $0.count), $0.count) }
    guard written == expected, fsync(descriptor) == 0 else { throw failure() }
  }
}

/// An exclusive lock, held until it is dropped or the process ends, however it ends.
public final class ReplayLock: Sendable {
  private let descriptor: Int32

  init(path: String, what: String) throws(TTAError) {
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw TTAError(.cannotWrite, "\(path): \(String(cString: strerror(errno)))", hint: "check that the folder is writable")
    }
    guard ce_lock(descriptor) else {
      close(descriptor)
      throw TTAError(.usage, "\(what): another process is replaying into it", hint: "wait for it, or name another --output")
    }
  }
  deinit { close(descriptor) }
}
