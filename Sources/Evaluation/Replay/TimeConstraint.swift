// How often a method may learn where pictures do not wait.

import Engine
import Streams
import TTA

/// How often a method may learn from a stream that does not wait: on every k-th batch, the others are answered by the last model.
///
/// Alfarra et al., "Evaluation of Test-Time Adaptation Under Computational Time Constraints", ICML 2024.
public struct TimeConstraint: Codable, Hashable, Sendable {
  /// Cost of a step in forwards of the source model by declaration; a backward counts as two forwards.
  public var declaredCost: Double
  /// The same by measurement: time of a step over the time of a forward of the source model.
  public var measuredCost: Double
  /// Batches per batch that is learnt from.
  public var period: Int
  /// Which of the two the period follows from.
  public var basis: ReplayConfiguration.TimeCost

  /// The period of a cost. Batches arrive every `interval` source forwards.
  package static func period(cost: Double, interval: Double) -> Int {
    let ratio = cost / interval
    return ratio.isFinite ? Int(max(1, min(1_000_000, (ratio - 1e-9).rounded(.up)))) : 1
  }
  /// The cost that a strategy declares, in forwards per batch; 1 where it says nothing.
  public static func declaredCost(of strategy: ReplayConfiguration.Strategy) -> Double {
    guard let summary = Registry.current.entries(.strategy).first(where: { $0.name == strategy.name })?.summary else { return 1 }
    return max(1, number(summary.forwards) + 2 * number(summary.backwards))
  }
  /// The sum of the numbers that begin the terms of `1 + 2 per 64 images`; of `3, or 34 where …` the first.
  static func number(_ text: String) -> Double {
    let first = text.split(separator: ",").first ?? ""
    return first.split(separator: "+").reduce(0) { sum, term in
      sum + (Double(term.drop { $0 == " " }.prefix { $0.isNumber || $0 == "." }) ?? 0)
    }
  }
}
