// The memory that a plan says against the peak of a process.

import Foundation
import Testing

@Suite(.enabled(if: Tool.hasModel, Comment(rawValue: Tool.missing)))
struct MemoryPlanTests {
  private func number(_ name: String, _ arguments: [String]) throws -> Double {
    let result = try runTTA(arguments + ["--json"])
    #expect(result.code == 0, "\(result.stderr)")
    let report = try #require(try JSONSerialization.jsonObject(with: Data(result.stdout.utf8)) as? [String: Any])
    return try #require(report[name] as? Double)
  }

  static let models = [
    ["--model", "shapes", "--batch", "300"],
    ["--architecture", "vit-tiny-patch16-224", "--random-weights", "--batch", "24"],
  ]
  @Test(arguments: models) func thePeakIsAsPlanned(_ model: [String]) throws {
    let bench = ["bench", "--strategy", "tent", "--threads", "2", "--repeats", "1"] + model
    let (planned, peak) = (try number("planned_memory_bytes", bench), try number("peak_memory_bytes", bench))
    #expect(abs(planned / peak - 1) < 0.05, "planned \(planned / 1e6) MB, measured \(peak / 1e6) MB")
  }
  @Test func inspectSaysTheSame() throws {
    let bench = ["bench", "--model", "shapes", "--strategy", "tent", "--threads", "2", "--repeats", "1", "--batch", "300"]
    let peak = try number("peak_memory_bytes", bench)
    let inspect = ["inspect", "shapes", "--plan", "--strategy", "tent", "--threads", "2", "--batch", "300"]
    let planned = try number("planned_memory_bytes", inspect)
    #expect(abs(planned / peak - 1) < 0.05, "planned \(planned / 1e6) MB, measured \(peak / 1e6) MB")
  }
}
