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
    (["demo", "--severity", "6"], "error: --severity 6: expected a number from 1 to 5", "hint: "),
    (["demo", "--images", "0"], "error: --images 0: expected a number from 1 to 10000", "hint: "),
    (["demo", "--no-such-flag"], "error: Unknown option '--no-such-flag'", "hint: "),
    (["adapt", "x.png", "--model", "shapes", "--strategy", "tnet"], "error: unknown strategy \"tnet\"", "hint: nearest names: tent,"),
    (["adapt", "x.png", "--model", "shapes", "--resize", "0"], "error: shapes: resize: expected 1 to 16384 pixels, got 0", "hint: "),
    (
      ["adapt", "x.png", "--model", "shapes", "--input-size", "20000"], "error: shapes: input_size: expected 1 to 16384 pixels, got 20000",
      "hint: "
    ),
    (
      ["adapt", "x.png", "--model", "shapes", "--set", "model.resize=1e30"], "error: model.resize: expected a whole number, got 1e+30",
      "hint: "
    ),
    (
      ["adapt", "x.png", "--model", "shapes", "--set", "stream.batch=2.5"], "error: stream.batch: expected a whole number, got 2.5",
      "hint: "
    ),
    (
      ["adapt", "x.png", "--model", "shapes", "--set", "strategy.window=1e30"], "error: window: expected 1 to 1000000 images, got 1e+30",
      "hint: "
    ),
    (
      ["adapt", "x.png", "--model", "shapes", "--set", "strategy.window=-1e30"], "error: window: expected 1 to 1000000 images, got -1e+30",
      "hint: "
    ),
    (["adapt", "x.png", "--model", "shapes", "--save-every", "0"], "error: --save-every 0: expected a number of at least 1", "hint: "),
    (["adapt", "x.png", "--model", "shapes", "--resume"], "error: --resume: expected a state to continue from", "hint: --state-in FILE"),
    (
      ["adapt", "x.png", "--model", "shapes", "--batch", "9223372036854775807"],
      "error: --batch 9223372036854775807: expected a number of at most 100000", "hint: "
    ),
    (
      ["bench", "--repeats", "9223372036854775807"], "error: --repeats 9223372036854775807: expected a number from 1 to 10000000", "hint: "
    ),
    (["inspect", "shapes", "--plan", "--batch", "0"], "error: --batch 0: expected a number of at least 1", "hint: "),
    (["inspect", "shapes", "--model", "x.safetensors"], "error: two models: shapes and --model x.safetensors", "hint: "),
    (["demo", "--severity", "0"], "error: --severity 0: expected a number from 1 to 5", "hint: "),
    (
      ["adapt", "x.png", "--model", "shapes", "--set", "strategy.reset={every: ["], "error: {every: [: not valid YAML: line ", "hint: "
    ),
    (
      ["adapt", "x.png", "--model", "shapes", "--strategy", "tent", "--set", "strategy.parameters={include: norm, without: bn1}"],
      "error: parameters: expected {include: …, exclude: …}, got {include: \"norm\", without: \"bn1\"}", "hint: "
    ),
    (
      ["adapt", "x.png", "--model", "shapes", "--strategy", "memo", "--set", "strategy.views=2.5"],
      "error: memo: views: expected a smaller or a whole number, got 2.5", "hint: "
    ),
    (
      ["adapt", "x.png", "--model", "shapes", "--strategy", "tent", "--set", "strategy.optimizer=adm"],
      "error: tent: optimizer: expected adam, adamw or sgd, got \"adm\"", "hint: "
    ),
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
