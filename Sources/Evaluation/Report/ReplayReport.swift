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

  /// Results side by side; where there are several replays their names stand before the strategies'.
  var groups: [ReplayGroup] {
    if runs.count == 1 { return ReplayGroup.groups(of: runs[0].results) }
    return ReplayGroup.groups(
      of: runs.flatMap { run in
        run.results.map { result in
          var result = result
          result.cell.strategy.label = run.name + ": " + result.cell.strategy.label
          return result
        }
      })
  }
  private var title: String { runs.count == 1 ? "Replay of \(runs[0].manifest.configuration.dataset)" : "\(runs.count) replays" }

  /// The document.
  public var html: String {
    let groups = groups
    let notes = runs.flatMap { run in run.manifest.notes.map { runs.count > 1 ? "\(run.name): \($0)" : $0 } }
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

  private var configuration: String {
    runs.map { run in
      let manifest = run.manifest, configuration = manifest.configuration
      let machine = manifest.machine
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
        ), ("run", manifest.run),
      ]
      for rules in manifest.rules {
        guard let period = rules.period, let cost = rules.declaredCost else { continue }
        let measured = manifest.time.measuredCosts[rules.key].map { ", measured \(Numbers.decimals($0, 1))" } ?? ""
        facts.append((rules.key, "costs \(Numbers.decimals(cost, 1)) forwards\(measured): learns from every batch \(period)"))
      }
      let rows = facts.map { "<tr><th scope=\"row\">\(HTMLText.escaped($0.0))</th><td>\(HTMLText.escaped($0.1))</td></tr>" }
      return """
        <h2>Configuration\(runs.count > 1 ? " of " + HTMLText.escaped(run.name) : "")</h2>
        <table class="facts">
        <caption>What ran, and on what</caption>
        <tbody>
        \(rows.joined(separator: "\n"))
        </tbody>
        </table>
        <p class="soft command">The command that repeats the run, with the file beside this page:</p>
        <pre tabindex="0"><code>\(HTMLText.escaped(manifest.command))</code></pre>
        """
    }.joined(separator: "\n")
  }
}

/// Numbers of options as people write them.
enum OptionNumber {
  static func text(_ value: Double) -> String { value == value.rounded() ? "\(Int(value))" : "\(value)" }
}
