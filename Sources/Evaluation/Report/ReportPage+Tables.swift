// The tables of a report page.

import Engine
import Streams

extension ReportPage {
  /// Error per domain, the mean and the speed; the lowest error of a row stands out.
  var domainTable: String {
    guard let first = standings.first else { return "" }
    let rows = first.score.parts.indices.map { number in
      HTMLTable.row(
        first.score.parts[number].domain.description,
        standings.map { standing in
          let tally = standing.score.parts[number].tally
          return (tally.errorPercent, tally.standardErrorPercent)
        })
    }
    let mean = HTMLTable.row("mean", standings.map { ($0.score.meanErrorPercent, $0.score.standardErrorPercent) })
    let speeds = standings.map { "<td>\(Numbers.grouped($0.score.overall.imagesPerSecond))</td>" }
    return """
      <h2>Error per corruption</h2>
      \(HTMLTable.text(
        caption: "Error in per cent ± standard error; the lowest of each row is bold. Images per second count a strategy’s own time.",
        corner: "corruption", columns: standings.map(\.name), rows: rows,
        foot: [mean, "<tr><th scope=\"row\">images/s</th>\(speeds.joined())</tr>"]))
      """
  }

  /// Error per class, folded away.
  var classTable: String {
    guard let first = standings.first, first.score.overall.images > 0 else { return "" }
    let rows = first.score.overall.classImages.indices.filter { first.score.overall.classImages[$0] > 0 }.map { label in
      HTMLTable.row(
        classNames.indices.contains(label) ? classNames[label] : "class \(label)",
        standings.map { standing in
          let tally = standing.score.overall
          return (100 * Double(tally.classErrors[label]) / Double(tally.classImages[label]), nil)
        })
    }
    return """
      <details><summary>Error per class</summary>
      \(HTMLTable.text(caption: "Error in per cent of the pictures of each class, over the whole stream.", corner: "class", columns: standings.map(\.name), rows: rows, foot: []))
      </details>
      """
  }
}
