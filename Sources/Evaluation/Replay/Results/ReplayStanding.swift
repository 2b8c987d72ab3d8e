// One strategy in one setting, over all seeds.

import Streams

/// Runs that belong side by side: one setting at one severity.
public struct ReplayGroup: Sendable {
  /// The setting, and the severity where it is the same for all domains.
  public let setting: String, severity: Double?
  /// The strategies in the order of the configuration.
  public let standings: [ReplayStanding]

  /// `continual, severity 5`.
  public var title: String {
    severity.map { "\(setting), severity \($0 == $0.rounded() ? "\(Int($0))" : "\($0)")" } ?? setting
  }
  /// Labels of the domains in the order of their first appearance; domains of one label are averaged.
  public var domains: [String] {
    var labels: [String] = []
    for part in standings.first?.results.first?.score.online.parts ?? [] where !labels.contains(part.domain.label) {
      labels.append(part.domain.label)
    }
    return labels
  }
  /// The standing of the frozen classifier.
  public var baseline: ReplayStanding? { standings.first { $0.strategy == Findings.baseline } }

  /// Groups results, in their order.
  public static func groups(of results: [CellResult]) -> [ReplayGroup] {
    var order: [String] = []
    var members: [String: [CellResult]] = [:]
    for result in results {
      let key = result.cell.setting.label + " " + (result.cell.severity.map { "\($0)" } ?? "")
      if members[key] == nil { order.append(key) }
      members[key, default: []].append(result)
    }
    return order.compactMap { key in
      guard let results = members[key], let first = results.first else { return nil }
      var labels: [String] = []
      for result in results where !labels.contains(result.cell.strategy.label) { labels.append(result.cell.strategy.label) }
      return ReplayGroup(
        setting: first.cell.setting.label, severity: first.cell.severity,
        standings: labels.map { label in ReplayStanding(strategy: label, results: results.filter { $0.cell.strategy.label == label }) })
    }
  }
}

/// One strategy in one setting at one severity, over all seeds.
public struct ReplayStanding: Sendable {
  /// What the strategy is called.
  public let strategy: String
  /// One result per seed.
  public let results: [CellResult]

  /// Mean error over domains and seeds in per cent, and its spread over seeds.
  public var error: Spread { Spread(results.map(\.score.online.meanErrorPercent)) }
  /// The same of the class-balanced error.
  public var classBalancedError: Spread { Spread(results.map(\.score.meanClassBalancedErrorPercent)) }
  /// Errors of each picture over all seeds.
  public var pictures: PictureErrors {
    var sum = PictureErrors()
    for result in results { sum.add(result.score.online.pictures) }
    return sum
  }
  /// Calibration over all seeds.
  public var calibration: Calibration {
    var sum = Calibration()
    for result in results { sum.add(result.score.overallCalibration) }
    return sum
  }
  /// Error in per cent of the domains of a label, mean over them and over seeds; nil where it did not occur.
  public func error(ofDomain label: String) -> Double? {
    let errors = results.flatMap { $0.score.online.parts.filter { $0.domain.label == label }.map(\.tally.errorPercent) }
    return errors.isEmpty ? nil : Spread(errors).mean
  }
  /// Standard error in percentage points over the images of the domains of a label.
  func standardError(ofDomain label: String) -> Double {
    let parts = results.flatMap { $0.score.online.parts.filter { $0.domain.label == label } }
    let squares = parts.reduce(0) { $0 + $1.tally.standardErrorPercent * $1.tally.standardErrorPercent }
    return parts.isEmpty ? 0 : squares.squareRoot() / Double(parts.count)
  }
  /// Means over domains and seeds of the scores on unknown pictures; nil where there are none.
  public var openSet: OpenSetScores? {
    let all = results.flatMap { $0.score.openSet.compactMap { $0 } }
    guard var mean = all.first else { return nil }
    mean.areaPercent = Spread(all.map(\.areaPercent)).mean
    mean.falsePositivePercent = Spread(all.map(\.falsePositivePercent)).mean
    mean.openSetClassificationPercent = Spread(all.map(\.openSetClassificationPercent)).mean
    mean.harmonicPercent = Spread(all.map(\.harmonicPercent)).mean
    return mean
  }
  /// Images per second of the strategy's own time, over all seeds.
  public var imagesPerSecond: Double {
    let seconds = results.reduce(0) { $0 + $1.score.online.overall.seconds }
    return seconds > 0 ? Double(results.reduce(0) { $0 + $1.score.online.overall.answered }) / seconds : 0
  }
  /// Largest resident size, in bytes.
  public var peakMemoryBytes: Int { results.flatMap(\.score.peakMemoryBytes).max() ?? 0 }
  /// Share of the time that went by waiting for pictures, in per cent.
  public var waitingPercent: Double {
    let seconds = results.reduce(0) { $0 + $1.timing.seconds }
    return seconds > 0 ? 100 * results.reduce(0) { $0 + $1.timing.waitingSeconds } / seconds : 0
  }
  /// What was answered in the domains of a label, over all seeds; nil where it did not occur.
  func answers(inDomain label: String) -> AnswerCounts? {
    var sum: AnswerCounts?
    for result in results {
      for (part, counts) in zip(result.score.online.parts, result.score.answers) where part.domain.label == label {
        if sum == nil { sum = counts } else { sum?.add(counts) }
      }
    }
    return sum
  }
  /// Whether labels chose among answers.
  public var usesLabels: Bool { results.contains { $0.usesLabels } }
}
