// The result of a side by side run as one document.

import Foundation
public import Streams

/// The result of a side by side run: what `--json` prints.
public struct EvaluationSummary: Codable, Hashable, Sendable {
  /// The result of one strategy.
  public struct Strategy: Codable, Hashable, Sendable {
    /// Its name.
    public var name: String
    /// Mean error over the domains, in per cent.
    public var errorPercent: Double
    /// Standard error of the error over all pictures, in percentage points.
    public var standardErrorPercent: Double
    /// Mean of the classes' errors, in per cent.
    public var classBalancedErrorPercent: Double
    /// Error of each domain in per cent, by its name.
    public var perDomain: [String: Double]
    /// Images per second of the strategy's own time.
    public var imagesPerSecond: Double
    /// The strategy's own time, in seconds.
    public var seconds: Double

    private enum CodingKeys: String, CodingKey {
      case name, seconds
      case errorPercent = "error_percent", standardErrorPercent = "standard_error_percent"
      case classBalancedErrorPercent = "class_balanced_error_percent", perDomain = "per_domain", imagesPerSecond = "images_per_second"
    }
  }
  /// What the model is called.
  public var model: String
  /// Images that each strategy answered.
  public var images: Int
  /// Names of the domains in the order of the stream.
  public var domains: [String]
  /// The strategies in the order given.
  public var strategies: [Strategy]

  /// Summarises a run; `domainName` says what a domain is called.
  public init(model: String, _ evaluation: SideBySideEvaluation, domainName: (Domain) -> String) {
    self.model = model
    let standings = evaluation.standings
    images = standings.first?.score.overall.answered ?? 0
    domains = (standings.first?.score.parts ?? []).map { domainName($0.domain) }
    strategies = standings.map { standing in
      let score = standing.score
      return Strategy(
        name: standing.name, errorPercent: score.meanErrorPercent, standardErrorPercent: score.standardErrorPercent,
        classBalancedErrorPercent: score.overall.classBalancedErrorPercent,
        perDomain: Dictionary(score.parts.map { (domainName($0.domain), $0.tally.errorPercent) }) { _, last in last },
        imagesPerSecond: score.overall.imagesPerSecond, seconds: score.overall.seconds)
    }
  }
}
