// results.csv and curves.csv.

import Engine
import Streams

/// The rows of `results.csv`: one per domain of a cell.
public enum ResultTable {
  /// Columns; `images_per_second`, `seconds`, `peak_memory_bytes` and `waiting_percent` are the only ones that differ between two runs of
  /// one configuration.
  public static let columns = [
    "run", "dataset", "setting", "position", "corruption", "severity", "strategy", "seed", "images", "errors", "error_percent",
    "class_balanced_error_percent", "ece_percent", "nll", "images_per_second", "seconds", "peak_memory_bytes", "brier", "auroc_percent",
    "fpr95_percent", "oscr_percent", "h_score_percent", "uses_labels", "waiting_percent",
  ]
  static let header = columns.joined(separator: ",") + "\n"

  /// The rows of the first finished domains of a cell, from a domain's number on.
  static func rows(_ result: CellResult, domains first: Int = 0, _ run: String, _ configuration: ReplayConfiguration) -> String {
    let score = result.score
    return (first..<max(first, score.peakMemoryBytes.count)).map { position -> String in
      let part = score.online.parts.first { $0.index == position }
      let tally = part?.tally ?? Tally(classes: 1)
      let number = score.online.parts.firstIndex { $0.index == position }
      let calibration = number.map { score.calibration[$0] } ?? Calibration()
      let open = score.openSet[position]
      let fields: [String] = [
        run, configuration.dataset, result.cell.setting.label, "\(position)", part?.domain.label ?? "", severity(of: part?.domain),
        result.cell.strategy.label, "\(result.cell.seed)", "\(tally.images)", "\(tally.errors)", decimals(tally.errorPercent, 4),
        decimals(tally.classBalancedErrorPercent, 4), decimals(calibration.expectedErrorPercent, 4),
        decimals(calibration.negativeLogLikelihood, 6), decimals(tally.imagesPerSecond, 1), decimals(tally.seconds, 4),
        "\(score.peakMemoryBytes[position])", decimals(calibration.brierScore, 6), optional(open?.areaPercent),
        optional(open?.falsePositivePercent), optional(open?.openSetClassificationPercent), optional(open?.harmonicPercent),
        result.usesLabels ? "1" : "0", decimals(result.timing.waitingPercents[position], 2),
      ]
      return fields.map(field).joined(separator: ",") + "\n"
    }.joined()
  }
  private static func severity(of domain: Domain?) -> String { domain?.steps.map(\.severityText).joined(separator: "+") ?? "" }
  private static func optional(_ value: Double?) -> String { value.map { decimals($0, 4) } ?? "" }
  static func decimals(_ value: Double, _ count: Int) -> String { Numbers.decimals(value, count) }
  static func field(_ text: String) -> String {
    guard text.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return text }
    return "\"" + text.replacing("\"", with: "\"\"") + "\""
  }
}

/// The rows of `curves.csv`: one per batch of a cell.
enum CurveTable {
  static let header =
    [
      "run", "setting", "severity", "strategy", "seed", "images", "position", "batch_error_percent", "domain_error_percent",
      "overall_error_percent", "entropy", "adapted", "drift_percent",
    ].joined(separator: ",") + "\n"

  static func rows(_ result: CellResult, _ run: String) -> String {
    let cell = result.cell
    let start = [
      run, ResultTable.field(cell.setting.label), cell.severity.map { Numbers.decimals($0, 2) } ?? "",
      ResultTable.field(cell.strategy.label), "\(cell.seed)",
    ].joined(separator: ",")
    return result.score.online.curve.enumerated().map { number, point in
      start + ",\(point.images),\(point.domainIndex),\(Numbers.decimals(point.batchErrorPercent, 4)),"
        + "\(Numbers.decimals(point.domainErrorPercent, 4)),\(Numbers.decimals(point.overallErrorPercent, 4)),"
        + "\(Numbers.decimals(result.score.entropies[number], 6)),\(result.score.adapted[number] ? 1 : 0),"
        + "\(Numbers.decimals(result.score.driftPercents[number], 4))\n"
    }.joined()
  }
}
