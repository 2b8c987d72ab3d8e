// The tables and maps of a replay's page.

import Engine
import Streams

extension ReplayReport {
  /// Error per domain and strategy.
  func domainTable(_ group: ReplayGroup) -> String {
    let rows = group.domains.map { label in
      HTMLTable.row(
        label,
        group.standings.map { standing in
          standing.error(ofDomain: label).map { ($0, standing.standardError(ofDomain: label)) }
        })
    }
    let mean = HTMLTable.row("mean", group.standings.map { ($0.error.mean, $0.error.standardError ?? $0.pictures.standardErrorPercent) })
    func plain(_ name: String, _ values: [String]) -> String {
      "<tr><th scope=\"row\">\(name)</th>\(values.map { "<td>\($0)</td>" }.joined())</tr>"
    }
    let standings = group.standings
    let foot = [
      mean, plain("class-balanced", standings.map { Numbers.decimals($0.classBalancedError.mean, 1) }),
      plain("ECE", standings.map { Numbers.decimals($0.calibration.expectedErrorPercent, 1) }),
      plain("NLL", standings.map { Numbers.decimals($0.calibration.negativeLogLikelihood, 3) }),
      plain("Brier", standings.map { Numbers.decimals($0.calibration.brierScore, 3) }),
      plain("images/s", standings.map { Numbers.grouped($0.imagesPerSecond) }),
      plain("memory", standings.map { Numbers.bytes($0.peakMemoryBytes) }),
    ]
    return HTMLTable.text(
      caption: "Error in per cent ± standard error; the lowest of each row is bold. Images per second count a strategy’s own time.",
      corner: "domain", columns: standings.map(\.strategy), rows: rows, foot: foot)
  }

  /// Every strategy beside the first one, paired over pictures.
  func comparisons(_ group: ReplayGroup) -> String {
    guard let baseline = group.baseline ?? group.standings.first, group.standings.count > 1 else { return "" }
    let rows = group.standings.compactMap { standing -> String? in
      guard standing.strategy != baseline.strategy else { return nil }
      guard let test = PairedBootstrap(baseline: baseline.pictures, strategy: standing.pictures) else {
        return "<tr><th scope=\"row\">\(HTMLText.escaped(standing.strategy))</th><td>–</td><td>other pictures</td><td>–</td></tr>"
      }
      let verdict = test.pValue >= 0.05 ? "no clear difference" : test.gainPercent > 0 ? "yes" : "no, worse"
      return "<tr><th scope=\"row\">\(HTMLText.escaped(standing.strategy))</th><td>\(Numbers.decimals(test.gainPercent, 1))</td>"
        + "<td>\(verdict)</td><td>\(HTMLText.escaped(test.text))</td></tr>"
    }
    return HTMLTable.text(
      caption:
        "Beside \(baseline.strategy) on the same pictures: paired bootstrap, \(Numbers.grouped(Double(PairedBootstrap.resamples))) draws.",
      corner: "strategy", columns: ["points gained", "better?", "p"], rows: rows, foot: [])
  }

  /// Corruption × severity for each strategy, or corruption × strategy where there is one severity.
  func heatMaps(_ groups: [ReplayGroup]) -> String {
    var settings: [String] = []
    for group in groups where !settings.contains(group.setting) { settings.append(group.setting) }
    var maps: [String] = []
    for setting in settings {
      let members = groups.filter { $0.setting == setting }
      guard let first = members.first, first.domains.count > 1 else { continue }
      if members.count == 1 {
        maps.append(
          Self.map(setting, first.standings.map(\.strategy), first) { label, column in first.standings[column].error(ofDomain: label) })
      } else {
        for (number, standing) in first.standings.enumerated() {
          maps.append(
            Self.map("\(setting), \(standing.strategy)", members.map { $0.severity.map(OptionNumber.text) ?? "–" }, first) {
              label, column in
              members[column].standings.indices.contains(number) ? members[column].standings[number].error(ofDomain: label) : nil
            })
        }
      }
    }
    return maps.isEmpty
      ? "" : "<h2>Where it is hard</h2>\n<p class=\"soft\">Error in per cent; darker is worse.</p>\n" + maps.joined(separator: "\n")
  }
  private static func map(
    _ title: String, _ columns: [String], _ group: ReplayGroup, value: (_ label: String, _ column: Int) -> Double?
  ) -> String {
    let map = HeatMap(
      title: "\(title): error in per cent", columns: columns, rows: group.domains,
      values: group.domains.map { label in columns.indices.map { value(label, $0) } })
    return """
      <figure class="map"><figcaption>\(HTMLText.escaped(title))</figcaption>
      <div class="scroll" tabindex="0" role="region" aria-label="\(HTMLText.escaped(title))">
      <div class="fields" style="min-width: \(132 + 56 * columns.count)px">
      \(map.svg)
      </div></div></figure>
      """
  }

  /// Known against unknown pictures.
  func openSetTable(_ group: ReplayGroup) -> String {
    let rows = group.standings.compactMap { standing -> String? in
      guard let scores = standing.openSet else { return nil }
      let values = [scores.areaPercent, scores.falsePositivePercent, scores.openSetClassificationPercent, scores.harmonicPercent]
      let cells = values.map { "<td>\(Numbers.decimals($0, 1))</td>" }.joined()
      return "<tr><th scope=\"row\">\(HTMLText.escaped(standing.strategy))</th>\(cells)</tr>"
    }
    guard !rows.isEmpty else { return "" }
    return "<h2>Unknown classes</h2>\n"
      + HTMLTable.text(
        caption: "Known against unknown pictures by energy (the highest probability where a strategy emits probabilities), in per cent.",
        corner: "strategy", columns: ["AUROC", "FPR at 95 % TPR", "OSCR", "H-score"], rows: rows, foot: [])
  }

  /// Error per class, folded away.
  func classTable(_ group: ReplayGroup) -> String {
    guard let tally = group.standings.first?.results.first?.score.online.overall, tally.images > 0 else { return "" }
    let rows = tally.classImages.indices.filter { tally.classImages[$0] > 0 }.map { label in
      HTMLTable.row(
        classNames.indices.contains(label) ? classNames[label] : "class \(label)",
        group.standings.map { standing in
          let errors = standing.results.reduce(0) { $0 + $1.score.online.overall.classErrors[label] }
          let images = standing.results.reduce(0) { $0 + $1.score.online.overall.classImages[label] }
          return images > 0 ? (100 * Double(errors) / Double(images), nil) : nil
        })
    }
    return """
      <details><summary>Error per class: \(HTMLText.escaped(group.title))</summary>
      \(HTMLTable.text(
        caption: "Error in per cent of the pictures of each class, over the whole stream.", corner: "class",
        columns: group.standings.map(\.strategy), rows: rows, foot: []))
      </details>
      """
  }
}
