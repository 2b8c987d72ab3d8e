// Replays that are killed, refused, or run out of space.

import Foundation
import Testing

@Suite(.enabled(if: Tool.hasModel, "\(Tool.untrained)"), .serialized) struct ReplayInterruptionTests {
  private static let command =
    ReplayTests.small + ["--strategies", "source,tent", "--setting", "continual,mixed-domains", "--save-every", "1", "--predictions"]

  private func start(_ arguments: [String], errors: String) throws -> Process {
    let process = Process()
    process.executableURL = Tool.url
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    _ = FileManager.default.createFile(atPath: errors, contents: nil)
    process.standardError = FileHandle(forWritingAtPath: errors)
    try process.run()
    return process
  }
  /// Rows of results.csv without times and memory.
  private func rows(_ folder: String) throws -> [[String]] {
    let rows = try String(contentsOfFile: folder + "/results.csv", encoding: .utf8).split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
    let header = try #require(rows.first)
    let kept = header.indices.filter { !["images_per_second", "seconds", "peak_memory_bytes", "waiting_percent"].contains(header[$0]) }
    return rows.map { row in kept.map { row[$0] } }
  }

  @Test func twentyKillsLoseNothing() throws {
    let folder = try TemporaryFolder()
    let whole = folder.path("whole")
    #expect(try runTTA(Self.command + ["--output", whole]).code == 0)
    var random = SystemRandomNumberGenerator()
    var kills = 0
    while kills < 20 {
      let output = folder.path("killed-\(kills)")
      while true {
        let resume = FileManager.default.fileExists(atPath: output) ? ["--resume"] : []
        let process = try start(Self.command + ["--output", output] + resume, errors: folder.path("errors"))
        let end = Date().addingTimeInterval(Double.random(in: 0...0.5, using: &random))
        while kills < 20, process.isRunning, Date() < end { usleep(2_000) }
        if kills < 20, process.isRunning {
          kill(process.processIdentifier, SIGKILL)
          process.waitUntilExit()
          kills += 1
          continue
        }
        process.waitUntilExit()
        let text = try String(contentsOfFile: folder.path("errors"), encoding: .utf8)
        try #require(process.terminationStatus == 0, "\(text)")
        break
      }
      #expect(try rows(output) == rows(whole))
      for name in ["curves.csv", "table.md", "table.tex", "predictions/mixed-domains.severity-5.tent.seed-1.npy"] {
        #expect(
          try Data(contentsOf: URL(fileURLWithPath: output + "/" + name)) == Data(contentsOf: URL(fileURLWithPath: whole + "/" + name)),
          "\(name) after \(kills) kills")
      }
    }
  }
  @Test func interruptionSaysHowToGoOn() throws {
    let folder = try TemporaryFolder()
    let output = folder.path("out")
    let command = Self.command + ["--limit", "2000", "--output", output]
    let process = try start(command, errors: folder.path("errors"))
    let end = Date().addingTimeInterval(60)
    while process.isRunning, Date() < end,
      !FileManager.default.fileExists(atPath: output + "/progress/continual.severity-5.source.seed-1/checkpoint.json")
    {
      usleep(2_000)
    }
    process.interrupt()
    process.waitUntilExit()
    #expect(process.terminationStatus == 130)
    let text = try String(contentsOfFile: folder.path("errors"), encoding: .utf8)
    #expect(text == "interrupted; everything so far is kept: the same command with --resume goes on\n")
  }
  @Test func anotherConfigurationIsRefused() throws {
    let folder = try TemporaryFolder()
    let output = folder.path("out")
    #expect(try runTTA(ReplayTests.small + ["--strategies", "source", "--output", output]).code == 0)
    let again = try runTTA(ReplayTests.small + ["--strategies", "source", "--output", output])
    #expect(again.code == 64)
    #expect(
      again.errorLines == ["error: \(output): holds a replay already", "hint: --resume continues it; another --output begins a new one"])
    let other = try runTTA(ReplayTests.small + ["--strategies", "source", "--output", output, "--resume", "--batch", "10"])
    #expect(other.code == 64)
    #expect(
      other.errorLines == [
        "error: \(output): the replay there differs in batch: expected 20, got 10",
        "hint: repeat its options to resume it, or begin a new one in another folder",
      ])
  }
  @Test func twoProcessesOnOneFolderAreRefused() throws {
    let folder = try TemporaryFolder()
    let output = folder.path("out")
    let process = try start(Self.command + ["--limit", "5000", "--output", output], errors: folder.path("errors"))
    let end = Date().addingTimeInterval(60)
    while process.isRunning, Date() < end, !FileManager.default.fileExists(atPath: output + "/results.csv") { usleep(2_000) }
    let second = try runTTA(Self.command + ["--limit", "5000", "--output", output, "--resume"])
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    #expect(second.code == 64)
    #expect(
      second.errorLines == ["error: \(output): another process is replaying into it", "hint: wait for it, or name another --output"])
  }
  @Test func folderThatCannotBeMade() throws {
    let result = try runTTA(ReplayTests.small + ["--output", "/dev/null/out"])
    #expect(result.code == 73)
    #expect(result.errorLines.first?.hasPrefix("error: /dev/null/out/cells: the folder cannot be made: ") == true)
    #expect(result.errorLines.last == "hint: check the path, its permissions and the free space")
  }
  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/setpriv"), "no setpriv"))
  func folderThatMayNotBeWritten() throws {
    let folder = try TemporaryFolder()
    let output = folder.path("out")
    #expect(try runTTA(ReplayTests.small + ["--strategies", "source", "--output", output]).code == 0)
    // Nothing is closed to root, so root becomes somebody else, who can read the folder but not write it.
    let user = getuid() == 0 ? ["--reuid=65534", "--regid=65534", "--clear-groups"] : []
    let paths = [folder.url.path] + (try FileManager.default.subpathsOfDirectory(atPath: folder.url.path)).map { folder.path($0) }
    func setModes(_ isWritable: Bool) throws {
      for path in paths {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        let mode = (attributes[.type] as? FileAttributeType == .typeDirectory ? 0o555 : 0o444) | (isWritable ? 0o200 : 0)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
      }
    }
    try setModes(false)
    defer { try? setModes(true) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/setpriv")
    process.arguments =
      user + [try #require(Tool.url).path] + ReplayTests.small + ["--strategies", "source", "--output", output, "--resume"]
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    let text = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 73)
    #expect(text == "error: \(output)/progress/run.lock: Permission denied\nhint: check that the folder is writable\n")
  }
  /// The limit on the size of files stands for a full disk: the same calls fail in the same places.
  @Test func fullDiskEndsWithAnErrorAndCanBeResumed() throws {
    let folder = try TemporaryFolder()
    let output = folder.path("out")
    let tool = try #require(Tool.url).path
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"", tool] + Self.command + ["--output", output]
    _ = FileManager.default.createFile(atPath: folder.path("errors"), contents: nil)
    process.standardError = FileHandle(forWritingAtPath: folder.path("errors"))
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 73)
    let text = try String(contentsOfFile: folder.path("errors"), encoding: .utf8)
    #expect(text.contains("File too large\nhint: "), "\(text)")
    let resumed = try runTTA(Self.command + ["--output", output, "--resume"])
    #expect(resumed.code == 0, "\(resumed.stderr)")
    #expect(try runTTA(Self.command + ["--output", folder.path("whole")]).code == 0)
    #expect(try rows(output) == rows(folder.path("whole")))
  }
}
