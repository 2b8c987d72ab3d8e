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
      plain("waited for pictures", standings.map { Numbers.decimals($0.waitingPercent, 1) + " %" }),
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
          Self.map(setting, "error in per cent", first.standings.map(\.strategy), first.domains) { row, column in
            first.standings[column].error(ofDomain: first.domains[row])
          })
      } else {
        for standing in first.standings {
          maps.append(
            Self.map(
              "\(setting), \(standing.strategy)", "error in per cent by severity",
              members.map { $0.severity.map(OptionNumber.text) ?? "–" },
              first.domains
            ) { row, column in
              members[column].standings.first { $0.strategy == standing.strategy }?.error(ofDomain: first.domains[row])
            })
        }
      }
    }
    return maps.isEmpty
      ? "" : "<h2>Where it is hard</h2>\n<p class=\"soft\">Error in per cent; darker is worse.</p>\n" + maps.joined(separator: "\n")
  }
  private static func map(
    _ title: String, _ unit: String, _ columns: [String], _ rows: [String], value: (_ row: Int, _ column: Int) -> Double?
  ) -> String {
    // Letters of 12 pixels are 7 wide; names of neighbours must not touch.
    let columnWidth = max(56, 12 + 7 * (columns.map(\.count).max() ?? 0))
    let map = HeatMap(
      title: "\(title): \(unit)", columns: columns, rows: rows,
      values: rows.indices.map { row in columns.indices.map { value(row, $0) } })
    return """
      <figure class="map"><figcaption>\(HTMLText.escaped(title))</figcaption>
      <div class="scroll" tabindex="0" role="region" aria-label="\(HTMLText.escaped(title))">
      <div class="fields" style="min-width: \(132 + columnWidth * columns.count)px">
      \(map.svg)
      </div></div></figure>
      """
  }

  /// Classes that a map shows; where a model has more, those that were answered most.
  private static let mostClasses = 20

  /// Which classes were answered over time, and which were taken for which: how a strategy's view of the world shifts, or collapses.
  func answerMaps(_ group: ReplayGroup) -> String {
    let counts = group.standings.map { standing in group.domains.map { standing.answers(inDomain: $0) } }
    guard let first = counts.first?.first ?? nil, first.answers.count > 1 else { return "" }
    var totals = first.answers.map { _ in 0 }
    for count in counts.flatMap({ $0 }).compactMap({ $0 }) { for i in totals.indices { totals[i] += count.answers[i] } }
    let shown = totals.indices.sorted { (totals[$0], $1) > (totals[$1], $0) }.prefix(Self.mostClasses).sorted()
    let maps = group.standings.indices.map { number in
      Self.map(
        group.standings[number].strategy, "share of each class in the answers in per cent, by domain",
        group.domains.map { PrintedTables.short($0) }, shown.map(className)
      ) { row, column in counts[number][column]?.sharePercent(of: shown[row]) }
    }
    let few = shown.count < totals.count ? " The \(shown.count) classes that were answered most." : ""
    return """
      <details><summary>Answers over time: \(HTMLText.escaped(group.title))</summary>
      <p class="soft">Share of each class in the answers, in per cent, domain by domain. Columns of one dark field are a collapse.\(few)</p>
      \(maps.joined(separator: "\n"))
      \(mistakes(group, counts))
      </details>
      """
  }
  private func mistakes(_ group: ReplayGroup, _ counts: [[AnswerCounts?]]) -> String {
    let rows = group.domains.indices.map { domain in
      let cells = counts.map { strategy -> String in
        guard let mistake = strategy[domain]?.commonestMistake else { return "<td>–</td>" }
        let names = HTMLText.escaped("\(className(mistake.label)) → \(className(mistake.answer))")
        return "<td>\(names) <span class=\"error\">\(Numbers.decimals(mistake.percent, 0)) %</span></td>"
      }
      return "<tr><th scope=\"row\">\(HTMLText.escaped(group.domains[domain]))</th>\(cells.joined())</tr>"
    }
    guard rows.contains(where: { $0.contains("→") }) else { return "" }
    return HTMLTable.text(
      caption: "The most frequent mistake of each domain, in per cent of the pictures of the true class", corner: "domain",
      columns: group.standings.map(\.strategy), rows: rows, foot: [])
  }
  private func className(_ label: Int) -> String {
    let all = Set(runs.map(\.manifest.classNames))
    let names = all.count == 1 ? all.first ?? [] : []
    return names.indices.contains(label) ? names[label] : "class \(label)"
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

  /// Error per class: a map of few classes, and a table of all, folded away.
  func classErrors(_ group: ReplayGroup) -> String {
    guard let tally = group.standings.first?.results.first?.score.online.overall, tally.images > 0 else { return "" }
    let labels = tally.classImages.indices.filter { tally.classImages[$0] > 0 }
    let errors = group.standings.map { standing -> [Double?] in
      labels.map { label in
        let errors = standing.results.reduce(0) { $0 + $1.score.online.overall.classErrors[label] }
        let images = standing.results.reduce(0) { $0 + $1.score.online.overall.classImages[label] }
        return images > 0 ? 100 * Double(errors) / Double(images) : nil
      }
    }
    let names = group.standings.map(\.strategy)
    let map = Self.map("\(group.title), by class", "error in per cent", names, labels.map(className)) { errors[$1][$0] }
    let rows = labels.indices.map { row in HTMLTable.row(className(labels[row]), errors.map { $0[row].map { ($0, nil) } }) }
    return """
      \(labels.count > Self.mostClasses ? "" : "<h2>Error per class: \(HTMLText.escaped(group.title))</h2>\n" + map)
      <details><summary>Error per class as a table: \(HTMLText.escaped(group.title))</summary>
      \(HTMLTable.text(
        caption: "Error in per cent of the pictures of each class, over the whole stream", corner: "class", columns: names, rows: rows,
        foot: []))
      </details>
      """
  }
}
