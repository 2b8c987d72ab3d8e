// tta adapt on arrays, folders and frames.

import Engine
import Foundation
import Safetensors
import Streams
import TTATestKit
import Testing
import Vision

@Suite(.enabled(if: Tool.hasModel, Comment(rawValue: Tool.missing)))
struct AdaptTests {
  /// Pictures of the built-in set as a `.npy` file, and their labels.
  private func array(_ count: Int, _ folder: borrowing TemporaryFolder) throws -> (images: String, labels: String) {
    let (images, labels) = (folder.path("images.npy"), folder.path("labels.npy"))
    var pictures = try NumpyWriter(path: images, type: .uint8, rowShape: [32, 32, 3])
    var classes = try NumpyWriter(path: labels, type: .int64, rowShape: [])
    for index in 0..<count {
      try pictures.append(ShapesDataset.test.image(at: index))
      try classes.append(label: ShapesDataset.test.label(at: index) ?? 0)
    }
    try pictures.close()
    try classes.close()
    return (images, labels)
  }
  private func rows(_ text: String) -> [[Substring]] {
    text.split(separator: "\n").dropFirst().map { $0.split(separator: ",", omittingEmptySubsequences: false) }
  }

  @Test func arrays() throws {
    let folder = try TemporaryFolder()
    let (images, labels) = try array(60, folder)
    let logits = folder.path("logits.npy")
    let result = try runTTA([
      "adapt", images, "--model", "shapes", "--strategy", "tent", "--batch", "20", "--labels", labels, "--save-logits", logits,
    ])
    #expect(result.code == 0, "\(result.stderr)")
    #expect(result.stdout.hasPrefix("index,input,class,label,confidence,entropy,adapted\n"))
    let rows = rows(result.stdout)
    #expect(rows.count == 60 && rows.allSatisfy { $0.count == 7 && $0[6] == "1" })
    #expect(rows.enumerated().allSatisfy { $1[0] == String($0) })
    #expect(result.stderr.contains("60 images, ") && result.stderr.contains("error "))
    let emitted = try NumpyArray(path: logits).tensor()
    #expect(emitted.shape == [60, 10])
    #expect(largestColumnsMatch(emitted, rows))
  }
  private func largestColumnsMatch(_ logits: Tensor, _ rows: [[Substring]]) -> Bool {
    zip(largestColumns(of: logits), rows).allSatisfy { String($0) == $1[2] }
  }

