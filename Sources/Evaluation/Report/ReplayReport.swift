// report.html: one or several replays as one page.

import Engine
import Foundation
import Streams
import TTA

/// One or several replays as one page that loads nothing.
public struct ReplayReport: Sendable {
  /// A replay.
  public struct Run: Sendable {
    /// What it is called; matters where there are several.
    public var name: String
    /// What ran, under which rules.
    public var manifest: ReplayManifest
    /// Its finished cells.
    public var results: [CellResult]
    /// A replay.
    public init(name: String, manifest: ReplayManifest, results: [CellResult]) {
      (self.name, self.manifest, self.results) = (name, manifest, results)
    }
  }
  /// The replays.
  public let runs: [Run]
  /// The pictures as they look under each corruption.
  public var pictures: ContactSheet?

  /// A page about some replays.
  public init(_ runs: [Run]) { self.runs = runs }

  /// Results side by side, as far as they are of the same pictures and classes; strategies of one name get the names of their replays before it.
  var groups: [ReplayGroup] {
    var order: [String] = []
    var members: [String: [Run]] = [:]
    for run in runs {
      let key = "\(run.manifest.configuration.dataDigest) \(run.results.first?.score.answers.first?.answers.count ?? 0)"
      if members[key] == nil { order.append(key) }
      members[key, default: []].append(run)
    }
    return order.flatMap { key in
      let runs = members[key, default: []]
      let groups = ReplayGroup.groups(of: Self.told(apart: runs))
      guard order.count > 1 else { return groups }
      let names = runs.map(\.name).joined(separator: ", ")
      return groups.map { ReplayGroup(setting: "\(names): \($0.setting)", severity: $0.severity, standings: $0.standings) }
    }
  }
  private static func told(apart runs: [Run]) -> [CellResult] {
    var holders: [String: Set<Int>] = [:]
    for (number, run) in runs.enumerated() {
      for result in run.results { holders[result.cell.strategy.label, default: []].insert(number) }
    }
    return runs.flatMap { run in
      run.results.map { result in
        var result = result
        let label = result.cell.strategy.label
        if holders[label, default: []].count > 1 { result.cell.strategy.label = "\(run.name): \(label)" }
        return result
      }
    }
  }
  /// What must be known before numbers are compared; what holds for all replays is there once.
  private var notes: [String] {
    var notes: [String] = []
    for run in runs {
      for note in run.manifest.notes {
        let isShared = runs.allSatisfy { $0.manifest.notes.contains(note) }
        let text = isShared || runs.count == 1 ? note : "\(run.name): \(note)"
        if !notes.contains(text) { notes.append(text) }
      }
    }
    return notes
  }
  private var title: String { runs.count == 1 ? "Replay of \(runs[0].manifest.configuration.dataset)" : "\(runs.count) replays" }

