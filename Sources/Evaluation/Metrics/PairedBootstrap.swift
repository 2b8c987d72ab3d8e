// Whether two strategies differ on the same pictures.

import CEvaluation

/// Whether two strategies differ on the same pictures: a two-sided paired bootstrap over pictures (Efron and Tibshirani, 1993).
public struct PairedBootstrap: Codable, Hashable, Sendable {
  /// Draws of all pictures with replacement.
  public static let resamples = 10_000
  /// Error of the baseline minus error of the strategy, in percentage points: positive where the strategy is better.
  public var gainPercent: Double
  /// Twice the share of draws in which the difference has the other sign or none; at least 2 / (draws + 1), at most 1.
  public var pValue: Double

  /// Compares two scores over the same pictures; a picture seen under several domains is one draw. Nil where the pictures differ.
  public init?(baseline: PictureErrors, strategy: PictureErrors, resamples: Int = Self.resamples, seed: UInt64 = 1) {
    guard baseline.seen == strategy.seen, !baseline.seen.isEmpty else { return nil }
    let places = baseline.seen.indices.filter { baseline.seen[$0] > 0 }
    guard !places.isEmpty else { return nil }
    let differences = places.map { Int32(baseline.wrong[$0] - strategy.wrong[$0]) }
    gainPercent = baseline.comparison(with: strategy).gainPercent
    var (low, high) = (0, 0)
    ce_bootstrap(differences, differences.count, resamples, seed, &low, &high)
    pValue = min(1, 2 * Double(min(low, high) + 1) / Double(resamples + 1))
  }

  /// `p < 0.001`, `p = 0.042`.
  public var text: String { pValue < 0.001 ? "p < 0.001" : "p = " + Self.rounded(pValue) }
  private static func rounded(_ value: Double) -> String {
    let thousandths = Int((value * 1000).rounded())
    let digits = String(thousandths % 1000)
    return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - digits.count) + digits
  }
}
