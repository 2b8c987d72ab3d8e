// Tables of the pages.

import Engine

/// Tables that scroll on narrow screens and can be reached by keyboard.
enum HTMLTable {
  /// A table of finished rows.
  static func text(caption: String, corner: String, columns: [String], rows: [String], foot: [String]) -> String {
    let names = columns.map { "<th scope=\"col\">\(HTMLText.escaped($0))</th>" }
    let last = foot.isEmpty ? "" : "\n<tfoot>\n\(foot.joined(separator: "\n"))\n</tfoot>"
    return """
      <div class="scroll" tabindex="0" role="region" aria-label="\(HTMLText.escaped(caption))">
      <table>
      <caption><span>\(HTMLText.escaped(caption))</span></caption>
      <thead><tr><th scope="col">\(HTMLText.escaped(corner))</th>\(names.joined())</tr></thead>
      <tbody>
      \(rows.joined(separator: "\n"))
      </tbody>\(last)
      </table>
      </div>
      """
  }
  /// A row of errors in per cent with their standard errors; the lowest stands out, nil is a dash.
  static func row(_ name: String, _ values: [(value: Double, spread: Double?)?]) -> String {
    let best = values.compactMap { $0.map { Numbers.decimals($0.value, 1) } }.min { (Double($0) ?? 0) < (Double($1) ?? 0) }
    let cells = values.map { cell -> String in
      guard let (value, spread) = cell else { return "<td>–</td>" }
      let text = Numbers.decimals(value, 1)
      let error = spread.map { " <span class=\"error\">± \(Numbers.decimals($0, 1))</span>" } ?? ""
      let kind = values.count > 1 && text == best ? "share best" : "share"
      return "<td class=\"\(kind)\" style=\"--share: \(Numbers.decimals(value / 100, 3))\">\(text)\(error)</td>"
    }
    return "<tr><th scope=\"row\">\(HTMLText.escaped(name))</th>\(cells.joined())</tr>"
  }
}
