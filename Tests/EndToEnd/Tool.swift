// Runs the real binary.

import Foundation

/// What one run of the tool left.
struct ToolResult {
  var code: Int32
  var stdout: String
  var stderr: String
  var errorLines: [Substring] { stderr.split(separator: "\n") }
}

/// The binary that was built beside these tests.
enum Tool {
  /// Its place: the folder of the running test program.
  static let url: URL? = {
    let program = Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0])
    var folder = program.resolvingSymlinksInPath().deletingLastPathComponent()
    while folder.path != "/" {
      let tool = folder.appendingPathComponent("tta")
      var isFolder: ObjCBool = false
      if FileManager.default.fileExists(atPath: tool.path, isDirectory: &isFolder), !isFolder.boolValue,
        FileManager.default.isExecutableFile(atPath: tool.path)
      {
        return tool
      }
      if folder.lastPathComponent == ".build" { break }
      folder.deleteLastPathComponent()
    }
    return nil
  }()
  static let isBuilt = url != nil
  /// Whether the binary carries a trained model.
  static let hasModel = isBuilt && (try? runTTA(["inspect", "shapes"]))?.code == 0
  static let missing = "no tta beside the test program: swift build builds it"
  static let untrained = "the built-in model is not trained"
}

/// A folder that is gone after the test.
struct TemporaryFolder: ~Copyable {
  let url = FileManager.default.temporaryDirectory.appendingPathComponent("tta-\(UUID().uuidString)")
  init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
  func path(_ name: String) -> String { url.appendingPathComponent(name).path }
  deinit { try? FileManager.default.removeItem(at: url) }
}

/// Runs `tta` to its end. Output goes through files, so that no pipe can fill up.
func runTTA(_ arguments: [String], stdin: Data = Data(), environment: [String: String] = [:]) throws -> ToolResult {
  guard let tool = Tool.url else { throw CocoaError(.fileNoSuchFile) }
  let folder = try TemporaryFolder()
  for (name, content) in [("in", stdin), ("out", Data()), ("err", Data())] {
    try content.write(to: folder.url.appendingPathComponent(name))
  }
  let process = Process()
  process.executableURL = tool
  process.arguments = arguments
  process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
  process.standardInput = try FileHandle(forReadingFrom: folder.url.appendingPathComponent("in"))
  process.standardOutput = try FileHandle(forWritingTo: folder.url.appendingPathComponent("out"))
  process.standardError = try FileHandle(forWritingTo: folder.url.appendingPathComponent("err"))
  try process.run()
  process.waitUntilExit()
  func text(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: folder.url.appendingPathComponent(name)), as: UTF8.self)
  }
  return ToolResult(code: process.terminationStatus, stdout: try text("out"), stderr: try text("err"))
}
