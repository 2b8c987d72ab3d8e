// tta corrupt

import ArgumentParser
import Engine
import Foundation
import Streams
import Vision

struct CorruptCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "corrupt", abstract: "Writes pictures under the corruptions of CIFAR-10-C and ImageNet-C.",
    discussion: """
      A .npy array becomes one array per corruption, with a block per severity, as CIFAR-10-C is published; a folder becomes the same tree
      below CORRUPTION/SEVERITY, as ImageNet-C is. The result depends on the seed, not on the number of threads.
      Example: tta corrupt shapes --images 100 --corruption standard --severity 1..5 --output corrupted
      """)

  enum Format: String, CaseIterable, ExpressibleByArgument { case npy, png, jpeg }

  @Argument(help: ArgumentHelp("A .npy array (uint8 N×height×width×3), a folder or a picture file, or shapes.", valueName: "input"))
  var input: String
  @Option(
    name: .long, help: ArgumentHelp("Corruptions or groups: standard, extra, all, noise, … (tta list corruptions).", valueName: "a,b,c"))
  var corruption: String
  @Option(name: .long, help: ArgumentHelp("0 to 5 in steps of 0.25: 5, 1,3,5 or 1..5.", valueName: "n")) var severity = "5"
  @Option(name: .shortAndLong, help: ArgumentHelp("The folder for the results.", valueName: "folder")) var output: String
  @Option(name: .long, help: "npy, png, or jpeg: quality 85, as ImageNet-C (default: npy for arrays, png for files).") var format: Format?
  @Flag(name: .customLong("jpeg85"), help: "Pass corrupted pictures through a JPEG of quality 85, as ImageNet-C has been.") var jpeg85 =
    false
  @Option(
    name: .long, help: "Parameters: cifar or imagenet (default: cifar for pictures below 96 pixels).",
    transform: { try choice($0, of: CorruptionTable.self) })
  var table: CorruptionTable?
  @Option(name: .long, help: ArgumentHelp("The published photographs of frost (default: procedural frost).", valueName: "folder"))
  var frost: String?
  @Option(name: .long, help: ArgumentHelp("Labels of the pictures, repeated for every severity.", valueName: "file.npy")) var labels:
    String?
  @Option(name: .long, help: "Only the first pictures.") var images: Int?
  @Option(name: .long, help: "Of all random numbers.") var seed: UInt64 = 1
  @Option(name: .long, help: "Pictures at the same time (default: the processors this process may use).") var threads: Int?
  @OptionGroup(title: "Output") var printing: OutputOptions

  private struct Result: Encodable {
    struct Domain: Encodable { var corruption: String, label: String, severity: Double }
    var input: String, output: String, format: String
    var domains: [Domain]
    var images: Int, seed: UInt64, table: String, jpeg85: Bool, threads: Int
    var seconds: Double, images_per_second: Double
  }

  func run() async throws {
    let opened = try open()
    var options = CorruptedImages.Options()
    (options.seed, options.table, options.frostDirectory, options.jpeg85) = (seed, table, frost, jpeg85)
    options.threads = try threadCount()
    let set = try CorruptedImages(opened.images, corruptions: corruptions(), severities: severities(), options: options)
    let format = self.format ?? (opened.paths == nil ? .npy : .png)
    let first = try opened.images.image(at: 0)
    let usedTable = set.table(for: first)
    if first.width != usedTable.side || first.height != usedTable.side, !printing.quiet {
      Console.error(
        "warning: \(first.sizeText) pixels: the \(usedTable.rawValue) parameters were made for \(usedTable.side)×\(usedTable.side) and are not scaled"
      )
    }
    let interruption = Interruption()
    let start = ContinuousClock.now
    var progress = CorruptProgress(quiet: printing.quiet)
    func show(_ state: CorruptionProgress) -> Bool {
      progress.show(state)
      return !interruption.isRequested
    }
    let isWhole: Bool
    if format == .npy {
      isWhole = try set.writeArrays(to: output, progress: show)
    } else {
      let paths = opened.paths ?? (0..<opened.images.count).map { String(format: "%06d", $0) }
      isWhole = try set.writeFiles(to: output, paths: paths, format: format == .png ? .png : .jpeg, progress: show)
    }
    progress.end()
    guard isWhole else {
      Console.error("interrupted; files that are not whole were removed")
      throw ExitCode(130)
    }
    let seconds = (ContinuousClock.now - start).seconds
    try report(set, format, usedTable, seconds)
  }

  private func report(_ set: CorruptedImages, _ format: Format, _ table: CorruptionTable, _ seconds: Double) throws {
    let pictures = Double(set.images.count * set.domains.count)
    if printing.json {
      return try Console.json(
        Result(
          input: input, output: output, format: format.rawValue,
          domains: set.domains.map { .init(corruption: $0.kind.name, label: $0.label, severity: $0.severity) }, images: set.images.count,
          seed: seed, table: table.rawValue, jpeg85: jpeg85 || format == .jpeg, threads: set.options.threads, seconds: seconds,
          images_per_second: pictures / max(seconds, 1e-9)))
    }
    Console.result(
      "\(Numbers.grouped(pictures)) pictures (\(set.domains.count) × \(Numbers.grouped(Double(set.images.count)))) in \(output), "
        + "\(Numbers.grouped(pictures / max(seconds, 1e-9))) pictures/s")
    if set.domains.contains(where: { $0.label != $0.kind.name }) {
      Console.result("frost is procedural: no published photographs were given (--frost)")
    }
  }

  /// The pictures, and their places in the tree where they come from files.
  private func open() throws -> (images: any LabeledImages, paths: [String]?) {
    let all: any LabeledImages
    var paths: [String]?
    if input == "shapes", !FileManager.default.fileExists(atPath: input) {
      all = ShapesDataset.test
    } else {
      let opened = try ImageInputs.open([input])
      if let files = opened as? ImageFiles {
        let isFolder = files.paths.first != input
        paths = files.paths.map { isFolder ? String($0.dropFirst(input.count + 1)) : ($0 as NSString).lastPathComponent }
      }
      all = if let labels { try ImageInputs.open([input], labels: labels) } else { opened }
    }
    guard let images else { return (all, paths) }
    guard (1...max(1, all.count)).contains(images) else {
      throw TTAError(.usage, "--images \(images): expected a number from 1 to \(all.count)", hint: "leave it out to take all pictures")
    }
    return (try ImageRange(all, 0..<images), paths.map { Array($0.prefix(images)) })
  }

  private func corruptions() throws -> [CorruptionKind] {
    var kinds = [CorruptionKind]()
    for name in words(of: corruption) {
      kinds += try CorruptionKind.group(name).filter { !kinds.contains($0) }
    }
    guard !kinds.isEmpty else {
      throw TTAError(.usage, "--corruption: expected at least one name", hint: "tta list corruptions shows them")
    }
    return kinds
  }

  /// `5`, `1,3,5`, `1..5`, `2.25`.
  private func severities() throws -> [Double] {
    var values = [Double]()
    for part in severity.split(separator: ",") {
      let ends = part.split(separator: "..", omittingEmptySubsequences: false).map { Double($0.trimmingCharacters(in: .whitespaces)) }
      switch ends.count {
      case 1: if let value = ends[0] { values.append(value) } else { throw severityError() }
      case 2:
        guard let low = ends[0], let high = ends[1], (0...5).contains(low), (low...5).contains(high) else { throw severityError() }
        values += stride(from: low, through: high, by: 1)
      default: throw severityError()
      }
    }
    guard !values.isEmpty else { throw severityError() }
    return values
  }
  private func severityError() -> TTAError {
    TTAError(.usage, "--severity \(severity): expected numbers from 0 to 5 such as 5, 1,3,5 or 1..5", hint: "5 is the strongest")
  }

  private func threadCount() throws -> Int {
    guard let threads else { return Machine.processors }
    guard (1...256).contains(threads) else {
      throw TTAError(.usage, "--threads \(threads): expected a number from 1 to 256", hint: "leave it out to use all processors")
    }
    return threads
  }
}

/// What corrupt shows while it runs: one line on a terminal, a line per finished block elsewhere.
struct CorruptProgress {
  private let quiet: Bool
  private var line: ProgressLine
  private let start = ContinuousClock.now

  init(quiet: Bool) {
    self.quiet = quiet
    line = ProgressLine(quiet: quiet)
  }
  mutating func show(_ state: CorruptionProgress) {
    let seconds = (ContinuousClock.now - start).seconds
    let rate = Double(state.written) / max(seconds, 1e-9)
    let eta = Numbers.clock(seconds: Double(state.total - state.written) / max(rate, 1e-9))
    if state.endsBlock, !quiet, !Console.isTerminal {
      Console.error("\(state.text)  \(Numbers.grouped(Double(state.written))) of \(Numbers.grouped(Double(state.total))) pictures")
    }
    line.draw(state.text, done: Double(state.written) / Double(max(1, state.total)), "\(Numbers.grouped(rate)) img/s  ETA \(eta)")
  }
  mutating func end() { line.clear() }
}
