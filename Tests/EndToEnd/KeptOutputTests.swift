// What tta adapt leaves is never lost: interrupted streams, outputs that are there, states.

import Engine
import Foundation
import Streams
import Testing
import Vision

@Suite(.enabled(if: Tool.hasModel, Comment(rawValue: Tool.missing)))
struct KeptOutputTests {
  private let common = ["--model", "shapes", "--strategy", "tent", "--quiet"]

  /// Pictures of the built-in set as a `.npy` file.
  private func array(_ count: Int, _ name: String, _ folder: borrowing TemporaryFolder) throws -> String {
    var pictures = try NumpyWriter(path: folder.path(name), type: .uint8, rowShape: [32, 32, 3])
    for index in 0..<count { try pictures.append(ShapesDataset.test.image(at: index)) }
    try pictures.close()
    return folder.path(name)
  }
  private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

  /// Rows and logits of a stream that was stopped and went on are those of a stream that was not; rows behind the last state come once.
  @Test(arguments: ["csv", "jsonl"]) func filesGoOnWithTheStream(_ format: String) throws {
    let folder = try TemporaryFolder()
    let (first, all, state) = (try array(40, "40.npy", folder), try array(100, "100.npy", folder), folder.path("s.state"))
    func run(_ images: String, _ name: String, _ more: [String] = []) throws -> ToolResult {
      try runTTA(
        [
          "adapt", images, "--batch", "20", "--format", format, "--output", folder.path(name + ".rows"), "--save-logits",
          folder.path(name + ".npy"),
        ]
          + common + more)
    }
    #expect(try run(all, "whole").code == 0)
    #expect(try run(first, "parts", ["--state-out", state]).code == 0)
    // Names of inputs differ.
    let start = try text(folder.path("parts.rows")).replacing(first, with: all)
    try (start + start.split(separator: "\n")[1] + "\n").write(toFile: folder.path("parts.rows"), atomically: true, encoding: .utf8)
    let rest = try run(all, "parts", ["--state-in", state, "--resume"])
    #expect(rest.code == 0, "\(rest.stderr)")
    #expect(try text(folder.path("parts.rows")) == text(folder.path("whole.rows")))
    #expect(try NumpyArray(path: folder.path("parts.npy")).tensor() == NumpyArray(path: folder.path("whole.npy")).tensor())
    // A file that does not hold the rows so far is not touched.
    try "index,input,class,label,confidence,entropy,adapted\n".write(toFile: folder.path("short.rows"), atomically: true, encoding: .utf8)
    let short = try run(all, "short", ["--state-in", state, "--resume"])
    let reason = format == "csv" ? "0 rows, the state has seen 40 images" : "expected the rows of the stream so far, got another file"
    #expect(short.code == 65 && short.errorLines.first == "error: \(folder.path("short.rows")): \(reason)", "\(short.stderr)")
    #expect(try text(folder.path("short.rows")).split(separator: "\n").count == 1)
  }

