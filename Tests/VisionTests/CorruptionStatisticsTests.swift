// All corruptions with our own draws against statistics of the original code.

import Foundation
import Streams
import Synchronization
import Testing
import Vision
import VisionTestSupport

private struct ExpectedStatistics: Decodable {
  var mean: [String: Double]
  /// Four standard deviations of the difference of two runs.
  var tol_single_run: [String: Double]
}

@Suite(.serialized, .enabled(if: References.corruptions != nil, "no corruption references; set TTA_CORRUPTION_REFERENCES"))
struct CorruptionStatisticsTests {
  #if DEBUG  // unoptimised statistics are slow
    private static let severities = [5]
  #else
    private static let severities = [1, 2, 3, 4, 5]
  #endif
  private static let deterministic = [
    "defocus-blur", "zoom-blur", "brightness", "contrast", "pixelate", "jpeg-compression", "gaussian-blur", "saturate",
  ]
  private let folder: URL
  init() throws { folder = try #require(References.corruptions) }

  /// The statistics of a setting over the clean pictures, and what the original gives.
  private func compare(_ kind: CorruptionKind, _ severity: Int, _ table: CorruptionTable, _ clean: [Image]) throws -> (
    found: [String: Double], expected: ExpectedStatistics
  ) {
    let file = folder.appending(path: "stats_\(table.rawValue).json")
    let expected = try #require(References.decode([String: ExpectedStatistics].self, file)["\(kind.fileName)/\(severity)"])
    let corruptor = try Corruptor(kind, severity: severity, table: table, seed: 20, frostDirectory: References.frost?.path)
    // The twenty large pictures are taken four times, so that what is beyond a band is not our own chance.
    let rounds = table == .cifar || Self.deterministic.contains(kind.name) ? 1 : 4
    let pairs = (0..<rounds).flatMap { round in
      clean.enumerated().map { (clean: $1, corrupted: corruptor.apply(to: $1, index: UInt64($0 + 1_000 * round))) }
    }
    return (PictureStatistics(meanOf: pairs).values, expected)
  }

  private func pictures(_ table: CorruptionTable) throws -> [Image] {
    let images: any LabeledImages =
      table == .cifar
      ? try NumpyImages(path: folder.appending(path: "clean/cifar500.npy").path)
      : try ImageFiles.folder(folder.appending(path: "clean/imagenet20").path)
    #expect(images.count == (table == .cifar ? 500 : 20))
    return try (0..<images.count).map { try images.image(at: $0) }
  }

  /// Of all statistics of all settings at most three lie beyond four standard deviations, and none beyond six.
  @Test(arguments: CorruptionTable.allCases) func statisticsStayInTheirBands(_ table: CorruptionTable) throws {
    let clean = try pictures(table)
    // Procedural frost has no bands: see proceduralFrostIsLikeFrost.
    let kinds = CorruptionKind.all.filter { $0.name != "frost" || References.frost != nil }
    let settings = kinds.flatMap { kind in Self.severities.map { (kind: kind, severity: $0) } }
    let beyond = Mutex([String]())
    DispatchQueue.concurrentPerform(iterations: settings.count) { number in
      let (kind, severity) = settings[number]
      do {
        let (found, expected) = try compare(kind, severity, table, clean)
        #expect(found.count == 29 && found.keys.allSatisfy { expected.mean[$0] != nil })
        for (statistic, value) in found {
          guard let mean = expected.mean[statistic], let tolerance = expected.tol_single_run[statistic] else { continue }
          let text = "\(kind.name) \(severity), \(statistic): \(value), expected \(mean) ± \(tolerance)"
          #expect(abs(value - mean) <= 1.5 * tolerance, "\(text)")
          if abs(value - mean) > tolerance { beyond.withLock { $0.append(text) } }
        }
      } catch {
        Issue.record(error)
      }
    }
    let excursions = beyond.withLock { $0 }
    #expect(excursions.count <= 3, "\(excursions)")
    if !excursions.isEmpty { print("beyond four deviations: \(excursions)") }
  }

  /// Procedural frost is near the photographs' in the mean, the strength and the spread of what it changes.
  @Test(arguments: CorruptionTable.allCases, [1, 3, 5]) func proceduralFrostIsLikeFrost(_ table: CorruptionTable, _ severity: Int) throws {
    let file = folder.appending(path: "stats_\(table.rawValue).json")
    let expected = try #require(References.decode([String: ExpectedStatistics].self, file)["frost/\(severity)"]).mean
    let clean = try pictures(table)
    let corruptor = try Corruptor(.named("frost"), severity: severity, table: table, seed: 20)
    #expect(corruptor.label == "frost (procedural)")
    // Twenty large pictures draw few textures: they are taken three times.
    let pairs = (0..<(table == .cifar ? 1 : 3)).flatMap { round in
      clean.enumerated().map { (clean: $1, corrupted: corruptor.apply(to: $1, index: UInt64($0 + 1_000 * round))) }
    }
    let found = PictureStatistics(meanOf: pairs).values
    for (statistic, share) in [("mse", 0.3), ("dstd", 0.3), ("ostd", 0.3), ("ssim", 0.3)] {
      let (value, target) = (try #require(found[statistic]), try #require(expected[statistic]))
      #expect(abs(value - target) <= share * target, "\(statistic): \(value), photographs \(target)")
    }
    for statistic in ["dmean_r", "dmean_g", "dmean_b"] {
      let (value, target) = (try #require(found[statistic]), try #require(expected[statistic]))
      // Of the original's twenty large pictures each drew one photograph, twice: its own mean is uncertain by four levels.
      #expect(abs(value - target) <= (table == .cifar ? 5 : 14), "\(statistic): \(value), photographs \(target)")
    }
  }
}
