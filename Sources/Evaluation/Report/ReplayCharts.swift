// The charts of a replay's page.

import Engine
import Streams

/// The charts of a replay's page.
enum ReplayCharts {
  /// Error over time of the first seed, a line per strategy, a band per domain.
  static func curves(_ group: ReplayGroup) -> String {
    guard let first = group.standings.first?.results.first else { return "" }
    var bands: [LineChart.Band] = []
    var start = 0
    for part in first.score.online.parts {
      let end = start + part.tally.answered
      bands.append(LineChart.Band(name: part.domain.description, start: Double(start), end: Double(end)))
      start = end
    }
    bands = joined(bands)
    let chart = LineChart(
      title: "\(group.title): online error in per cent over the stream, one line per strategy; the numbers are in the table below",
      xTitle: "pictures answered", unit: " %", bands: bands,
      series: group.standings.map { standing in
        LineChart.Series(name: standing.strategy, points: points(standing.results.first?.score.online.curve ?? []))
      })
    let legend = group.standings.enumerated().map { "<li>\(LineChart.sample($0)) \(HTMLText.escaped($1.strategy))</li>" }
    let plain = bands.count > mostBands ? " unnamed" : ""
    return """
      <h2>\(HTMLText.escaped(group.title))</h2>
      <p class="soft">Wrong answers since the domain began, in per cent of the pictures so far (seed \(first.cell.seed)).</p>
      <figure>
      <ul class="legend">\(legend.joined())</ul>
      <div class="plot\(plain)">
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
  private static func points(_ curve: [OnlineScore.Point]) -> [LineChart.Point] {
    let step = max(1, curve.count / 1_000)
    return curve.indices.filter { $0 % step == 0 || $0 == curve.count - 1 || ends(curve, $0) }.map {
      LineChart.Point(x: Double(curve[$0].images), y: curve[$0].domainErrorPercent)
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
      <figure><div class="plot">
      \(chart.svg)
      </div></figure>
      """
  }
}