  @Test func foldersWithAnUnreadablePicture() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createDirectory(atPath: folder.path("in/b"), withIntermediateDirectories: true)
    for (index, name) in ["in/0.png", "in/1.jpg", "in/b/2.png", "in/b/3.png"].enumerated() {
      let image = try ShapesDataset.test.image(at: index)
      let bytes = try name.hasSuffix("png") ? ImageCodec.png(image) : ImageCodec.jpeg(image, quality: 95)
      try Data(bytes).write(to: folder.url.appendingPathComponent(name))
    }
    let whole = try runTTA(["adapt", folder.path("in"), "--model", "shapes", "--batch", "2"])
    #expect(try runTTA(["adapt", folder.path("in") + "/", "--model", "shapes", "--batch", "2"]).stdout == whole.stdout)
    let broken = folder.path("in/b/2.png")
    try Data(contentsOf: URL(fileURLWithPath: broken)).prefix(200).write(to: URL(fileURLWithPath: broken))
    let result = try runTTA(["adapt", folder.path("in"), "--model", "shapes", "--batch", "2"])
    #expect(result.code == 0)
    #expect(result.stderr.contains("warning: \"\(broken)\" is a damaged PNG: the file ends early"))
    // The other pictures' answers are those they had.
    #expect(rows(result.stdout) == rows(whole.stdout).filter { $0[0] != "2" })
    let stopped = try runTTA(["adapt", folder.path("in"), "--model", "shapes", "--batch", "2", "--on-bad-input", "stop"])
    #expect(stopped.code == 65 && stopped.errorLines.contains("error: \"\(broken)\" is a damaged PNG: the file ends early"))
  }

  @Test(arguments: [(1, "the only picture could not be read"), (2, "none of the 2 pictures could be read")])
  func picturesOfAnotherSize(_ count: Int, _ message: String) throws {
    let folder = try TemporaryFolder()
    let paths = (0..<count).map { folder.path("\($0).png") }
    let image = try ShapesDataset.test.image(at: 0).resized(width: 40, height: 48, .bilinear)
    for path in paths { try Data(ImageCodec.png(image)).write(to: URL(fileURLWithPath: path)) }
    let result = try runTTA(["adapt"] + paths + ["--model", "shapes"])
    #expect(result.code == 65)
    let problem = "has 40×48 pixels, the model expects 32×32; give a resize size (--resize) or a centre crop"
    for path in paths { #expect(result.stderr.contains("warning: \"\(path)\" \(problem)")) }
    #expect(result.errorLines.suffix(2) == ["error: \(message)", "hint: the warnings above say why"], "\(result.stderr)")
    let resized = try runTTA(["adapt"] + paths + ["--model", "shapes", "--resize", "32"])
    #expect(resized.code == 0 && rows(resized.stdout).count == count, "\(resized.stderr)")
  }
  @Test func rawFrames() throws {
    var frames = Data()
    for index in 0..<7 { frames += try ShapesDataset.test.image(at: index).pixels }
    let result = try runTTA(
      ["adapt", "-", "--raw", "32x32", "--model", "shapes", "--strategy", "batch-norm", "--batch", "3", "--json"], stdin: frames)
    #expect(result.code == 0, "\(result.stderr)")
    let lines = result.stdout.split(separator: "\n")
    #expect(lines.count == 7)
    for (index, line) in lines.enumerated() {
      let row = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      #expect(row["index"] as? Int == index && row["input"] as? String == "frame \(index)")
    }
    #expect(result.stderr.contains("warning: batch 2: 1 of at least 2 images: answered by the source model"))
    let cut = try runTTA(["adapt", "-", "--raw", "32x32", "--model", "shapes", "--batch", "3"], stdin: frames.prefix(7_000))
    #expect(cut.code == 65 && cut.stderr.contains("frame 2 is incomplete: expected 3072 bytes (32×32 RGB24), got 856"))
    #expect(rows(cut.stdout).count == 2)
  }

  /// What happens to every batch of a long stream is not said for every batch, but never forgotten.
  @Test func incidentsAreCounted() throws {
    var frames = Data()
    for index in 0..<130 { frames += try ShapesDataset.test.image(at: index).pixels }
    let result = try runTTA(
      ["adapt", "-", "--raw", "32x32", "--model", "shapes", "--strategy", "batch-norm", "--batch", "1"], stdin: frames)
    #expect(result.code == 0, "\(result.stderr)")
    let what = "1 of at least 2 images: answered by the source model"
    let single = (0..<20).map { "warning: batch \($0): \(what)" }
    let counted = [40, 80].map { "warning: \($0) incidents so far, the latest: batch \($0 - 1): \(what)" }
    #expect(result.errorLines.filter { $0.hasPrefix("warning: ") }.map(String.init) == single + counted, "\(result.stderr)")
    #expect(result.errorLines.last?.hasSuffix(", 130 incidents") == true, "\(result.stderr)")
  }

  /// Pictures after their lengths are answered as the same pictures in files are, and a damaged one is left out.
  @Test func encodedPictures() throws {
    var stream = Data()
    func send(_ bytes: [UInt8]) { stream += Data((0..<4).reversed().map { UInt8(bytes.count >> (8 * $0) & 255) } + bytes) }
    for index in 0..<5 { send(try ImageCodec.png(ShapesDataset.test.image(at: index))) }
    send(Array("no picture".utf8))
    let result = try runTTA(["adapt", "-", "--encoded", "--model", "shapes", "--batch", "4", "--json"], stdin: stream)
    #expect(result.code == 0, "\(result.stderr)")
    #expect(result.stdout.split(separator: "\n").count == 5)
    #expect(result.stderr.contains("warning: \"picture 5\" is neither PNG nor JPEG: it starts with 6E 6F 20 70 69 63 74 75"))
    let hostile = try runTTA(["adapt", "-", "--encoded", "--model", "shapes"], stdin: stream + Data([0xFF, 0xFF, 0xFF, 0xFF, 1]))
    #expect(hostile.code == 65)
    #expect(hostile.stderr.contains("picture 6 has a length of 4294967295 bytes, expected 1...268435456"))
  }

  /// With `reset: each-domain` every input is answered as if it came alone, and no batch holds pictures of two.
  @Test func eachInputIsADomain() throws {
    let folder = try TemporaryFolder()
    let (images, _) = try array(50, folder)
    let other = folder.path("other.npy")
    var pictures = try NumpyWriter(path: other, type: .uint8, rowShape: [32, 32, 3])
    for index in 200..<230 { try pictures.append(ShapesDataset.test.image(at: index)) }
    try pictures.close()
    let common = ["--model", "shapes", "--strategy", "tent", "--batch", "20"]
    let alone = try runTTA(["adapt", other] + common)
    let both = try runTTA(["adapt", images, other, "--set", "strategy.reset=each-domain", "--verbose"] + common)
    #expect(both.code == 0, "\(both.stderr)")
    #expect(rows(both.stdout).dropFirst(50).map { Array($0[2...]) } == rows(alone.stdout).map { Array($0[2...]) })
    #expect(both.stderr.contains("reset: before each domain"))
    #expect(both.errorLines.contains("batch 3: reset: a new input"))
    #expect(both.errorLines.contains { $0.hasPrefix("batch 2: 10 images in ") && $0.contains(", loss 0.") })
    let carried = try runTTA(["adapt", images, other] + common)
    #expect(rows(carried.stdout).dropFirst(50).map { Array($0[2...]) } != rows(alone.stdout).map { Array($0[2...]) })
    let contradictory = try runTTA(["adapt", images, "--quiet", "--verbose"] + common)
    #expect(contradictory.code == 64 && contradictory.stderr.contains("--quiet and --verbose exclude each other"))
    let rounded = try runTTA(["adapt", images, "--exact", "--precision", "bfloat16"] + common)
    #expect(rounded.code == 64 && rounded.stderr.contains("--exact and --precision bfloat16 exclude each other"))
    let half = try runTTA(["adapt", images, "--precision", "half"] + common)
    #expect(half.code == 64 && half.stderr.contains("expected single, bfloat16, got half"))
  }

  @Test func aStoppedStreamGoesOnBitEqual() throws {
    let folder = try TemporaryFolder()
    let (images, _) = try array(100, folder)
    let common = ["adapt", images, "--model", "shapes", "--strategy", "tent", "--batch", "20", "--quiet"]
    let whole = try runTTA(common + ["--save-logits", folder.path("whole.npy")])
    // The first 40 pictures alone, then the rest from the state they left.
    let other = try TemporaryFolder()
    let (first, _) = try array(40, other)
    var start = common
    start[1] = first
    let state = folder.path("state.safetensors")
    let one = try runTTA(start + ["--state-out", state])
    let two = try runTTA(common + ["--state-in", state, "--resume", "--save-logits", folder.path("rest.npy")])
    #expect(one.code == 0 && two.code == 0, "\(one.stderr)\(two.stderr)")
    #expect(rows(two.stdout) == Array(rows(whole.stdout).dropFirst(40)))
    let (all, rest) = (try NumpyArray(path: folder.path("whole.npy")).tensor(), try NumpyArray(path: folder.path("rest.npy")).tensor())
    #expect(all[Array(40..<100)] == rest)
    let refused = try runTTA(["adapt", images, "--model", "shapes", "--strategy", "source", "--state-in", state])
    #expect(refused.code == 65)
    #expect(refused.errorLines.first == "error: \(state): the state is of another strategy: expected Source, got Tent")
  }

  @Test(
    arguments: [
      ([], 64, "error: no input: expected files, folders, .npy arrays or -"),
      (["-"], 64, "error: - reads raw frames: expected --raw WIDTHxHEIGHT"),
      (["-", "--raw", "32x32", "--encoded"], 64, "error: --raw and --encoded name two forms of standard input"),
      (["-", "--raw", "32"], 64, "error: --raw 32: expected WIDTHxHEIGHT"),
      (["no-such-file.png"], 66, "error: \"no-such-file.png\" does not exist"),
      (["-", "--raw", "32x32", "--batch", "0"], 64, "error: --batch 0: expected a number of at least 1"),
      (["-", "--raw", "32x32", "--max-wait", "soon"], 64, "error: --max-wait soon: expected a time such as 200ms or 1.5s"),
      (["-", "--raw", "32x32", "--set", "strategy.learning_rate"], 64, "error: --set strategy.learning_rate: expected key.path=value"),
      (["-", "--raw", "32x32", "--set", "stratgy.name=tent"], 64, "error: unknown section \"stratgy\""),
      (
        ["-", "--raw", "32x32", "--strategy", "tent", "--set", "strategy.steps=none"], 64,
        "error: tent: steps: expected a number, got \"none\""
      ),
      (
        ["-", "--raw", "32x32", "--strategy", "tent", "--set", "strategy.reset=daily"], 64,
        "error: strategy reset: expected never, each-batch, each-domain or {every: N}, got \"daily\""
      ),
      (
        ["-", "--raw", "32x32", "--strategy", "tent", "--set", "strategy.reset=each-domain"], 64,
        "error: strategy reset: each-domain needs files: each input is a domain"
      ),
      (["-", "--raw", "32x32", "--threads", "0"], 64, "error: --threads 0: expected a number from 1 to 256"),
      (["-", "--raw", "32x32", "--threads", "-1"], 64, "error: --threads -1: expected a number from 1 to 256"),
      (["-", "--raw", "32x32", "--output", "/no/such/folder/rows.csv"], 73, "error: /no/such/folder/rows.csv: No such file or directory"),
    ] as [([String], Int32, String)])
  func whatCannotWork(_ arguments: [String], _ code: Int32, _ message: String) throws {
    let result = try runTTA(["adapt"] + arguments + ["--model", "shapes"])
    #expect(result.code == code && result.stdout.isEmpty, "\(result.stderr)")
    #expect(result.errorLines.first == message[...], "\(result.stderr)")
  }

  @Test func configurationFiles() throws {
    let folder = try TemporaryFolder()
    let (images, _) = try array(20, folder)
    let file = folder.path("run.yaml")
    func run(_ text: String, _ more: [String] = []) throws -> ToolResult {
      try Data(text.utf8).write(to: URL(fileURLWithPath: file))
      return try runTTA(["adapt", images, "--config", file] + more)
    }
    let written = try run("model: shapes\nstrategy: { name: tent, optimizer: sgd, learning_rate: 0.01 }\nstream: { batch: 10 }\n")
    let typed = try runTTA(
      [
        "adapt", images, "--model", "shapes", "--strategy", "tent", "--batch", "10", "--set", "strategy.optimizer=sgd", "--set",
        "strategy.learning_rate=0.01",
      ])
    #expect(written.code == 0 && written.stdout == typed.stdout, "\(written.stderr)")
    let broken = try run("model: [shapes\n")
    #expect(broken.code == 65 && broken.errorLines.first?.hasPrefix("error: \(file): not valid YAML: line ") == true, "\(broken.stderr)")
    let unknown = try run("model: shapes\nstrategy: { name: tent, learning_rat: 1 }\n")
    #expect(unknown.code == 64 && unknown.errorLines.first == "error: tent: unknown option \"learning_rat\"")
    let names = try run("model: shapes\nstrategy: [tent]\n")
    #expect(
      names.code == 64 && names.errorLines.first == "error: strategy: expected a name, or keys and values, got [\"tent\"]",
      "\(names.stderr)")
    let stream = try run("model: shapes\nstream: 5\n")
    #expect(stream.code == 64 && stream.errorLines.first == "error: stream: expected keys and values, got 5", "\(stream.stderr)")
    // Nine aliases of nine aliases, and so on.
    let levels = (1..<10).map { level in "k\(level): &a\(level) [\((0..<9).map { _ in "*a\(level - 1)" }.joined(separator: ","))]\n" }
    let aliases = try run("k0: &a0 [x,x,x,x,x,x,x,x,x]\n" + levels.joined())
    #expect(aliases.code == 65 && aliases.errorLines.first == "error: \(file): more than 100000 values", "\(aliases.stderr)")
    let list = try run("- a\n- b\n")
    #expect(list.code == 65 && list.errorLines.first == "error: \(file): expected keys and values, got [\"a\", \"b\"]")
  }

  @Test func theInstructionSetIsTheUsersChoice() throws {
    for name in ["portable", "avx2", "avx512"] {
      let result = try runTTA(["--version"], environment: ["TTA_ISA": name])
      #expect(result.code == 64 || result.stdout.contains("instruction set: \(name)"))
    }
    let unknown = try runTTA(["--version"], environment: ["TTA_ISA": "sse9"])
    #expect(unknown.code == 64)
    #expect(unknown.errorLines.first == "error: TTA_ISA=sse9: expected portable, avx2, avx512 or neon, as far as this machine has them")
  }

  /// The reference's errors on CIFAR-10 under gaussian noise, through the binary.
  @Test func theReferencesErrors() throws {
    guard let shared = SharedFolders.shared, let golden = SharedFolders.golden else { return print("skipped: no TTA_SHARED folder") }
    let folder = try TemporaryFolder()
    let file = try SafetensorsFile(path: golden.appendingPathComponent("images/cifar_gaussian_noise_5.safetensors").path)
    let (bytes, labels) = (try file.bytes("images"), try file.integers("labels"))
    var pictures = try NumpyWriter(path: folder.path("x.npy"), type: .uint8, rowShape: [32, 32, 3])
    var classes = try NumpyWriter(path: folder.path("y.npy"), type: .int64, rowShape: [])
    for index in labels.indices {
      try pictures.append(Image(width: 32, height: 32, pixels: Array(bytes[index * 3072..<(index + 1) * 3072])))
      try classes.append(label: labels[index])
    }
    try pictures.close()
    try classes.close()
    let weights = shared.appendingPathComponent("data/weights/resnet20_cifar10.safetensors").path
    for (strategy, error) in [("source", "74.4"), ("batch-norm", "40.6"), ("tent", "40.4")] {
      let result = try runTTA([
        "adapt", folder.path("x.npy"), "--labels", folder.path("y.npy"), "--model", weights, "--architecture", "cifar-resnet20", "--mean",
        "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "--strategy", strategy, "--batch", "200",
      ])
      #expect(result.code == 0 && result.stderr.contains("error \(error) %"), "\(strategy): \(result.stderr)")
    }
  }
}

