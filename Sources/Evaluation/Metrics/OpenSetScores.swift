// Scores of streams with pictures of unknown classes.

import CEvaluation

/// How well a strategy tells pictures of known classes from those of unknown ones, by a score that is high for known ones.
public struct OpenSetScores: Codable, Hashable, Sendable {
  /// Area under the receiver operating characteristic, in per cent.
  public var areaPercent: Double
  /// Unknown pictures that pass where 95 % of the known ones do, in per cent.
  public var falsePositivePercent: Double
  /// Area under correct classification rate over false positive rate, in per cent (Dhamija et al., NeurIPS 2018).
  public var openSetClassificationPercent: Double
  /// Harmonic mean of the accuracy on known pictures and of the share of unknown ones that are rejected, in per cent; the threshold divides the
  /// scores into two parts of the least variance, without labels (Li et al., ICCV 2023).
  public var harmonicPercent: Double

  /// Scores of pictures. `isCorrect` belongs to the known ones. Nil where one of the two kinds is missing.
  public init?(known: [Float], isCorrect: [Bool], unknown: [Float]) {
    guard !known.isEmpty, !unknown.isEmpty, known.count == isCorrect.count else { return nil }
    let correct = isCorrect.map { $0 ? UInt8(1) : 0 }
    let all = [UInt8](repeating: 1, count: known.count)
    areaPercent = 100 * ce_ranking_area(known, all, known.count, unknown, unknown.count)
    falsePositivePercent = 100 * ce_false_positive_rate(known, known.count, unknown, unknown.count, 0.95)
    openSetClassificationPercent = 100 * ce_ranking_area(known, correct, known.count, unknown, unknown.count)
    let threshold = ce_two_part_threshold(known + unknown, known.count + unknown.count)
    let accepted = zip(known, isCorrect).reduce(0) { $0 + ($1.0 >= threshold && $1.1 ? 1 : 0) }
    let rejected = unknown.reduce(0) { $0 + ($1 < threshold ? 1 : 0) }
    harmonicPercent = HScore.percent(Double(accepted) / Double(known.count), Double(rejected) / Double(unknown.count))
  }
}
