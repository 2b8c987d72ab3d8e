// Errors per picture, and the comparison of two strategies on the same pictures.

import Foundation

/// How often each picture of a data set was judged and how often wrongly.
public struct PictureErrors: Codable, Hashable, Sendable {
  /// Answers that were judged, by place of the picture in its data set.
  public private(set) var seen: [Int] = []
  /// Wrong answers, by place.
  public private(set) var wrong: [Int] = []

  /// No picture yet.
  public init() {}
  /// Counts one answer for the picture at a place.
  public mutating func add(place: Int, isWrong: Bool) {
    if place >= seen.count {
      let missing = Array(repeating: 0, count: place + 1 - seen.count)
      seen += missing
      wrong += missing
    }
    seen[place] += 1
    wrong[place] += isWrong ? 1 : 0
  }
  /// Adds the answers of another run over the same data set.
  public mutating func add(_ other: PictureErrors) {
    let missing = Array(repeating: 0, count: max(0, other.seen.count - seen.count))
    seen += missing
    wrong += missing
    for place in other.seen.indices {
      seen[place] += other.seen[place]
      wrong[place] += other.wrong[place]
    }
  }
  /// Answers that were wrong.
  public var errors: Int { wrong.reduce(0, +) }
  /// Standard error of the share of wrong answers, in percentage points, with pictures as independent draws.
  public var standardErrorPercent: Double { Self.spread(of: wrong, over: seen) }

  /// Standard error of sum(values) / sum(weights), in per cent: the ratio estimator over pictures.
  fileprivate static func spread(of values: [Int], over weights: [Int]) -> Double {
    let count = weights.filter { $0 > 0 }.count
    guard count > 1 else { return 0 }
    let total = Double(weights.reduce(0, +))
    let ratio = Double(values.reduce(0, +)) / total
    let squares = zip(values, weights).reduce(0.0) { sum, pair in
      let residual = Double(pair.0) - ratio * Double(pair.1)
      return sum + residual * residual
    }
    return 100 * (squares * Double(count) / Double(count - 1)).squareRoot() / total
  }

  /// How another strategy fared on the same answers.
  public func comparison(with other: PictureErrors) -> PairedComparison {
    precondition(seen == other.seen, "two scores over different pictures")
    let differences = zip(wrong, other.wrong).map { $0 - $1 }
    let total = seen.reduce(0, +)
    return PairedComparison(
      errors: other.errors, baselineErrors: errors, images: total,
      standardErrorPercent: Self.spread(of: differences, over: seen))
  }
}

/// The errors of a strategy beside those of a baseline on the same pictures.
public struct PairedComparison: Codable, Hashable, Sendable {
  /// Wrong answers of the strategy.
  public var errors: Int
  /// Wrong answers of the baseline.
  public var baselineErrors: Int
  /// Answers that were judged.
  public var images: Int
  /// Standard error of the difference of the two error rates, in percentage points; the pictures are the same, so it is a paired one.
  public var standardErrorPercent: Double

  /// Error of the baseline minus error of the strategy, in percentage points: positive where the strategy is better.
  public var gainPercent: Double { images > 0 ? 100 * Double(baselineErrors - errors) / Double(images) : 0 }
  /// Errors that the strategy avoids, in per cent of the baseline's; negative where it makes more. Nil for a baseline without errors.
  public var fewerErrorsPercent: Double? {
    baselineErrors > 0 ? 100 * Double(baselineErrors - errors) / Double(baselineErrors) : nil
  }
  /// Whether the difference is more than two standard errors.
  public var isClear: Bool { errors != baselineErrors && abs(gainPercent) > 2 * standardErrorPercent }
}