  /// The document.
  public var html: String {
    let groups = groups
    var sections: [String] = []
    if let first = groups.first { sections.append(cards(first)) }
    for group in groups { sections += [ReplayCharts.curves(group), domainTable(group), comparisons(group), openSetTable(group)] }
    sections += [heatMaps(groups)]
    for group in groups { sections += [ReplayCharts.costs(group), ReplayCharts.inside(group), classErrors(group), answerMaps(group)] }
    sections += [pictures?.section ?? "", configuration]
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(HTMLText.escaped(title))</title>
      <link rel="icon" href="data:,">
      <style>
      \(ReportStyle.css)
      \(ReportStyle.replayCSS)
      </style>
      </head>
      <body>
      <main>
      <h1>\(HTMLText.escaped(title))</h1>
      <p class="finding">\(HTMLText.escaped(ReplaySummary.finding(groups)))</p>
      <ul class="soft notes">\(notes.map { "<li>\(HTMLText.escaped($0))</li>" }.joined())</ul>
      \(sections.filter { !$0.isEmpty }.joined(separator: "\n"))
      </main>
      </body>
      </html>

      """
  }

  private func cards(_ group: ReplayGroup) -> String {
    let items = group.standings.enumerated().map { number, standing in
      """
      <li><div class="name">\(LineChart.sample(number)) \(HTMLText.escaped(standing.strategy))</div>
      <div class="value">\(Numbers.decimals(standing.error.mean, 1)) %</div>
      <div class="soft">mean error\(standing.usesLabels ? ", uses labels" : "")<br>\(Numbers.grouped(standing.imagesPerSecond)) images/s</div></li>
      """
    }
    return "<p class=\"soft\">\(HTMLText.escaped(group.title))</p>\n<ul class=\"cards\">\n\(items.joined(separator: "\n"))\n</ul>"
  }

  /// A row per fact; a value that all replays share stands over all columns.
  private var configuration: String {
    let facts = runs.map { Self.facts($0.manifest) }
    var names: [String] = []
    for (name, _) in facts.flatMap({ $0 }) where !names.contains(name) { names.append(name) }
    let rows = names.map { name in
      let values = facts.map { facts in facts.first { $0.0 == name }?.1 ?? "–" }
      let cells =
        Set(values).count == 1
        ? "<td colspan=\"\(values.count)\">\(HTMLText.escaped(values[0]))</td>"
        : values.map { "<td>\(HTMLText.escaped($0))</td>" }.joined()
      return "<tr><th scope=\"row\">\(HTMLText.escaped(name))</th>\(cells)</tr>"
    }
    let heads = runs.map { "<th scope=\"col\">\(HTMLText.escaped($0.name))</th>" }.joined()
    let commands = runs.map { run in
      """
      <p class="soft command">The command that repeats \(runs.count > 1 ? HTMLText.escaped(run.name) : "the run"), with the file in its folder:</p>
      <pre tabindex="0"><code>\(HTMLText.escaped(run.manifest.command))</code></pre>
      """
    }
    return """
      <h2>Configuration</h2>
      <div class="scroll" tabindex="0" role="region" aria-label="Configuration">
      <table class="facts">
      <caption>What ran, and on what</caption>
      \(runs.count > 1 ? "<thead><tr><th scope=\"col\">run</th>\(heads)</tr></thead>" : "")
      <tbody>
      \(rows.joined(separator: "\n"))
      </tbody>
      </table>
      </div>
      \(commands.joined(separator: "\n"))
      """
  }
  private static func facts(_ manifest: ReplayManifest) -> [(String, String)] {
    let configuration = manifest.configuration, machine = manifest.machine
    let resets = Set(manifest.rules.map(\.resets)).sorted().joined(separator: "; ")
    let answers = Set(manifest.rules.map(\.answers)).sorted().joined(separator: "; ")
    var facts: [(String, String)] = [
      ("model", "\(configuration.model["path"]?.text ?? "") (weights \(configuration.modelDigest))"),
      ("pictures", "\(configuration.dataset) (\(configuration.dataDigest))"), ("preprocessing", configuration.preprocessing),
      ("strategies", configuration.strategies.map(\.label).joined(separator: ", ")),
      ("settings", configuration.settings.map(\.label).joined(separator: ", ")),
      ("corruptions", configuration.corruptions.isEmpty ? "none" : configuration.corruptions.joined(separator: ", ")),
      ("severities", configuration.severities.map { OptionNumber.text($0) }.joined(separator: ", ")),
      ("seeds", configuration.seeds.map { "\($0)" }.joined(separator: ", ")), ("batch", "\(configuration.batch)"),
      ("resets", resets), ("answers", answers), ("convolutions", configuration.lowering),
      (
        "time",
        "\(Numbers.time(seconds: manifest.time.seconds)), \(Numbers.decimals(manifest.time.waitingPercent, 1)) % of it waiting for pictures"
      ),
      (
        "machine",
        "tta \(manifest.version) (\(manifest.revision)), \(machine.instructionSet), BLAS core \(machine.blas), \(machine.threads) threads, "
          + "\(machine.workers) at a time"
      ), ("digest of all that", manifest.run),
    ]
    for rules in manifest.rules {
      guard let period = rules.period, let cost = rules.declaredCost else { continue }
      let measured = manifest.time.measuredCosts[rules.key].map { ", measured \(Numbers.decimals($0, 1))" } ?? ""
      facts.append((rules.key, "costs \(Numbers.decimals(cost, 1)) forwards\(measured): learns from every batch \(period)"))
    }
    return facts
  }
}

/// Numbers of options as people write them.
enum OptionNumber {
  static func text(_ value: Double) -> String { value == value.rounded() ? "\(Int(value))" : "\(value)" }
}