  @Test func resumingNeedsTheSameBatchesAndTheWholeInput() throws {
    let folder = try TemporaryFolder()
    let (first, all, state) = (try array(40, "40.npy", folder), try array(100, "100.npy", folder), folder.path("s.state"))
    #expect(try runTTA(["adapt", first, "--batch", "20", "--state-out", state] + common).code == 0)
    func refusal(_ arguments: [String]) throws -> Substring? {
      let result = try runTTA(["adapt"] + arguments + ["--state-in", state, "--resume"] + common)
      #expect(result.code == 64 && result.stdout.isEmpty, "\(result.stdout)\(result.stderr)")
      return result.errorLines.first
    }
    for batch in ["10", "15", "30"] {
      #expect(try refusal([all, "--batch", batch]) == "error: --batch \(batch): the state has seen batches of 20 images")
    }
    #expect(
      try refusal([array(20, "20.npy", folder), "--batch", "20"]) == "error: --resume: the state has seen 2 batches, the input has 1")
    #expect(
      try refusal(["-", "--raw", "32x32", "--batch", "20"]) == "error: --resume: frames on standard input cannot be left out")
  }

  @Test func outputsReplaceNothingThatIsRead() throws {
    let folder = try TemporaryFolder()
    let images = try array(10, "x.npy", folder)
    let before = try Data(contentsOf: URL(fileURLWithPath: images))
    let link = folder.path("link.npy")
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: images)
    let both = folder.path("both")
    for (arguments, message) in [
      (["--output", images], "--output \(images) would replace what is read: \(images)"),
      (["--output", link], "--output \(link) would replace what is read: \(images)"),
      (["--save-logits", images], "--save-logits \(images) would replace what is read: \(images)"),
      (["--state-out", images], "--state-out \(images) would replace what is read: \(images)"),
      (["--output", both, "--state-out", both], "--output and --state-out name the same file: \(both)"),
    ] {
      let result = try runTTA(["adapt", images] + arguments + common)
      #expect(result.code == 64 && result.errorLines.first == "error: \(message)", "\(result.stderr)")
    }
    #expect(try Data(contentsOf: URL(fileURLWithPath: images)) == before && !FileManager.default.fileExists(atPath: both))
  }

  /// Rows go through a link to where it points, to a device too; an array needs a file.
  @Test func linksStayLinks() throws {
    let folder = try TemporaryFolder()
    let images = try array(10, "x.npy", folder)
    let files = FileManager.default
    for (link, target) in [("rows", "rows.csv"), ("logits", "logits.npy"), ("state", "s.state"), ("nothing", "/dev/null")] {
      if !target.hasPrefix("/") { try Data().write(to: URL(fileURLWithPath: folder.path(target))) }
      try files.createSymbolicLink(atPath: folder.path(link), withDestinationPath: target.hasPrefix("/") ? target : folder.path(target))
    }
    let result = try runTTA(
      ["adapt", images, "--output", folder.path("rows"), "--save-logits", folder.path("logits"), "--state-out", folder.path("state")]
        + common)
    #expect(result.code == 0, "\(result.stderr)")
    #expect(try text(folder.path("rows.csv")).split(separator: "\n").count == 11)
    #expect(try NumpyArray(path: folder.path("logits.npy")).shape == [10, 10])
    #expect(try runTTA(["adapt", images, "--output", folder.path("nothing")] + common).code == 0)
    let array = try runTTA(["adapt", images, "--save-logits", folder.path("nothing")] + common)
    #expect(array.code == 73 && array.stderr.contains("\" is no file: "), "\(array.stderr)")
    for link in ["rows", "logits", "state", "nothing"] {
      #expect((try? files.destinationOfSymbolicLink(atPath: folder.path(link))) != nil, "\(link)")
    }
  }

  /// A camera that sends no more: Ctrl-C answers the frames that wait and keeps the state.
  @Test func aStalledStreamIsInterrupted() throws {
    let tool = try #require(Tool.url)
    let folder = try TemporaryFolder()
    let (rows, state) = (folder.path("rows.csv"), folder.path("s.state"))
    let (process, input) = (Process(), Pipe())
    process.executableURL = tool
    process.arguments = ["adapt", "-", "--raw", "32x32", "--batch", "10", "--output", rows, "--state-out", state] + common
    process.standardInput = input
    try Data().write(to: URL(fileURLWithPath: folder.path("errors")))
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.path("errors")))
    try process.run()
    for index in 0..<25 { try input.fileHandleForWriting.write(contentsOf: Data(ShapesDataset.test.image(at: index).pixels)) }
    func count() -> Int { ((try? text(rows)) ?? "").split(separator: "\n").count - 1 }
    for _ in 0..<300 where count() < 20 { usleep(100_000) }
    // Time for the last five to arrive.
    usleep(1_000_000)
    process.interrupt()
    for _ in 0..<100 where process.isRunning { usleep(100_000) }
    #expect(!process.isRunning)
    if process.isRunning { process.terminate() }
    process.waitUntilExit()
    // On a busy machine the last frames may not have been read yet.
    let answered = count()
    #expect(process.terminationStatus == 130 && (20...25).contains(answered), "\(answered) rows")
    let said = "interrupted after batch \(answered > 20 ? 3 : 2); continue with --state-in \(state)\n"
    #expect(try text(folder.path("errors")).contains(said))
    #expect(FileManager.default.fileExists(atPath: state))
  }

  /// A picture that cannot be read ends the stream, if so wished; what was answered is kept.
  @Test func aStreamThatStopsKeepsItsState() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createDirectory(atPath: folder.path("in"), withIntermediateDirectories: true)
    for index in 0..<12 {
      let bytes = index == 9 ? [1, 2, 3] : try ImageCodec.png(ShapesDataset.test.image(at: index))
      try Data(bytes).write(to: folder.url.appendingPathComponent("in/\(10 + index).png"))
    }
    let (state, logits) = (folder.path("s.state"), folder.path("logits.npy"))
    let result = try runTTA(
      ["adapt", folder.path("in"), "--batch", "4", "--on-bad-input", "stop", "--state-out", state, "--save-logits", logits] + common)
    #expect(
      result.code == 65 && result.stderr.contains("stopped after batch 2; continue with --state-in \(state) --resume\n"), "\(result.stderr)"
    )
    #expect(FileManager.default.fileExists(atPath: state))
    #expect(try NumpyArray(path: logits).count == 8)
  }

  @Test func damagedCountersAreRefused() throws {
    let folder = try TemporaryFolder()
    let (images, state) = (try array(24, "x.npy", folder), folder.path("s.state"))
    #expect(try runTTA(["adapt", images, "--batch", "2", "--state-out", state] + common).code == 0)
    let bytes = try Data(contentsOf: URL(fileURLWithPath: state))
    let place = try #require(bytes.range(of: Data("\\\"batches\\\":12".utf8)))
    var damaged = bytes
    damaged.replaceSubrange(place, with: Data("\\\"batches\\\":-2".utf8))
    try damaged.write(to: URL(fileURLWithPath: state))
    let result = try runTTA(["adapt", images, "--batch", "2", "--state-in", state, "--resume"] + common)
    #expect(result.code == 65 && result.errorLines.first == "error: \(state): the state counts -2 batches of 24 images", "\(result.stderr)")
  }

  /// What is exported answers as the stream's teacher does.
  @Test func aTeacherIsExported() throws {
    let folder = try TemporaryFolder()
    let (images, next, state) = (try array(128, "x.npy", folder), try array(30, "next.npy", folder), folder.path("s.state"))
    let rotta = ["--model", "shapes", "--strategy", "rotta", "--set", "strategy.learning_rate=0.05", "--set", "strategy.nu=0.2", "--quiet"]
    #expect(try runTTA(["adapt", images, "--batch", "32", "--state-out", state] + rotta).code == 0)
    let output = folder.path("teacher.safetensors")
    let exported = try runTTA(["export", "--state", state, "--output", output] + rotta)
    #expect(exported.code == 0, "\(exported.stderr)")
    func logits(_ arguments: [String]) throws -> Tensor {
      let result = try runTTA(["adapt", next, "--batch", "30", "--quiet", "--save-logits", folder.path("l.npy")] + arguments)
      #expect(result.code == 0, "\(result.stderr)")
      return try NumpyArray(path: folder.path("l.npy")).tensor()
    }
    let (stream, file) = (try logits(["--state-in", state] + rotta), try logits(["--model", output]))
    #expect(stream == file)
    #expect(try logits(["--model", "shapes"]) != file)
    let note = try runTTA(["export", "--model", "shapes", "--strategy", "note", "--output", folder.path("n.safetensors")])
    #expect(note.code == 69 && note.stderr.contains("answers with another kind of layer than the file has: "), "\(note.stderr)")
  }

  /// The same stream is the same state to the byte; one of other options names the option.
  @Test func statesAreTheSameBytes() throws {
    let folder = try TemporaryFolder()
    let images = try array(40, "x.npy", folder)
    func state(_ name: String, _ more: [String] = []) throws -> ToolResult {
      try runTTA(["adapt", images, "--batch", "20", "--state-out", folder.path(name)] + common + more)
    }
    for name in ["first", "second", "third"] { #expect(try state(name).code == 0) }
    let bytes = try ["first", "second", "third"].map { try Data(contentsOf: URL(fileURLWithPath: folder.path($0))) }
    #expect(Set(bytes).count == 1)
    let other = try state("other", ["--set", "strategy.learning_rate=0.01", "--state-in", folder.path("first")])
    #expect(other.code == 65)
    #expect(
      other.errorLines.first?.contains("the state is of another configuration: expected 0.01") == true
        && other.errorLines.first?.hasSuffix("optimizer.learningRate") == true && other.stderr.count < 400, "\(other.stderr)")
  }
}
