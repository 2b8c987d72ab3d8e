// Random corruptions with our own draws against statistics of the original code.

import Foundation
import Streams
import Testing
import Vision
import VisionTestSupport

private struct ExpectedStatistics: Decodable {
  var mean: [String: Double]
  /// Four standard deviations of the difference of two runs.
  var tol_single_run: [String: Double]
}

@Suite(.enabled(if: References.corruptions != nil, "no corruption references; set TTA_CORRUPTION_REFERENCES"))
struct CorruptionStatisticsTests {
  private static let random = ["gaussian_noise", "impulse_noise"]
  #if DEBUG  // unoptimised statistics are slow
    private static let severities = (cifar: [5], imagenet: [Int]())
  #else
    private static let severities = (cifar: [1, 2, 3, 4, 5], imagenet: [1, 3, 5])
  #endif
  private let folder: URL
  init() throws { folder = try #require(References.corruptions) }

  /// Nothing lies beyond six standard deviations.
  private func check(_ name: String, _ severity: Int, _ table: CorruptionTable, _ clean: [Image]) throws {
    let file = folder.appending(path: "stats_\(table.rawValue).json")
    let expected = try #require(References.decode([String: ExpectedStatistics].self, file)["\(name)/\(severity)"])
    let corruptor = try Corruptor(.named(name), severity: severity, table: table, seed: 20)
    let pairs = clean.enumerated().map { (clean: $1, corrupted: corruptor.apply(to: $1, index: UInt64($0))) }
    for (statistic, value) in PictureStatistics(meanOf: pairs).values {
      let mean = try #require(expected.mean[statistic])
      let tolerance = try #require(expected.tol_single_run[statistic])
      #expect(abs(value - mean) <= 1.5 * tolerance, "\(statistic): \(value), expected \(mean) ± \(tolerance)")
    }
  }

  @Test(arguments: random, severities.cifar) func smallPictures(_ name: String, _ severity: Int) throws {
    let images = try NumpyImages(path: folder.appending(path: "clean/cifar500.npy").path)
    try check(name, severity, .cifar, (0..<images.count).map { try images.image(at: $0) })
  }

  @Test(arguments: random, severities.imagenet) func largePictures(_ name: String, _ severity: Int) throws {
    let files = try ImageFiles.folder(folder.appending(path: "clean/imagenet20").path)
    #expect(files.count == 20)
    try check(name, severity, .imagenet, (0..<files.count).map { try files.image(at: $0) })
  }
}
