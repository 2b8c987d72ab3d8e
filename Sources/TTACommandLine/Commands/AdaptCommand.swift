// tta adapt

import ArgumentParser
import Engine
import Evaluation
import Foundation
import ModelIO
import Streams
import TTA
import Vision

struct AdaptCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "adapt", abstract: "Answers a stream of images and adapts to it, batch by batch.",
    discussion: """
      Example: tta adapt pictures/ --model shapes --strategy tent --batch 100
      Example: ffmpeg -i CAMERA -f rawvideo -pix_fmt rgb24 - | tta adapt - --raw 640x480 --model shapes --max-wait 200ms
      """)

  @Argument(
    help: ArgumentHelp(
      "Image files, folders (recursive, sorted by name), .npy arrays (uint8 NHWC), or - for raw frames.", valueName: "input"))
  var inputs: [String] = []
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Strategy") var strategy: StrategyOptions
  @OptionGroup(title: "Configuration") var configuration: ConfigurationOptions
  @Option(name: .long, help: ArgumentHelp("RGB24 frames of this size on standard input.", valueName: "WIDTHxHEIGHT")) var raw: String?
  @Flag(name: .long, help: "PNG and JPEG pictures on standard input, each after its length: 4 bytes, the highest first.")
  var encoded = false
  @Option(name: .long, help: "Images per batch (default: stream.batch of the configuration, else 64).") var batch: Int?
  @Option(name: .long, help: ArgumentHelp("A batch of frames is closed when its first frame is this old: 200ms, 1.5s.", valueName: "time"))
  var maxWait: String?
  @Flag(name: .long, help: "Drop the oldest waiting frames when they come faster than they are answered.") var dropOldest = false
  @Option(name: .long, help: ArgumentHelp("Where the rows go (default: standard output).", valueName: "file")) var output: String?
  @Option(name: .long, help: "csv or jsonl.") var format = RowFormat.csv
  @Option(name: .long, help: ArgumentHelp("Also write what the strategy emitted: float32 [images, classes].", valueName: "file.npy"))
  var saveLogits: String?
  @Option(name: .long, help: ArgumentHelp("Labels for the online error: a .npy of integers.", valueName: "file.npy")) var labels: String?
  @Option(name: .long, help: ArgumentHelp("Continue from this state.", valueName: "file")) var stateIn: String?
  @Option(
    name: .long, help: ArgumentHelp("Write the state here, atomically, at the end and every --save-every batches.", valueName: "file"))
  var stateOut: String?
  @Option(name: .long, help: "Batches between two writes of the state.") var saveEvery = 50
  @Flag(name: .long, help: "Leave out the batches that the state has seen already; --output and --save-logits keep their first rows.")
  var resume = false
  @Option(name: .long, help: "An unreadable image: skip or stop.", transform: { try choice($0, of: BadImagePolicy.self) })
  var onBadInput = BadImagePolicy.skip
  @Option(
    name: .long, help: "A loss or a gradient that is not finite: throw, skip or reset.",
    transform: { try choice($0, of: NonFinitePolicy.self) })
  var onNonFinite = NonFinitePolicy.throw
  @Option(
    name: .long, help: "A batch too small for batch statistics: source (the source model answers) or throw.",
    transform: { try choice($0, of: SmallBatchPolicy.self) })
  var onSmallBatch = SmallBatchPolicy.source
  @Option(name: .long, help: "Of all random numbers.") var seed: UInt64 = 1
  @OptionGroup(title: "Execution") var execution: ExecutionOptions
  @OptionGroup(title: "Output") var printing: OutputOptions

  func run() async throws {
    let tree = try configuration.tree()
    try ConfigurationCheck.sections(of: tree)
    let loaded = try model.load(tree["model"])
    let size = try batch ?? tree["stream"]?.wholeNumber("batch", in: "stream") ?? 64
    try requireBatch(size)
    guard saveEvery > 0 else {
      throw TTAError(.usage, "--save-every \(saveEvery): expected a number of at least 1", hint: "50 unless said otherwise")
    }
    guard !resume || stateIn != nil else {
      throw TTAError(.usage, "--resume: expected a state to continue from", hint: "--state-in FILE says which")
    }
    let section = try strategy.section(tree["strategy"] ?? .keys([:]), fallback: "source")
    var runtime = try AdaptationRuntime(
      loaded.model, Registry.current.compose(section), guard: Registry.current.watch(section), seed: seed)
    (runtime.nonFinite, runtime.smallBatch) = (onNonFinite, onSmallBatch)
    let rule = try ResetRule(section["reset"], setting: .never)
    if case .every(let batches) = rule { runtime.reset = .every(batches) }
    if rule == .eachBatch { runtime.reset = .eachBatch }
    if let stateIn { try runtime.load(from: stateIn) }
    try OutputCheck.refuse(
      [("--output", output), ("--save-logits", saveLogits), ("--state-out", stateOut)],
      replacing: inputs.filter { $0 != "-" }.map { ($0, $0) } + [
        ("--labels", labels), ("--config", configuration.config), ("--classes", model.classes),
        ("the model", loaded.source == "shapes" ? nil : loaded.source),
      ])
    try OutputCheck.refuse([("--output", output), ("--save-logits", saveLogits)], replacing: [("--state-in", stateIn)])
    let executor = try execution.makeExecutor()
    if isLive {
      // Frames do not wait: the first one finds a steady engine.
      try runtime.warmUp(batchSize: size, on: executor)
    } else {
      // What no plan can be made for is refused before anything is read or written.
      _ = try runtime.planSummary(batchSize: 1, on: executor)
    }
    try describe(loaded, section, runtime, batch: size, reset: rule, executor)

    let preprocessing = try loaded.preprocessing()
    func open(seen: AdaptationState?) throws -> BatchSource {
      try BatchSource(
        inputs: inputs, raw: raw, encoded: encoded, labels: labels, batch: size,
        maxWait: maxWait.map { try duration($0, of: "--max-wait") },
        overload: dropOldest ? .dropOldest : .wait, policy: onBadInput, startsDomainPerInput: rule == .eachDomain,
        preprocessing: preprocessing, classes: loaded.model.graph.classCount, seen: seen)
    }
    if runtime.isOffline, stateIn == nil { try study(&runtime, rule, open, executor) }
    let source = try open(seen: resume ? runtime.state : nil)
    let seen = resume ? runtime.state.images : nil
    let rows = try RowWriter(path: output, format: printing.json ? .jsonl : format, keeping: seen)
    var logits = try saveLogits.map { try NumpyWriter(path: $0, type: .float32, rowShape: [loaded.model.graph.classCount]) }
    if let seen, let saveLogits, FileManager.default.fileExists(atPath: saveLogits) {
      try logits?.keep(seen, of: NumpyArray(path: saveLogits))
    }
    var score = AdaptScore()
    let interruption = Interruption()
    interruption.whenRequested(source.stop)
    // Who reads the rows may leave; the state is kept then.
    if stateOut != nil { signal(SIGPIPE, SIG_IGN) }
    let start = ContinuousClock.now
    var stopped: (any Error)?
    while stopped == nil, !interruption.isRequested {
      let next: BatchSource.Item
      do {
        guard let item = try source.next() else { break }
        next = item
      } catch {
        stopped = error
        break
      }
      for failure in next.failures {
        Console.error("warning: \(failure.error.message)" + (failure.error.hint.map { "; \($0)" } ?? ""))
        score.unreadable += 1
      }
      if rule == .eachDomain, next.startsDomain, runtime.state.batches > 0 {
        runtime.resetKeepingPosition()
        printing.detail("batch \(runtime.state.batches): reset: a new input")
      }
      guard next.images.count > 0 else {
        runtime.skipBatch()
        continue
      }
      let incidents = runtime.incidentCount
      let began = ContinuousClock.now
      let prediction = try runtime.process(Batch(next.images, index: runtime.state.images), on: executor)
      printing.detail(Self.line(prediction, batch: runtime.state.batches - 1, seconds: (ContinuousClock.now - began).seconds))
      score.say(runtime.incidents.suffix(runtime.incidentCount - incidents))
      do { try rows.write(prediction, names: next.names, places: next.places, loaded) } catch {
        // Rows in a file are written again from the last state on.
        guard output == nil else { throw error }
        stopped = error
      }
      try logits?.append(prediction.scores.tensor)
      score.add(prediction.labels, next.labels)
      if let stateOut, runtime.state.batches % saveEvery == 0 { try runtime.save(to: stateOut) }
      let elapsed = (ContinuousClock.now - start).seconds
      if !printing.quiet, Console.isTerminal { Console.progress("\r\u{1B}[K" + score.line(seconds: elapsed, total: source.imageCount)) }
    }
    if !printing.quiet, Console.isTerminal { Console.progress("\r\u{1B}[K") }
    try rows.close()
    if let stateOut { try runtime.save(to: stateOut) }
    if let writer = logits.take() { try writer.close() }
    if let stopped {
      if let stateOut { Console.error("stopped after batch \(runtime.state.batches); \(goingOn(from: stateOut))") }
      throw stopped
    }
    if let failure = source.failure { Console.error("warning: \(failure.message)") }
    if !printing.quiet { Console.error(score.summary(seconds: (ContinuousClock.now - start).seconds, dropped: source.dropped)) }
    if interruption.isRequested {
      let how = stateOut.map(goingOn) ?? "nothing was kept: use --state-out to be able to continue"
      Console.error("interrupted after batch \(runtime.state.batches); \(how)")
      throw ExitCode(130)
    }
    if source.failure != nil { throw ExitCode(65) }
    if score.images == 0, score.unreadable > 0 {
      throw TTAError(
        .invalidData,
        score.unreadable == 1 ? "the only picture could not be read" : "none of the \(score.unreadable) pictures could be read",
        hint: "the warnings above say why")
    }
  }

  /// Whether frames come from standard input.
  private var isLive: Bool { inputs == ["-"] || raw != nil || encoded }
  private func goingOn(from state: String) -> String { "continue with --state-in \(state)" + (isLive ? "" : " --resume") }
  /// Shows all images to a strategy that learns before it answers. A stream without an end cannot be seen as a whole.
  private func study(
    _ runtime: inout AdaptationRuntime, _ rule: ResetRule, _ open: (AdaptationState?) throws -> BatchSource, _ executor: Executor
  )
    throws
  {
    guard !isLive else {
      throw TTAError(
        .usage,
        "\(strategy.name ?? "the strategy") learns from a whole set of images before it answers: frames on standard input have no end",
        hint: "give files or folders, or use a strategy for streams, such as shot")
    }
    guard rule == .never else {
      throw TTAError(
        .usage,
        "\(strategy.name ?? "the strategy"): reset: expected never, got \(rule.text): it would forget what it learnt from the whole set",
        hint: "leave reset out")
    }
    let source = try open(nil)
    var images: [Tensor] = []
    while let batch = try source.next() { if batch.images.count > 0 { images.append(batch.images) } }
    if !printing.quiet {
      Console.error("learning from \(Numbers.grouped(Double(images.reduce(0) { $0 + $1.count }))) images before answering")
    }
    try runtime.study(images.joined(), on: executor)
  }
  /// What `--verbose` says before the first batch.
  private func describe(
    _ loaded: LoadedModel, _ section: OptionTree, _ runtime: AdaptationRuntime, batch: Int, reset: ResetRule, _ executor: Executor
  ) throws {
    guard printing.verbose else { return }
    printing.detail(machineWith: executor)
    let values = loaded.model.graph.parameters.reduce(0) { $0 + $1.shape.elementCount }
    let adapted = runtime.adapted.ids.reduce(0) { $0 + runtime.graph.parameters[Int($1.rawValue)].shape.elementCount }
    printing.detail(
      "model: \(loaded.source), \(loaded.architecture), \(Numbers.grouped(Double(values))) values, \(loaded.model.graph.classCount) classes, "
        + "input \(loaded.model.graph.inputShape), mean \(loaded.description.mean ?? []), std \(loaded.description.deviation ?? [])")
    printing.detail(
      "strategy: \(section), adapts \(Numbers.grouped(Double(adapted))) values in \(runtime.adapted.ids.count) tensors, reset: \(reset.text)"
    )
    let plan = try runtime.planSummary(batchSize: batch, on: executor)
    printing.detail("batches of \(batch), \(Numbers.decimals(Double(plan.arenaBytes) / 1e6, 1)) MB planned")
  }
  /// What `--verbose` says of a batch.
  private static func line(_ prediction: Prediction, batch: Int, seconds: Double) -> String {
    let learnt = prediction.weights.map { weights in ", learnt from \(weights.count { $0 != 0 })" } ?? ""
    let loss = prediction.loss.map { ", loss \(Numbers.decimals(Double($0), 4))" } ?? ""
    return "batch \(batch): \(prediction.labels.count) images in \(Numbers.decimals(1_000 * seconds, 1)) ms\(loss)\(learnt)"
  }
}

