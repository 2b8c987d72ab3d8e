// A table of numbers as coloured fields.

import Engine

/// Numbers as coloured fields with their values in them, as inline SVG: placed in per cent, so that it fits any width.
public struct HeatMap: Sendable {
  /// What it shows, for those who cannot see it.
  public var title: String
  /// Names of the columns and of the rows.
  public var columns: [String], rows: [String]
  /// Per row one value 0...100 per column; nil leaves a field empty.
  public var values: [[Double?]]
  private static let (rowHeight, top) = (28, 26)

  /// A map.
  public init(title: String, columns: [String], rows: [String], values: [[Double?]]) {
    (self.title, self.columns, self.rows, self.values) = (title, columns, rows, values)
  }

  /// The `<svg>` element.
  public var svg: String {
    let height = Self.top + rows.count * Self.rowHeight
    var lines = ["<svg class=\"heat\" role=\"img\" aria-label=\"\(HTMLText.escaped(title))\" width=\"100%\" height=\"\(height)\">"]
    for (row, name) in rows.enumerated() {
      lines.append(
        "<text class=\"heat-row\" x=\"-10\" y=\"\(Self.top + row * Self.rowHeight + 18)\">\(HTMLText.escaped(name))</text>")
    }
    let width = 100 / Double(max(1, columns.count))
    func across(_ column: Int, _ share: Double = 0) -> String { Numbers.decimals((Double(column) + share) * width, 3) + "%" }
    for (column, name) in columns.enumerated() {
      lines.append("<text class=\"heat-column\" x=\"\(across(column, 0.5))\" y=\"16\">\(HTMLText.escaped(name))</text>")
    }
    for (row, name) in rows.enumerated() {
      for (column, value) in values[row].enumerated() {
        guard let value else { continue }
        let y = Self.top + row * Self.rowHeight
        let text = Numbers.decimals(value, 1)
        lines.append(
          "<rect x=\"\(across(column))\" y=\"\(y)\" width=\"\(Numbers.decimals(width - 0.3, 3))%\" height=\"\(Self.rowHeight - 2)\" "
            + "rx=\"2\" fill-opacity=\"\(Numbers.decimals(0.04 + 0.66 * min(1, max(0, value / 100)), 3))\">"
            + "<title>\(HTMLText.escaped("\(name), \(columns[column]): \(text) %"))</title></rect>"
            + "<text class=\"heat-value\" x=\"\(across(column, 0.5))\" y=\"\(y + 18)\">\(text)</text>")
      }
    }
    lines.append("</svg>")
    return lines.joined(separator: "\n")
  }
}
