// The commands of tta as a library, so that a user's package can have them with components of its own.

import ArgumentParser
import CEvaluation
import CKernels
import Engine
import Foundation
public import TTA

/// The commands of `tta` as a library.
public enum TTACommandLine {
  /// The version of the tool.
  public static let version = "0.1.0"

  /// Parses the command line, runs one command and ends the process. Components of `registry` have names on the command line.
  public static func run(_ registry: Registry = .builtIn) async -> Never {
    ce_give_back_large_blocks()
    let code = await run(registry, arguments: Array(CommandLine.arguments.dropFirst()))
    if code == 0, !ce_flush_output() {
      exit(report(TTAError(.cannotWrite, "standard output: not everything could be written", hint: "check the space on the disk")))
    }
    exit(code)
  }

  /// The same, giving the exit code.
  static func run(_ registry: Registry, arguments: [String]) async -> Int32 {
    ck_flush_lines()
    do {
      try checkInstructionSet()
      var command = try Root.parseAsRoot(withNegativeNumbersJoined(arguments))
      try await Registry.$current.withValue(registry) {
        if var asynchronous = command as? any AsyncParsableCommand { try await asynchronous.run() } else { try command.run() }
      }
      return 0
    } catch let error as TTAError {
      return report(error)
    } catch let error as ExitCode {
      return error.rawValue
    } catch {
      return report(parsing: error)
    }
  }

  /// `--seed -1` as `--seed=-1`: the parser takes words that begin with a dash for options, and calls the value missing.
  private static func withNegativeNumbersJoined(_ arguments: [String]) -> [String] {
    arguments.reduce(into: []) { words, word in
      if word.wholeMatch(of: /-\.?[0-9].*/) != nil, let option = words.last, option.hasPrefix("--"), option != "--", !option.contains("=") {
        words[words.count - 1] = "\(option)=\(word)"
      } else {
        words.append(word)
      }
    }
  }
  private static func report(parsing error: any Error) -> Int32 {
    let code = Root.exitCode(for: error)
    let text = Root.fullMessage(for: error)
    if code.isSuccess {
      print(text)
      return 0
    }
    let message = Root.message(for: error)
    return report(TTAError(.usage, message.isEmpty ? "\(error)" : message, hint: "tta COMMAND --help shows the options with an example"))
  }
  static func report(_ error: TTAError) -> Int32 {
    Console.error("error: \(error.message)")
    if let hint = error.hint { Console.error("hint: \(hint)") }
    return exitCode(of: error.code)
  }
  /// sysexits.h.
  static func exitCode(of code: TTAError.Code) -> Int32 {
    switch code {
    case .usage: 64
    case .invalidData, .nonFinite: 65
    case .missingInput: 66
    case .unsupported: 69
    case .internal: 70
    case .cannotWrite: 73
    }
  }
}

struct Root: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tta", abstract: "Keeps a frozen image classifier accurate while the world it looks at changes.",
    discussion: "Example: tta demo", version: Machine.description,
    subcommands: [
      DemoCommand.self, AdaptCommand.self, ReplayCommand.self, ReportCommand.self, CorruptCommand.self, InspectCommand.self,
      ConvertCommand.self, CalibrateCommand.self, ExportCommand.self, TrainCommand.self, PrepareCommand.self, BenchCommand.self,
      ListCommand.self,
    ])
}