/// What an adapt run counts.
struct AdaptScore {
  var images = 0, labeled = 0, errors = 0, unreadable = 0
  private var incidents = 0
  /// Incidents that are said one by one, and how many there are when the next one is said.
  private static let saidOneByOne = 20
  private var nextSaid = 2 * saidOneByOne
  mutating func add(_ predicted: [Int], _ labels: [Int]) {
    images += predicted.count
    guard labels.count == predicted.count else { return }
    for (got, expected) in zip(predicted, labels) where expected >= 0 {
      labeled += 1
      errors += got == expected ? 0 : 1
    }
  }
  /// Says what happened to batches: the first incidents one by one, then only how many there were, whenever they have doubled.
  mutating func say(_ new: some Sequence<String>) {
    for incident in new {
      incidents += 1
      if incidents <= Self.saidOneByOne {
        Console.error("warning: \(incident)")
      } else if incidents == nextSaid {
        Console.error("warning: \(incidents) incidents so far, the latest: \(incident)")
        nextSaid *= 2
      }
    }
  }
  private var error: String { labeled > 0 ? "  error \(Numbers.decimals(100 * Double(errors) / Double(labeled), 1)) %" : "" }
  func line(seconds: Double, total: Int?) -> String {
    let rate = Double(images) / max(seconds, 1e-9)
    let eta = total.map { "  ETA \(Numbers.clock(seconds: Double(max(0, $0 - images)) / max(rate, 1e-9)))" } ?? ""
    return "\(Numbers.grouped(Double(images))) images  \(Numbers.grouped(rate)) img/s\(error)\(eta)"
  }
  func summary(seconds: Double, dropped: Int) -> String {
    let rate = Double(images) / max(seconds, 1e-9)
    return "\(Numbers.grouped(Double(images)))\(images == 1 ? " image" : " images"), \(Numbers.grouped(rate)) img/s\(error)"
      + (unreadable > 0 ? ", \(unreadable) unreadable" : "") + (dropped > 0 ? ", \(dropped) dropped" : "")
      + (incidents > 0 ? ", \(Numbers.grouped(Double(incidents)))\(incidents == 1 ? " incident" : " incidents")" : "")
  }
}
