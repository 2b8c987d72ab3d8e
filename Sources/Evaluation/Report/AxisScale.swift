// An axis from 0 with round ticks.

import Engine
import Foundation

/// An axis from 0 to a round number, with round ticks.
public struct AxisScale: Hashable, Sendable {
  /// Where the axis ends.
  public let end: Double
  /// Ticks from 0 to at most `end`.
  public let ticks: [Double]

  /// An axis that holds 0...largest; about `count` ticks, 1, 2, 2.5 or 5 times a power of ten apart. It ends at a tick or, where
  /// `endsAtData`, at the largest value.
  public init(largest: Double, count: Int = 5, endsAtData: Bool = false) {
    let top = largest.isFinite && largest > 0 ? largest : 1
    let rough = top / Double(max(1, count))
    let power = pow(10, floor(log10(rough)))
    let step = power * ([1, 2, 2.5, 5, 10].first { $0 * power >= rough * (1 - 1e-9) } ?? 10)
    let steps = top / step
    let count = endsAtData ? Int((steps + 1e-9).rounded(.down)) : Int((steps - 1e-9).rounded(.up))
    ticks = (0...count).map { Double($0) * step }
    end = endsAtData ? top : ticks[ticks.count - 1]
    // 2.5 needs a decimal more than its power of ten.
    decimals = (0...9).first { abs(step * pow(10, Double($0)) - (step * pow(10, Double($0))).rounded()) < 1e-6 } ?? 9
  }
  /// Decimals that tell the ticks apart.
  let decimals: Int
  /// A tick as people read it: `4,000`, `0.25`.
  package func text(_ tick: Double) -> String { decimals == 0 ? Numbers.grouped(tick) : Numbers.decimals(tick, decimals) }
}
