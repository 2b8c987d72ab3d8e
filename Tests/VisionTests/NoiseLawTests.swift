// The exact laws of the noises that treat every sample on its own.

import Foundation
import Testing
import Vision
import VisionTestSupport

/// Probabilities of the 256 outcomes of a value, from the definitions.
private enum Law {
  static func normal(_ value: Int, deviation: Double) -> [Double] {
    guard deviation > 0 else { return (0..<256).map { $0 == value ? 1 : 0 } }
    func below(_ level: Int) -> Double { 0.5 * erfc(Double(value - level) / deviation / 2.0.squareRoot()) }
    return (0..<256).map { $0 == 0 ? below(1) : $0 == 255 ? 1 - below(255) : below($0 + 1) - below($0) }
  }
  static func poisson(_ value: Int, photons: Double) -> [Double] {
    let mean = photons * Double(value) / 255
    var law = [Double](repeating: 0, count: 256)
    for count in 0..<2000 {
      let logarithm = Double(count) * log(max(mean, 1e-300)) - mean - lgamma(Double(count) + 1)
      law[Int(min(Double(count) / photons, 1) * 255)] += mean == 0 ? (count == 0 ? 1 : 0) : exp(logarithm)
    }
    return law
  }
  static func impulse(_ value: Int, share: Double) -> [Double] {
    var law = [Double](repeating: 0, count: 256)
    law[value] += 1 - share
    law[0] += share / 2
    law[255] += share / 2
    return law
  }
  static func of(_ name: String, _ parameter: Double, _ value: Int) -> [Double] {
    switch name {
    case "gaussian-noise": normal(value, deviation: 255 * parameter)
    case "speckle-noise": normal(value, deviation: parameter * Double(value))
    case "shot-noise": poisson(value, photons: parameter)
    default: impulse(value, share: parameter)
    }
  }
}

@Suite struct NoiseLawTests {
  /// Parameters of severities 1, 3 and 5 of both tables, as published.
  private static let published: [(name: String, table: CorruptionTable, parameters: [Double])] = [
    ("gaussian-noise", .cifar, [0.04, 0.08, 0.1]), ("gaussian-noise", .imagenet, [0.08, 0.18, 0.38]),
    ("shot-noise", .cifar, [500, 100, 50]), ("shot-noise", .imagenet, [60, 12, 3]),
    ("impulse-noise", .cifar, [0.01, 0.03, 0.07]), ("impulse-noise", .imagenet, [0.03, 0.09, 0.27]),
    ("speckle-noise", .cifar, [0.06, 0.12, 0.2]), ("speckle-noise", .imagenet, [0.15, 0.35, 0.6]),
  ]

  /// Chi-square of every level's outcomes, all levels together; what the law excludes never happens.
  @Test(arguments: published.indices, [1, 3, 5]) func outcomesFollowTheLaw(_ row: Int, _ severity: Int) throws {
    let (name, table, parameters) = Self.published[row]
    let corruptor = try Corruptor(.named(name), severity: severity, table: table, seed: 77)
    let image = Image(width: 256, height: 64) { samples in for i in 0..<256 * 64 * 3 { samples[i] = UInt8(i / 3 % 256) } }
    var counts = [Int](repeating: 0, count: 65_536)
    let pictures = 40
    for index in 0..<pictures {
      let result = corruptor.apply(to: image, index: UInt64(index)).pixels
      for i in result.indices { counts[Int(image.pixels[i]) * 256 + Int(result[i])] += 1 }
    }
    let drawn = Double(pictures * 64 * 3)
    var (statistic, freedom) = (0.0, 0)
    for value in 0..<256 {
      let law = Law.of(name, parameters[severity / 2], value)
      // Rare outcomes are counted together.
      var rare = (expected: 0.0, found: 0)
      for outcome in 0..<256 {
        let (expected, found) = (drawn * law[outcome], counts[value * 256 + outcome])
        if expected < 1e-7 * drawn { #expect(Double(found) <= max(3, 10 * expected), "\(value) became \(outcome)") }
        if expected < 5 {
          rare.expected += expected
          rare.found += found
        } else {
          statistic += (Double(found) - expected) * (Double(found) - expected) / expected
          freedom += 1
        }
      }
      if rare.expected >= 5 {
        statistic += (Double(rare.found) - rare.expected) * (Double(rare.found) - rare.expected) / rare.expected
        freedom += 1
      }
      freedom -= 1
    }
    #expect(abs(statistic - Double(freedom)) < 5 * (2 * Double(freedom)).squareRoot(), "chi-square \(statistic) of \(freedom)")
  }
}
