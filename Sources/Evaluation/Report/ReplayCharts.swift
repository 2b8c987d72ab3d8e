// The charts of a replay's page.

import Engine
import Streams

/// The charts of a replay's page.
enum ReplayCharts {
  /// Error over time of the first seed, a line per strategy, a band per domain.
  static func curves(_ group: ReplayGroup) -> String {
    guard let first = group.standings.first?.results.first else { return "" }
    let chart = chart(
      group, "\(group.title): online error in per cent over the stream, one line per strategy; the numbers are in the table below",
      unit: " %"
    ) { result, batch in result.score.online.curve[batch].domainErrorPercent }
    return """
      <h2>\(HTMLText.escaped(group.title))</h2>
      <p class="soft">Wrong answers since the domain began, in per cent of the pictures so far (seed \(first.cell.seed)).</p>
      \(figure(chart, group))
      """
  }

  /// Entropy of the answers and distance from the source model over time, with what guards did, and the list of that.
  static func inside(_ group: ReplayGroup) -> String {
    guard let first = group.standings.first?.results.first, !first.score.entropies.isEmpty else { return "" }
    var entropy = chart(
      group, "\(group.title): mean entropy of the answers to each batch in nats, one line per strategy", unit: ""
    ) { result, batch in result.score.entropies[batch] }
    var drift = chart(
      group, "\(group.title): distance of the learnt weights from the source model in per cent of their length, one line per strategy",
      unit: " %"
    ) { result, batch in result.score.driftPercents[batch] }
    (entropy.height, drift.height) = (180, 180)
    for (number, standing) in group.standings.enumerated() {
      drift.events += (standing.results.first?.score.incidents ?? []).map {
        LineChart.Event(x: Double($0.images), series: number, text: "\(standing.strategy), picture \($0.images): \($0.text)")
      }
    }
    let moved = drift.series.contains { $0.points.contains { $0.y > 0 } } || !drift.events.isEmpty
    let drifts = """
      <p class="soft next">How far the learnt weights are from the source model, in per cent of their length; bars at the lower edge are events.</p>
      \(figure(drift, group))
      """
    return """
      <h2>Inside the strategies: \(HTMLText.escaped(group.title))</h2>
      <p class="soft">Mean entropy of the answers to each batch, in nats: low is certain, right or wrong.</p>
      \(figure(entropy, group))
      \(moved ? drifts : "")
      \(events(group))
      """
  }
  /// What guards did and why batches were not learnt from: at most 20 rows of a strategy.
  private static func events(_ group: ReplayGroup) -> String {
    let rows = group.standings.flatMap { standing -> [String] in
      guard let score = standing.results.first?.score, score.incidentCount > 0 else { return [] }
      var rows = score.incidents.prefix(20).map { incident in
        "<tr><th scope=\"row\">\(HTMLText.escaped(standing.strategy))</th><td>\(Numbers.grouped(Double(incident.images)))</td>"
          + "<td class=\"text\">\(HTMLText.escaped(incident.text))</td></tr>"
      }
      if score.incidentCount > rows.count {
        rows.append(
          "<tr><th scope=\"row\">\(HTMLText.escaped(standing.strategy))</th><td></td>"
            + "<td class=\"text\">and \(Numbers.grouped(Double(score.incidentCount - rows.count))) more</td></tr>")
      }
      return rows
    }
    return rows.isEmpty
      ? ""
      : HTMLTable.text(
        caption: "Events: verdicts of guards, and batches that were not learnt from (first seed)", corner: "strategy",
        columns: ["picture", "what happened"], rows: rows, foot: [])
  }

  private static func chart(
    _ group: ReplayGroup, _ title: String, unit: String, value: (_ result: CellResult, _ batch: Int) -> Double
  ) -> LineChart {
    var bands: [LineChart.Band] = []
    var start = 0
    for part in group.standings.first?.results.first?.score.online.parts ?? [] {
      let end = start + part.tally.answered
      bands.append(LineChart.Band(name: part.domain.description, start: Double(start), end: Double(end)))
      start = end
    }
    return LineChart(
      title: title, xTitle: "pictures answered", unit: unit, bands: joined(bands),
      series: group.standings.map { standing in
        LineChart.Series(
          name: standing.strategy, points: standing.results.first.map { result in points(result) { value(result, $0) } } ?? [])
      })
  }
  private static func legend(_ group: ReplayGroup) -> String {
    let items = group.standings.enumerated().map { "<li>\(LineChart.sample($0)) \(HTMLText.escaped($1.strategy))</li>" }
    return "<ul class=\"legend\">\(items.joined())</ul>"
  }
  private static func figure(_ chart: LineChart, _ group: ReplayGroup) -> String {
    return """
      <figure>
      \(legend(group))
      <div class="plot\(chart.bands.count > mostBands ? " unnamed" : "")">
      \(chart.svg)
      </div>
      </figure>
      """
  }
  /// More bands than these have no names.
  private static let mostBands = 24
  /// Neighbouring bands of one corruption as one where there are too many.
  private static func joined(_ bands: [LineChart.Band]) -> [LineChart.Band] {
    guard bands.count > mostBands else { return bands }
    var result: [LineChart.Band] = []
    for band in bands {
      let name = band.name.split(separator: " ").dropLast().joined(separator: " ")
      if let last = result.last, last.name == name {
        result[result.count - 1].end = band.end
      } else {
        result.append(LineChart.Band(name: name, start: band.start, end: band.end))
      }
    }
    return result
  }
  /// At most a thousand points of a line: a page must not grow with the stream.
  private static func points(_ result: CellResult, value: (_ batch: Int) -> Double) -> [LineChart.Point] {
    let curve = result.score.online.curve
    let step = max(1, curve.count / 1_000)
    return curve.indices.filter { $0 % step == 0 || $0 == curve.count - 1 || ends(curve, $0) }.map {
      LineChart.Point(x: Double(curve[$0].images), y: value($0))
    }
  }
  private static func ends(_ curve: [OnlineScore.Point], _ index: Int) -> Bool {
    index + 1 < curve.count && curve[index + 1].domainIndex != curve[index].domainIndex
  }

  /// Time per image against error, memory as size.
  static func costs(_ group: ReplayGroup) -> String {
    let points = group.standings.enumerated().compactMap { number, standing -> CostChart.Point? in
      guard standing.imagesPerSecond > 0 else { return nil }
      return CostChart.Point(
        name: standing.strategy, milliseconds: 1_000 / standing.imagesPerSecond, error: standing.error.mean,
        memory: standing.peakMemoryBytes,
        series: number)
    }
    guard !points.isEmpty else { return "" }
    let chart = CostChart(
      title: "\(group.title): milliseconds per image against mean error in per cent; the area of a point grows with its memory",
      points: points)
    return """
      <h2>Cost against error: \(HTMLText.escaped(group.title))</h2>
      <p class="soft">Further left is faster, further down is better; the size of a point is the peak memory of the process.</p>
      <figure>
      \(legend(group))
      <div class="plot">
      \(chart.svg)
      </div></figure>
      """
  }
}
