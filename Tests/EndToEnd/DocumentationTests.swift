// The pages say what the program has.

import Foundation
import TTATestKit
import Testing

@Suite(.enabled(if: Tool.isBuilt, Comment(rawValue: Tool.missing)))
struct DocumentationTests {
  private func text(_ path: String) throws -> String {
    try String(contentsOf: SharedFolders.packageRoot(from: #filePath).appendingPathComponent(path), encoding: .utf8)
  }

  @Test func everyStrategyHasAPageWithItsOptions() throws {
    let listed = try #require(
      try JSONSerialization.jsonObject(with: Data(runTTA(["list", "strategies", "--json"]).stdout.utf8)) as? [[String: Any]])
    let overview = try text("docs/strategies.md")
    var names: Set<String> = []
    for row in listed where row["kind"] as? String == "strategy" {
      let name = try #require(row["name"] as? String)
      names.insert(name)
      let page = try text("docs/strategies/\(name).md")
      #expect(page.hasPrefix("# `\(name)`: "), "\(name)")
      for option in try #require(row["options"] as? [[String: Any]]) {
        let (key, value) = (option["key"] as? String ?? "", option["value"] as? String ?? "")
        let line = "| `\(key)` | \(value.isEmpty ? "none" : "`\(value)`") | \(option["meaning"] as? String ?? "") |"
        #expect(page.contains(line), "docs/strategies/\(name).md lacks: \(line); scripts/strategy-pages writes it")
      }
      for preset in try #require(row["presets"] as? [String]) { #expect(page.contains("`\(preset)`"), "\(name): \(preset)") }
      let summary = try #require(row["summary"] as? [String: Any])
      let cost =
        "Forwards per batch: \(summary["forwards"] ?? ""); backwards: \(summary["backwards"] ?? ""). Updates \(summary["updates"] ?? "")."
      #expect(page.contains(cost), "docs/strategies/\(name).md lacks: \(cost)")
      #expect(overview.contains("](strategies/\(name).md)"), "docs/strategies.md has no link to \(name)")
    }
    let folder = SharedFolders.packageRoot(from: #filePath).appendingPathComponent("docs/strategies").path
    let pages = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".md") }.map { String($0.dropLast(3)) }
    #expect(Set(pages) == names)
  }
  /// The walk through a strategy of one's own shows the package that CI builds and runs.
  @Test func theWalkShowsTheExample() throws {
    let walk = try text("docs/adding-a-strategy.md")
    for file in ["Package.swift", "Sources/mytta/MyTTA.swift"] {
      let source = try text("Examples/CustomStrategy/" + file)
      #expect(walk.contains("```swift\n\(source)```"), "docs/adding-a-strategy.md shows another \(file) than Examples/CustomStrategy")
    }
    #expect(try text("Makefile").contains("swift build --package-path Examples/CustomStrategy"))
    #expect(try text(".ci/run").contains("make example"))
  }
}
