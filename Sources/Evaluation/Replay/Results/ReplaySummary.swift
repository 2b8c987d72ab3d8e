// summary.json: the numbers of the tables.

import Engine
import Foundation

/// The numbers of a replay's tables: `summary.json`. `cost` holds the only ones that differ between two runs.
public struct ReplaySummary: Codable, Hashable, Sendable {
  /// One domain.
  public struct DomainError: Codable, Hashable, Sendable {
    /// Its label, and its error in per cent, mean over seeds.
    public var domain: String, error_percent: Double
  }
  /// Time and memory.
  public struct Cost: Codable, Hashable, Sendable {
    /// Of the strategy's own time, the largest resident size, and the share of all time that went by waiting for pictures.
    public var images_per_second: Double, peak_memory_bytes: Int, waiting_percent: Double
  }
  /// One strategy.
  public struct Strategy: Codable, Hashable, Sendable {
    /// Its label.
    public var name: String
    /// Seeds that are finished.
    public var seeds: Int
    /// Mean over domains and seeds, and its standard errors over pictures and over seeds.
    public var error_percent: Double, standard_error_percent: Double, standard_error_over_seeds_percent: Double?
    /// Classes with the same weight.
    public var class_balanced_error_percent: Double
    /// Calibration and likelihood.
    public var ece_percent: Double, nll: Double, brier: Double
    /// Known against unknown pictures.
    public var open_set: OpenSetScores?
    /// By domain.
    public var domains: [DomainError]
    /// Beside the frozen classifier on the same pictures.
    public var versus_source: PairedBootstrap?
    /// Whether labels chose among answers.
    public var uses_labels: Bool
    /// Time and memory.
    public var cost: Cost
  }
  /// One setting at one severity.
  public struct Group: Codable, Hashable, Sendable {
    /// Setting and severity.
    public var setting: String, severity: Double?
    /// The strategies.
    public var strategies: [Strategy]
  }
  /// Mean corruption errors of a strategy in a setting, over all severities.
  public struct CorruptionErrors: Codable, Hashable, Sendable {
    /// Which.
    public var setting: String, strategy: String
    /// The plain mean, and that over AlexNet's errors where all fifteen corruptions have all five severities.
    public var mean_corruption_error_percent: Double?, alexnet_normalized_mce_percent: Double?
  }
  /// Names the configuration.
  public var run: String
  /// The best strategy in a sentence.
  public var finding: String
  /// Settings and severities.
  public var groups: [Group]
  /// Over severities.
  public var corruption_errors: [CorruptionErrors]

  /// The numbers of finished cells.
  public init(run: String, _ results: [CellResult]) {
    self.run = run
    let all = ReplayGroup.groups(of: results)
    finding = Self.finding(all)
    groups = all.map { group in
      Group(
        setting: group.setting, severity: group.severity,
        strategies: group.standings.map { Self.strategy($0, group) })
    }
    corruption_errors = Self.corruptionErrors(all)
  }

  private static func strategy(_ standing: ReplayStanding, _ group: ReplayGroup) -> Strategy {
    let (calibration, pictures) = (standing.calibration, standing.pictures)
    var versus: PairedBootstrap?
    if let baseline = group.baseline, baseline.strategy != standing.strategy {
      versus = PairedBootstrap(baseline: baseline.pictures, strategy: pictures)
    }
    return Strategy(
      name: standing.strategy, seeds: standing.results.count, error_percent: standing.error.mean,
      standard_error_percent: pictures.standardErrorPercent, standard_error_over_seeds_percent: standing.error.standardError,
      class_balanced_error_percent: standing.classBalancedError.mean, ece_percent: calibration.expectedErrorPercent,
      nll: calibration.negativeLogLikelihood, brier: calibration.brierScore, open_set: standing.openSet,
      domains: group.domains.compactMap { label in
        standing.error(ofDomain: label).map { DomainError(domain: label, error_percent: $0) }
      }, versus_source: versus, uses_labels: standing.usesLabels,
      cost: Cost(
        images_per_second: standing.imagesPerSecond, peak_memory_bytes: standing.peakMemoryBytes, waiting_percent: standing.waitingPercent))
  }

  private static func corruptionErrors(_ groups: [ReplayGroup]) -> [CorruptionErrors] {
    var order: [String] = [], errors: [String: (setting: String, strategy: String, table: [String: [Double]])] = [:]
    for group in groups where group.severity != nil {
      for standing in group.standings {
        let key = group.setting + "\n" + standing.strategy
        if errors[key] == nil { order.append(key) }
        for domain in group.domains where domain != "clean" {
          guard let error = standing.error(ofDomain: domain) else { continue }
          let name = domain.replacing(" (procedural)", with: "")
          errors[key, default: (group.setting, standing.strategy, [:])].table[name, default: []].append(error)
        }
      }
    }
    return order.compactMap { key in
      errors[key].map {
        CorruptionErrors(
          setting: $0.setting, strategy: $0.strategy, mean_corruption_error_percent: MeanCorruptionError.unnormalizedPercent($0.table),
          alexnet_normalized_mce_percent: MeanCorruptionError.alexNetNormalizedPercent($0.table))
      }
    }
  }

  /// The best strategy of the first setting beside the frozen classifier.
  static func finding(_ groups: [ReplayGroup]) -> String {
    guard let group = groups.first, let best = group.standings.filter({ !$0.usesLabels }).min(by: { $0.error.mean < $1.error.mean }) else {
      return "No cell is finished."
    }
    let rate = Numbers.decimals(best.error.mean, 1) + " %"
    guard let source = group.baseline else { return "\(best.strategy) has the lowest mean error in \(group.title): \(rate)." }
    if best.strategy == source.strategy {
      return "No strategy has a lower mean error than the frozen classifier in \(group.title): \(rate)."
    }
    let instead = "\(rate) instead of \(Numbers.decimals(source.error.mean, 1)) %"
    guard let test = PairedBootstrap(baseline: source.pictures, strategy: best.pictures) else {
      return "\(best.strategy) has the lowest mean error in \(group.title): \(instead)."
    }
    return test.pValue < 0.05
      ? "\(best.strategy) has the lowest mean error in \(group.title): \(instead) of the frozen classifier (\(test.text))."
      : "\(best.strategy) and the frozen classifier do not clearly differ in \(group.title): \(instead) (\(test.text))."
  }
}
