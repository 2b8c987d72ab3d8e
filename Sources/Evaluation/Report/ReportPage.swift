// The report of a side by side run as one page.

import Engine
import Streams

/// The report of a side by side run: one HTML page that loads nothing.
public struct ReportPage: Sendable {
  /// A line of the configuration.
  public struct Fact: Sendable {
    /// What it is.
    public var name: String
    /// Its value.
    public var value: String
    /// A line.
    public init(_ name: String, _ value: String) { (self.name, self.value) = (name, value) }
  }
  /// The headline.
  public var title: String
  /// What the run shows, in one sentence.
  public var finding: String
  /// What a reader must know before quoting a number.
  public var note: String
  /// The strategies with their scores.
  public var standings: [SideBySideEvaluation.Standing]
  /// Names of the classes in the order of their numbers; empty where nobody knows them.
  public var classNames: [String] = []
  /// Pictures under every domain.
  public var pictures: ContactSheet?
  /// The configuration.
  public var facts: [Fact] = []
  /// The command that repeats the run.
  public var command: String?

  /// A page about some scores.
  public init(title: String, finding: String, note: String, standings: [SideBySideEvaluation.Standing]) {
    (self.title, self.finding, self.note, self.standings) = (title, finding, note, standings)
  }

  /// The document.
  public var html: String {
    let sections = [cards, curves, domainTable, classTable, pictures?.section ?? "", configuration].filter { !$0.isEmpty }
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
      </style>
      </head>
      <body>
      <main>
      <h1>\(HTMLText.escaped(title))</h1>
      <p class="finding">\(HTMLText.escaped(finding))</p>
      <p class="soft">\(HTMLText.escaped(note))</p>
      \(sections.joined(separator: "\n"))
      </main>
      </body>
      </html>

      """
  }

  private var parts: [OnlineScore.Part] { standings.first?.score.parts ?? [] }

  private var cards: String {
    let items = standings.enumerated().map { number, standing in
      """
      <li><div class="name">\(LineChart.sample(number)) \(HTMLText.escaped(standing.name))</div>
      <div class="value">\(Numbers.decimals(standing.score.meanErrorPercent, 1)) %</div>
      <div class="soft">mean error<br>\(Numbers.grouped(standing.score.overall.imagesPerSecond)) images/s</div></li>
      """
    }
    return "<ul class=\"cards\">\n\(items.joined(separator: "\n"))\n</ul>"
  }

  private var curves: String {
    var start = 0
    let bands = parts.map { part in
      defer { start += part.tally.answered }
      return LineChart.Band(name: part.domain.description, start: Double(start), end: Double(start + part.tally.answered))
    }
    let chart = LineChart(
      title: "Online error in per cent over the stream, one line per strategy; the numbers at the ends of the parts are in the table below",
      xTitle: "pictures answered", unit: " %", bands: bands,
      series: standings.map { standing in
        LineChart.Series(
          name: standing.name, points: standing.score.curve.map { LineChart.Point(x: Double($0.images), y: $0.domainErrorPercent) })
      })
    let legend = standings.enumerated().map { "<li>\(LineChart.sample($0)) \(HTMLText.escaped($1.name))</li>" }
    return """
      <h2>Error over the stream</h2>
      <p class="soft">Wrong answers since the corruption began, in per cent of the pictures so far; one point per batch.</p>
      <figure>
      <ul class="legend">\(legend.joined())</ul>
      <div class="plot">
      \(chart.svg)
      </div>
      </figure>
      """
  }

  private var configuration: String {
    var lines: [String] = []
    if !facts.isEmpty {
      lines += ["<table class=\"facts\">", "<caption>What ran, and on what</caption>", "<tbody>"]
      lines += facts.map { "<tr><th scope=\"row\">\(HTMLText.escaped($0.name))</th><td>\(HTMLText.escaped($0.value))</td></tr>" }
      lines += ["</tbody>", "</table>"]
    }
    if let command {
      lines.append("<p class=\"soft command\">The command that repeats the run:</p>")
      lines.append("<pre tabindex=\"0\"><code>\(HTMLText.escaped(command))</code></pre>")
    }
    return lines.isEmpty ? "" : (["<h2>Configuration</h2>"] + lines).joined(separator: "\n")
  }
}
