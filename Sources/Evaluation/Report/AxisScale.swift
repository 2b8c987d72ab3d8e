// An axis from 0 with round ticks.

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
    let steps = Int((top / step - 1e-9).rounded(endsAtData ? .down : .up))
    let last = endsAtData && top - step * Double(steps + 1) > -1e-9 * top ? steps + 1 : steps
    ticks = (0...max(1, last)).map { Double($0) * step }.filter { !endsAtData || $0 <= top * (1 + 1e-9) }
    end = endsAtData ? top : ticks[ticks.count - 1]
  }
}
