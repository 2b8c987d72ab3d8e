// tta demo

import Foundation
import Testing

@Suite(.serialized, .enabled(if: Tool.hasModel, Comment(rawValue: Tool.isBuilt ? Tool.untrained : Tool.missing)))
struct DemoTests {
  private struct Document: Decodable {
    struct Strategy: Decodable {
      var name: String, error_percent: Double, per_domain: [String: Double], images_per_second: Double
    }
    var model: String, images: Int, domains: [String], strategies: [Strategy]

    func errors(_ name: String) throws -> [String: Double] { try #require(strategies.first { $0.name == name }).per_domain }
  }
  private func document(_ arguments: [String]) throws -> Document {
    let result = try runTTA(["demo", "--json"] + arguments)
    #expect(result.code == 0, "\(result.stderr)")
    return try JSONDecoder().decode(Document.self, from: Data(result.stdout.utf8))
  }

  @Test func jsonIsOneDocument() throws {
    let document = try document(["--images", "100"])
    #expect(document.model == "shapes")
    #expect(document.strategies.map(\.name) == ["source", "batch-norm", "tent"])
    #expect(document.images == 100 * document.domains.count)
    #expect(document.domains.count == 15 && document.domains.contains("frost (procedural)"))
    for strategy in document.strategies {
      #expect((0...100).contains(strategy.error_percent))
      #expect(Set(strategy.per_domain.keys) == Set(document.domains))
      #expect(strategy.per_domain.values.allSatisfy { (0...100).contains($0) })
      #expect(strategy.images_per_second > 0)
    }
  }
  @Test func reportIsWritten() throws {
    let folder = try TemporaryFolder()
    let result = try runTTA(["demo", "--images", "60", "--report", folder.path("page.html"), "--quiet"])
    #expect(result.code == 0, "\(result.stderr)")
    let page = try String(contentsOfFile: folder.path("page.html"), encoding: .utf8)
    #expect(page.hasPrefix("<!DOCTYPE html>") && page.hasSuffix("</html>\n"))
    #expect(page.matches(of: /<polyline/).count == 3)
    #expect(page.contains("tta demo --strategies source,batch-norm,tent"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["page.html"])
    #expect(result.stdout.contains("mean"))
    #expect(result.stderr.isEmpty)
  }
  @Test func reportThatCannotBeWrittenSaysSo() throws {
    let result = try runTTA(["demo", "--images", "20", "--batch", "20", "--report", "/no-such-folder/page.html", "--quiet"])
    #expect(result.code == 73)
    #expect(result.errorLines.count == 2)
  }
  @Test func aStrategyNamedTwiceIsRefused() throws {
    let result = try runTTA(["demo", "--strategies", "tent,source,tent"])
    #expect(result.code == 64)
    #expect(result.errorLines.first == "error: --strategies tent,source,tent: tent is named twice")
  }
  @Test func sameSeedSameNumbers() throws {
    let arguments = ["--images", "60", "--batch", "20", "--corruptions", "noise", "--seed", "7"]
    let (first, second) = (try document(arguments + ["--threads", "1"]), try document(arguments + ["--threads", "2"]))
    #expect(first.strategies.map(\.per_domain) == second.strategies.map(\.per_domain))
  }
  @Test func plainProgressHasALinePerDomain() throws {
    let result = try runTTA(["demo", "--images", "40", "--batch", "20", "--corruptions", "clean,contrast", "--strategies", "source"])
    #expect(result.errorLines.count == 2)
    #expect(result.errorLines.first?.hasPrefix("clean  40 images  source ") == true)
    #expect(result.errorLines.last?.hasPrefix("contrast 5  40 images  source ") == true)
    #expect(!result.stderr.contains("\u{1B}"))
  }
  /// What the built-in model is for: adaptation must have something to repair, and repair it.
  @Test func adaptationHelpsTheBuiltInModel() throws {
    let document = try document(["--corruptions", "clean,standard", "--quiet"])
    func mean(_ name: String) throws -> Double {
      let errors = try document.errors(name).filter { $0.key != "clean" }
      return errors.values.reduce(0, +) / Double(errors.count)
    }
    #expect(try document.errors("source")["clean"] ?? 100 < 3)
    let (source, batchNorm, tent) = (try mean("source"), try mean("batch-norm"), try mean("tent"))
    #expect((25...60).contains(source))
    #expect(batchNorm < 0.75 * source)
    #expect(tent < batchNorm)
  }
}
