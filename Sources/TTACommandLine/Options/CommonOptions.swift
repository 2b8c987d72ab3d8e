// Options that every command has.

import ArgumentParser
import Engine
import Foundation
import TTA

struct OutputOptions: ParsableArguments {
  @Flag(name: .long, help: "Print one JSON document (JSON Lines where results stream) and nothing else on standard output.")
  var json = false
  @Flag(name: .shortAndLong, help: "Print no progress.")
  var quiet = false
  @Flag(name: .long, help: "Also print what runs and on what, and a line per batch or step.")
  var verbose = false

  func validate() throws {
    guard !quiet || !verbose else { throw ValidationError("--quiet and --verbose exclude each other") }
  }
  /// A line beside the result that only `--verbose` shows.
  func detail(_ text: @autoclosure () throws -> String) rethrows {
    if verbose { Console.error(try text()) }
  }
  /// What `--verbose` says first: the build, the machine, and how many threads work.
  func detail(machineWith executor: Executor) {
    detail(
      "tta \(TTACommandLine.version) (\(Machine.revision)), instruction set \(Machine.instructionSet), BLAS core \(Machine.blas), "
        + "threads \(executor.threads) of \(Machine.processors), \(executor.lowering.rawValue) convolutions, \(executor.precision.rawValue) factors"
    )
  }
}

struct ExecutionOptions: ParsableArguments {
  @Option(name: .long, help: "Worker threads (default: the processors this process may use).")
  var threads: Int?
  @Flag(name: .long, help: "Direct convolutions only: no Winograd transforms.")
  var exact = false
  @Option(
    name: .long,
    help: ArgumentHelp(
      "Results of layers that the backward computes again instead of keeping them: always, never, or as many as cost little time.",
      valueName: "always, automatic or never"), transform: { try choice($0, of: Recomputation.self) })
  var recompute = Recomputation.automatic
  @Option(
    name: .long,
    help: ArgumentHelp(
      "Factors in products with frozen weights: single, or rounded to bfloat16, which is faster on AMD's processors with AVX512-BF16.",
      valueName: "single or bfloat16"), transform: { try choice($0, of: Precision.self) })
  var precision = Precision.single

  func validate() throws {
    guard !exact || precision == .single else { throw ValidationError("--exact and --precision bfloat16 exclude each other") }
  }
  /// How results come about, for what is compared with other runs: "fast", "exact", or "fast, bfloat16".
  var arithmetic: String { (exact ? Lowering.exact : .fast).rawValue + (precision == .single ? "" : ", \(precision.rawValue)") }
  /// What another process of the same program is told.
  var arithmeticArguments: [String] { (exact ? ["--exact"] : []) + (precision == .single ? [] : ["--precision", precision.rawValue]) }

  func makeExecutor() throws -> Executor {
    if let threads, !(1...256).contains(threads) {
      throw TTAError(.usage, "--threads \(threads): expected a number from 1 to 256", hint: "leave it out to use all processors")
    }
    if precision == .bfloat16, !Precision.bfloat16IsFast {
      Console.error(
        "note: \(Machine.instructionSet) on this processor has no fast instruction for bfloat16: the same roundings, slower than --precision single"
      )
    }
    return Executor(threads: threads, lowering: exact ? .exact : .fast, recomputation: recompute, precision: precision)
  }
}

struct ConfigurationOptions: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("A YAML file of options.", valueName: "file"))
  var config: String?
  @Option(
    name: .long,
    help: ArgumentHelp("An option that overrides the file, for example strategy.learning_rate=1e-3.", valueName: "key.path=value"))
  var set: [String] = []

  /// The file overlaid by `--set`.
  func tree() throws -> OptionTree {
    try overlay(config.map(ConfigurationFile.read) ?? .keys([:]))
  }
  /// A tree overlaid by `--set`.
  func overlay(_ tree: OptionTree) throws -> OptionTree {
    var tree = tree
    for assignment in set {
      let parts = assignment.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw TTAError(.usage, "--set \(assignment): expected key.path=value", hint: "for example --set strategy.learning_rate=1e-3")
      }
      tree.set(parts[0].split(separator: ".").map(String.init), to: try ConfigurationFile.value(parts[1]))
    }
    return tree
  }
}

/// One of the words of an enumeration; the error lists them.
func choice<T: RawRepresentable & CaseIterable>(_ text: String, of type: T.Type) throws -> T where T.RawValue == String {
  guard let value = T(rawValue: text) else {
    throw ValidationError("expected \(T.allCases.map(\.rawValue).joined(separator: ", ")), got \(text)")
  }
  return value
}

/// The words of a list such as `a, b,c`.
func words(of list: String) -> [String] {
  list.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
}

/// A length of time as people write it: `200ms`, `1.5s`, or milliseconds without a unit. `option`: whose value it is.
func duration(_ text: String, of option: String) throws -> Duration {
  let units: [(suffix: String, milliseconds: Double)] = [("ms", 1), ("s", 1_000), ("", 1)]
  guard let unit = units.first(where: { text.hasSuffix($0.suffix) }), let value = Double(text.dropLast(unit.suffix.count)), value > 0,
    value < 1e9
  else { throw TTAError(.usage, "\(option) \(text): expected a time such as 200ms or 1.5s", hint: "for example \(option) 200ms") }
  return .microseconds(Int(value * unit.milliseconds * 1_000))
}

/// Refuses numbers of images that no batch has.
func requireBatch(_ size: Int, atLeast least: Int = 1) throws {
  guard size >= least else {
    throw TTAError(.usage, "--batch \(size): expected a number of at least \(least)", hint: "64 unless said otherwise")
  }
  guard size <= 100_000 else {
    throw TTAError(.usage, "--batch \(size): expected a number of at most 100000", hint: "the images of a batch are in memory together")
  }
}