@Suite(.enabled(if: Tool.hasModel, Comment(rawValue: Tool.missing)))
struct OtherCommandTests {
  @Test func inspectAndList() throws {
    let inspected = try runTTA(["inspect", "shapes", "--plan", "--batch", "10", "--json"])
    let report = try #require(try JSONSerialization.jsonObject(with: Data(inspected.stdout.utf8)) as? [String: Any])
    #expect(report["architecture"] as? String == "cifar-resnet14" && report["adapted_values"] as? Int == 928)
    let plan = try #require(report["plan"] as? [String: Any])
    #expect((plan["arenaBytes"] as? Int ?? 0) < (plan["naiveBytes"] as? Int ?? 0))
    for what in ["strategies", "architectures", "corruptions"] {
      let listed = try runTTA(["list", what, "--json"])
      #expect(((try? JSONSerialization.jsonObject(with: Data(listed.stdout.utf8))) as? [Any])?.isEmpty == false, "\(what)")
    }
    #expect(try runTTA(["list", "strategies", "tent"]).stdout.contains("learning_rate = 0.001"))
  }
  @Test func parametersMayLeaveOthersOut() throws {
    func adapted(_ parameters: String) throws -> [String] {
      let result = try runTTA([
        "inspect", "--model", "shapes", "--strategy", "tent", "--set", "strategy.parameters=\(parameters)", "--json",
      ])
      let report = try #require(try JSONSerialization.jsonObject(with: Data(result.stdout.utf8)) as? [String: Any], "\(result.stderr)")
      return try #require(report["adapted_parameters"] as? [String])
    }
    let (all, some) = (try adapted("norm"), try adapted("{include: norm, exclude: 'layer[23]'}"))
    #expect(some == all.filter { !$0.contains("layer2") && !$0.contains("layer3") } && !some.isEmpty && some != all)
    #expect(try adapted("norm but layer[23]") == some)
    #expect(try adapted("{include: norm}") == all)
  }
  @Test func convertWritesTheDescription() throws {
    let folder = try TemporaryFolder()
    let converted = try runTTA(["convert", "shapes", folder.path("copy.safetensors"), "--json"])
    #expect(converted.code == 0 && converted.stdout.contains("\"architecture\" : \"cifar-resnet14\""), "\(converted.stdout)")
    let copied = try runTTA(["inspect", folder.path("copy.safetensors"), "--json"])
    #expect(copied.code == 0 && copied.stdout.contains("\"hourglass\""))
    try Data("junk".utf8).write(to: folder.url.appendingPathComponent("junk.safetensors"))
    let junk = try runTTA(["inspect", folder.path("junk.safetensors")])
    #expect(junk.code == 65)
    #expect(
      junk.errorLines.first == "error: \(folder.path("junk.safetensors")): not a valid safetensors file: expected at least 8 bytes, got 4")
  }
  @Test func bench() throws {
    let result = try runTTA(["bench", "--batch", "8", "--repeats", "2", "--json"])
    let report = try #require(try JSONSerialization.jsonObject(with: Data(result.stdout.utf8)) as? [String: Any])
    for key in [
      "model", "strategy", "batch", "threads", "isa", "blas", "images_per_second", "milliseconds_per_batch", "peak_memory_bytes", "gflops",
    ] {
      #expect(report[key] != nil, "\(key)")
    }
  }
  /// A step so large that the model collapses: the guard asks the source, which costs forwards; what the strategy learns costs as much as before.
  @Test func benchWatches() throws {
    func count(_ more: [String]) throws -> (forwards: Double, backwards: Double) {
      let result = try runTTA(
        ["bench", "--batch", "32", "--repeats", "12", "--set", "strategy.learning_rate=1", "--json", "--quiet"] + more)
      let report = try #require(try JSONSerialization.jsonObject(with: Data(result.stdout.utf8)) as? [String: Any], "\(result.stderr)")
      return (try #require(report["forwards_per_image"] as? Double), try #require(report["backwards_per_image"] as? Double))
    }
    let (alone, watched) = (try count([]), try count(["--guard"]))
    #expect(alone.forwards == 1 && watched.forwards > 1 && watched.backwards <= alone.backwards)
  }
  @Test func benchSaysWhetherItStaysAsItIs() throws {
    let result = try runTTA(["bench", "--batch", "2", "--repeats", "200", "--quiet"])
    #expect(result.stdout.contains("first tenth of the batches") && result.stdout.contains("memory grew by"), "\(result.stdout)")
    let short = try runTTA(["bench", "--batch", "2", "--repeats", "20", "--quiet"])
    #expect(!short.stdout.contains("first tenth"))
  }
  /// Fresh weights have as many classes as there are names: 100,000 take 25.6 MB in a ResNet-20, and logits.
  @Test func benchTakesTheNumberOfClasses() throws {
    let folder = try TemporaryFolder()
    let names = folder.path("names.txt")
    try (0..<100_000).map { "class \($0)\n" }.joined().write(toFile: names, atomically: true, encoding: .utf8)
    func memory(_ more: [String]) throws -> Double {
      let bench = [
        "bench", "--architecture", "cifar-resnet20", "--random-weights", "--strategy", "source", "--batch", "2", "--repeats", "1",
      ]
      let result = try runTTA(bench + ["--json", "--quiet"] + more)
      let report = try #require(try JSONSerialization.jsonObject(with: Data(result.stdout.utf8)) as? [String: Any], "\(result.stderr)")
      return try #require(report["peak_memory_bytes"] as? Double)
    }
    #expect(try memory(["--classes", names]) > memory([]) + 25e6)
  }
  /// What EATA needs beside a model is made for the benchmark.
  @Test func benchMakesImportances() throws {
    let result = try runTTA(["bench", "--strategy", "eata", "--batch", "4", "--repeats", "1", "--json", "--quiet"])
    #expect(result.code == 0, "\(result.stderr)")
  }
  @Test func train() throws {
    let folder = try TemporaryFolder()
    let result = try runTTA(["train", "--steps", "3", "--batch", "8", "--output", folder.path("m.safetensors"), "--json", "--quiet"])
    #expect(result.code == 0, "\(result.stderr)")
    #expect(try runTTA(["inspect", folder.path("m.safetensors")]).code == 0)
  }
}
