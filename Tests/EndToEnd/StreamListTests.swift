// What tta says about settings and data sets, and pictures on standard input.

import Foundation
import Streams
import Testing
import Vision

@Suite(.enabled(if: Tool.isBuilt, Comment(rawValue: Tool.missing)))
struct StreamListTests {
  @Test func settingsAreListed() throws {
    let all = try runTTA(["list", "settings"])
    #expect(all.code == 0)
    for kind in SettingKind.all { #expect(all.stdout.contains("\n\(kind.name) ") && all.stdout.contains(kind.source)) }
    let one = try runTTA(["list", "settings", "correlated"])
    #expect(one.stdout.contains("concentration = 0.1") && one.stdout.contains("construction = dirichlet-slots"))
    let wrong = try runTTA(["list", "settings", "correlatd"])
    #expect(wrong.code == 64)
    #expect(wrong.errorLines.first == "error: unknown setting \"correlatd\"")
  }

  @Test func settingsAreDrawn() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "tta-drawings-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let result = try runTTA(["list", "settings", "gradual", "--draw", folder])
    #expect(result.code == 0)
    #expect(result.stdout == "\(folder)/gradual-cotta.svg\n\(folder)/gradual-rmt.svg\n")
    #expect(try String(contentsOfFile: "\(folder)/gradual-rmt.svg", encoding: .utf8).hasPrefix("<svg "))
  }

  @Test func dataSetsAreListed() throws {
    let all = try runTTA(["list", "datasets"])
    #expect(all.code == 0)
    for kind in DatasetKind.all { #expect(all.stdout.contains("\n\(kind.name) ") && all.stdout.contains(kind.layout)) }
    let shapes = try runTTA(["list", "datasets", "shapes"])
    #expect(shapes.stdout.contains("pictures: 10000") && shapes.stdout.contains("classes:  10"))
    let missing = try runTTA(["list", "datasets", "/no/such/folder"])
    #expect(missing.code == 66)
    #expect(missing.errorLines.first == "error: \"/no/such/folder\" does not exist")
  }
}
