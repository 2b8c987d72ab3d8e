// What every command keeps to.

import Foundation
import Testing

@Suite(.enabled(if: Tool.isBuilt, Comment(rawValue: Tool.missing)))
struct CommandTests {
  @Test func versionSaysWhatRuns() throws {
    let result = try runTTA(["--version"])
    #expect(result.code == 0)
    #expect(result.stdout.hasPrefix("tta "))
    for word in ["instruction set:", "BLAS core:", "threads:"] { #expect(result.stdout.contains(word)) }
    #expect(result.stderr.isEmpty)
  }

  /// The names under SUBCOMMANDS of a help text.
  private func subcommands(_ help: String) -> [String] {
    guard let section = help.split(separator: "SUBCOMMANDS:\n", maxSplits: 1).dropFirst().first else { return [] }
    return section.split(separator: "\n", omittingEmptySubsequences: false).prefix { !$0.isEmpty }.compactMap { line in
      line.firstMatch(of: /^  ([a-z-]+)/).map { String($0.output.1) }
    }
  }
  @Test func everyHelpHasAnExample() throws {
    var (waiting, seen): ([[String]], Int) = ([[]], 0)
    while let command = waiting.popLast() {
      let result = try runTTA(command + ["--help"])
      #expect(result.code == 0)
      #expect(result.stdout.contains("Example: tta ") || result.stdout.contains("| tta "), "tta \(command.joined(separator: " "))")
      waiting += subcommands(result.stdout).map { command + [$0] }
      seen += 1
    }
    #expect(seen > 6)
  }

  @Test(arguments: [
    (["demo", "--strategies", "source,tnet"], "error: unknown strategy \"tnet\"", "hint: nearest names: tent,"),
    (["demo", "--corruptions", "contrst"], "error: unknown corruption \"contrst\"", "hint: nearest names: contrast,"),
    (["demo", "--severity", "6"], "error: severity 6 of gaussian-noise, expected 0...5 in steps of 0.25", "hint: "),
    (["demo", "--images", "0"], "error: --images 0: expected a number from 1 to 10000", "hint: "),
    (["demo", "--no-such-flag"], "error: Unknown option '--no-such-flag'", "hint: "),
    (["adapt", "x.png", "--model", "shapes", "--strategy", "tnet"], "error: unknown strategy \"tnet\"", "hint: nearest names: tent,"),
  ])
  func usageErrorsHaveTwoLines(_ arguments: [String], _ error: String, _ hint: String) throws {
    guard arguments[0] == "demo" || Tool.hasModel else { return print("skipped: \(Tool.untrained)") }
    let result = try runTTA(arguments)
    #expect(result.code == 64)
    #expect(result.stdout.isEmpty)
    #expect(result.errorLines.count == 2, "\(result.stderr)")
    #expect(result.errorLines.first?.hasPrefix(error) == true, "\(result.stderr)")
    #expect(result.errorLines.last?.hasPrefix(hint) == true, "\(result.stderr)")
  }
}
