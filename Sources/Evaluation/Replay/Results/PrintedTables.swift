// table.md and table.tex.

import Engine
import Foundation

/// The tables of a replay for papers and pages: errors in per cent, strategies in rows, corruptions in columns. No times: two runs give the same.
enum PrintedTables {
  private static let shortNames = [
    "gaussian-noise": "gauss", "shot-noise": "shot", "impulse-noise": "impul", "defocus-blur": "defoc", "glass-blur": "glass",
    "motion-blur": "motn", "zoom-blur": "zoom", "frost (procedural)": "frost*", "brightness": "brit", "contrast": "contr",
    "elastic-transform": "elast", "pixelate": "pixel", "jpeg-compression": "jpeg", "speckle-noise": "speck", "gaussian-blur": "gblur",
    "saturate": "satur",
  ]
  /// A domain's name where there is little room.
  static func short(_ domain: String) -> String { shortNames[domain] ?? domain }
  private static func columns(_ group: ReplayGroup) -> [String] { group.domains.map(short) }
  private static func cells(_ standing: ReplayStanding, _ group: ReplayGroup) -> [String] {
    group.domains.map { standing.error(ofDomain: $0).map { Numbers.decimals($0, 1) } ?? "–" }
  }
  private static func name(_ standing: ReplayStanding) -> String { standing.strategy + (standing.usesLabels ? " (uses labels)" : "") }
  private static func mean(_ standing: ReplayStanding) -> String {
    let spread = standing.error.standardError ?? standing.pictures.standardErrorPercent
    return "\(Numbers.decimals(standing.error.mean, 1)) ± \(Numbers.decimals(spread, 1))"
  }
  private static func versus(_ standing: ReplayStanding, _ group: ReplayGroup) -> String {
    guard let source = group.baseline, source.strategy != standing.strategy,
      let test = PairedBootstrap(baseline: source.pictures, strategy: standing.pictures)
    else { return "–" }
    return (test.gainPercent >= 0 ? "better" : "worse") + ", " + test.text
  }

  /// Markdown.
  static func markdown(_ manifest: ReplayManifest, _ groups: [ReplayGroup]) -> String {
    var lines = ["# Replay of \(manifest.configuration.dataset)", ""]
    lines += manifest.notes.map { "* \($0)" } + [""]
    for group in groups {
      let header = ["strategy"] + columns(group) + ["mean", "class-balanced", "ECE", "NLL", "Brier", "than source"]
      lines += ["## \(group.title)", "", "Error in per cent; mean ± \(spreadName(group)).", ""]
      lines.append("| " + header.joined(separator: " | ") + " |")
      lines.append("|---|" + String(repeating: "--:|", count: header.count - 1))
      for standing in group.standings {
        let calibration = standing.calibration
        let row =
          [name(standing)] + cells(standing, group) + [
            mean(standing), Numbers.decimals(standing.classBalancedError.mean, 1), Numbers.decimals(calibration.expectedErrorPercent, 1),
            Numbers.decimals(calibration.negativeLogLikelihood, 3), Numbers.decimals(calibration.brierScore, 3), versus(standing, group),
          ]
        lines.append("| " + row.joined(separator: " | ") + " |")
      }
      lines.append("")
      lines += openSet(group)
    }
    return lines.joined(separator: "\n")
  }
  private static func openSet(_ group: ReplayGroup) -> [String] {
    guard group.standings.contains(where: { $0.openSet != nil }) else { return [] }
    let rows = group.standings.compactMap { standing in
      standing.openSet.map { scores in
        let values = [scores.areaPercent, scores.falsePositivePercent, scores.openSetClassificationPercent, scores.harmonicPercent]
        return "| \(name(standing)) | " + values.map { Numbers.decimals($0, 1) }.joined(separator: " | ") + " |"
      }
    }
    return ["| strategy | AUROC | FPR at 95 % TPR | OSCR | H-score |", "|---|--:|--:|--:|--:|"] + rows + [""]
  }
  private static func spreadName(_ group: ReplayGroup) -> String {
    group.standings.contains { $0.results.count > 1 } ? "standard error over seeds" : "standard error over pictures"
  }

  /// LaTeX, for the booktabs package; the lowest error of each column is bold.
  static func latex(_ manifest: ReplayManifest, _ groups: [ReplayGroup]) -> String {
    var lines = ["% Replay \(manifest.run) of \(escaped(manifest.configuration.dataset))"]
    lines += manifest.notes.map { "% \($0)" }
    for group in groups {
      let columns = columns(group)
      let values = group.standings.map { cells($0, group) }
      let best = columns.indices.map { column in values.compactMap { Double($0[column]) }.min() }
      lines += ["", "% \(group.title)", "\\begin{tabular}{l\(String(repeating: "r", count: columns.count + 1))}", "\\toprule"]
      lines.append((["strategy"] + columns + ["mean"]).map(escaped).joined(separator: " & ") + " \\\\")
      lines.append("\\midrule")
      for (standing, row) in zip(group.standings, values) {
        let cells = row.enumerated().map { column, text in
          text == "–" ? "--" : Double(text) == best[column] ? "\\textbf{\(text)}" : text
        }
        let mean = mean(standing).replacing("±", with: "$\\pm$")
        lines.append(([escaped(name(standing))] + cells + [mean]).joined(separator: " & ") + " \\\\")
      }
      lines += ["\\bottomrule", "\\end{tabular}"]
    }
    return lines.joined(separator: "\n") + "\n"
  }
  private static func escaped(_ text: String) -> String {
    var result = ""
    for character in text { result += "&%$#_{}".contains(character) ? "\\\(character)" : String(character) }
    return result
  }
}
