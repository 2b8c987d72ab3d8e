// The tables of a report page.

import Engine
import Streams

extension ReportPage {
  /// Error per domain, the mean and the speed; the lowest error of a row stands out.
  var domainTable: String {
    guard let first = standings.first else { return "" }
    let rows = first.score.parts.indices.map { number in
      Self.row(
        first.score.parts[number].domain.description,
        standings.map { standing in
          let tally = standing.score.parts[number].tally
          return (tally.errorPercent, tally.standardErrorPercent)
        })
    }
    let mean = Self.row("mean", standings.map { ($0.score.meanErrorPercent, $0.score.standardErrorPercent) })
    let speeds = standings.map { "<td>\(Numbers.grouped($0.score.overall.imagesPerSecond))</td>" }
    return """
      <h2>Error per corruption</h2>
      \(table(
        caption: "Error in per cent ± standard error; the lowest of each row is bold. Images per second count a strategy’s own time.",
        corner: "corruption", rows: rows,
        foot: [mean, "<tr><th scope=\"row\">images/s</th>\(speeds.joined())</tr>"]))
      """
  }

  /// Error per class, folded away.
  var classTable: String {
    guard let first = standings.first, first.score.overall.images > 0 else { return "" }
    let rows = first.score.overall.classImages.indices.filter { first.score.overall.classImages[$0] > 0 }.map { label in
      Self.row(
        classNames.indices.contains(label) ? classNames[label] : "class \(label)",
        standings.map { standing in
          let tally = standing.score.overall
          return (100 * Double(tally.classErrors[label]) / Double(tally.classImages[label]), nil)
        })
    }
    return """
      <details><summary>Error per class</summary>
      \(table(caption: "Error in per cent of the pictures of each class, over the whole stream.", corner: "class", rows: rows, foot: []))
      </details>
      """
  }

  private func table(caption: String, corner: String, rows: [String], foot: [String]) -> String {
    let names = standings.map { "<th scope=\"col\">\(HTMLText.escaped($0.name))</th>" }
    let last = foot.isEmpty ? "" : "\n<tfoot>\n\(foot.joined(separator: "\n"))\n</tfoot>"
    return """
      <div class="scroll" tabindex="0" role="region" aria-label="\(HTMLText.escaped(caption))">
      <table>
      <caption>\(HTMLText.escaped(caption))</caption>
      <thead><tr><th scope="col">\(HTMLText.escaped(corner))</th>\(names.joined())</tr></thead>
      <tbody>
      \(rows.joined(separator: "\n"))
      </tbody>\(last)
      </table>
      </div>
      """
  }

  /// A row of errors in per cent with their standard errors.
  private static func row(_ name: String, _ values: [(value: Double, spread: Double?)]) -> String {
    let best = values.map { Numbers.decimals($0.value, 1) }.min { (Double($0) ?? 0) < (Double($1) ?? 0) }
    let cells = values.map { value, spread in
      let text = Numbers.decimals(value, 1)
      let error = spread.map { " <span class=\"error\">± \(Numbers.decimals($0, 1))</span>" } ?? ""
      let kind = values.count > 1 && text == best ? "share best" : "share"
      return "<td class=\"\(kind)\" style=\"--share: \(Numbers.decimals(value / 100, 3))\">\(text)\(error)</td>"
    }
    return "<tr><th scope=\"row\">\(HTMLText.escaped(name))</th>\(cells.joined())</tr>"
  }
}
