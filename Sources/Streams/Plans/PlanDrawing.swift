// A plan as a picture.

import Foundation

/// A plan as a picture in SVG: above, how frequent each class is over time, below, how strong each corruption is.
public struct PlanDrawing: Sendable {
  /// Most columns of a panel; each stands for an equal part of the stream.
  private static let mostColumns = 100
  private static let (panelWidth, rowHeight, left, top) = (600, 12, 118, 26)
  private static let shades = 5
  /// Rows of a panel; further classes share one.
  private static let mostRows = 20

  private struct Panel {
    var title: String
    var rows: [String]
    /// 0...1 for each row and column.
    var values: [[Double]]
    var color: String
  }
  private let title: String
  private let panels: [Panel]

  /// The picture of a plan over a data set with these labels.
  public init(_ plan: StreamPlan, labels: [Int], classNames: [String]? = nil) {
    title = plan.setting + Self.construction(plan)
    panels = [Self.classPanel(plan, labels, classNames), Self.domainPanel(plan)].filter { !$0.rows.isEmpty }
  }
  private static func construction(_ plan: StreamPlan) -> String {
    guard let name = plan.options["construction"] ?? plan.options["variant"] else { return "" }
    return " (\(name))"
  }

  /// The text of an SVG file.
  public var svg: String {
    let width = Self.left + Self.panelWidth + 10
    let height = panels.reduce(Self.top) { $0 + $1.rows.count * Self.rowHeight + 34 }
    var lines = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(height)\" font-family=\"sans-serif\" font-size=\"10\">",
      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>",
      "<text x=\"8\" y=\"16\" font-size=\"13\" font-weight=\"bold\">\(Self.escaped(title))</text>",
    ]
    var y = Self.top
    for panel in panels {
      lines += Self.lines(of: panel, at: y + 14)
      y += panel.rows.count * Self.rowHeight + 34
    }
    return (lines + ["</svg>", ""]).joined(separator: "\n")
  }

  private static func lines(of panel: Panel, at y: Int) -> [String] {
    let height = panel.rows.count * rowHeight
    var lines = ["<text x=\"\(left)\" y=\"\(y - 4)\" fill=\"#555\">\(panel.title)</text>"]
    for (row, name) in panel.rows.enumerated() {
      lines.append("<text x=\"\(left - 6)\" y=\"\(y + row * rowHeight + 10)\" text-anchor=\"end\">\(escaped(name))</text>")
    }
    for shade in 1...shades {
      var path = ""
      for (row, values) in panel.values.enumerated() {
        var column = 0
        while column < values.count {
          let start = column
          while column < values.count, min(Int((values[column] * Double(shades)).rounded(.up)), shades) == shade { column += 1 }
          if column > start {
            let (x, end) = (start * panelWidth / values.count, column * panelWidth / values.count)
            path += "M\(left + x) \(y + row * rowHeight)h\(end - x)v\(rowHeight - 1)h\(x - end)z"
          } else {
            column += 1
          }
        }
      }
      if !path.isEmpty { lines.append("<path fill=\"\(panel.color)\" fill-opacity=\"\(Double(shade) / Double(shades))\" d=\"\(path)\"/>") }
    }
    lines.append(
      "<rect x=\"\(left)\" y=\"\(y)\" width=\"\(panelWidth)\" height=\"\(height)\" fill=\"none\" stroke=\"#999\"/>")
    return lines
  }

  /// A class's share of its column, over the largest share of the picture.
  private static func classPanel(_ plan: StreamPlan, _ labels: [Int], _ names: [String]?) -> Panel {
    guard !labels.isEmpty, let last = labels.max() else { return Panel(title: "", rows: [], values: [], color: "") }
    let perRow = last / mostRows + 1
    let known = last / perRow + 1
    let hasUnknown = labels.contains(-1)
    var values = grid(known + (hasUnknown ? 1 : 0), plan)
    forEachItem(plan) { column, weight, item in
      let label = labels[item.place]
      values[label < 0 ? known : label / perRow][column] += weight
    }
    let largest = values.map { $0.max() ?? 0 }.max() ?? 0
    if largest > 0 { for row in values.indices { values[row] = values[row].map { $0 / largest } } }
    var rows = (0..<known).map { row in
      perRow > 1 ? "\(row * perRow)-\(min(row * perRow + perRow - 1, last))" : names.map { $0[row] } ?? "\(row)"
    }
    if hasUnknown { rows.append("unknown") }
    return Panel(title: "class over time", rows: rows, values: values, color: "#1f5fa8")
  }

  /// The mean severity of each corruption in a column, over 5.
  private static func domainPanel(_ plan: StreamPlan) -> Panel {
    var rows = [String]()
    var numbers = [String: Int]()
    for segment in plan.segments {
      for domain in segment.allDomains {
        for name in rowNames(domain) where numbers[name] == nil {
          numbers[name] = rows.count
          rows.append(name)
        }
      }
    }
    var values = grid(rows.count, plan)
    forEachItem(plan) { column, weight, item in
      if item.domain.steps.isEmpty, let row = rowNames(item.domain).first, let number = numbers[row] { values[number][column] += weight }
      for step in item.domain.steps { if let number = numbers[step.corruption] { values[number][column] += weight * step.severity / 5 } }
    }
    return Panel(title: "domain over time, darker is more severe", rows: rows, values: values, color: "#b3541e")
  }
  private static func rowNames(_ domain: Domain) -> [String] {
    domain.steps.isEmpty ? [domain.name ?? "clean"] : domain.steps.map(\.corruption)
  }

  private static func grid(_ rows: Int, _ plan: StreamPlan) -> [[Double]] {
    Array(repeating: Array(repeating: 0, count: min(plan.count, mostColumns)), count: rows)
  }

  /// All pictures with their column; the weights of a column sum to 1.
  private static func forEachItem(_ plan: StreamPlan, _ body: (_ column: Int, _ weight: Double, StreamItem) -> Void) {
    let total = plan.count
    let columns = min(total, mostColumns)
    var position = 0
    for segment in plan.segments {
      for (offset, place) in segment.places.enumerated() {
        let column = position * columns / total
        let size = ((column + 1) * total + columns - 1) / columns - (column * total + columns - 1) / columns
        body(column, 1 / Double(size), StreamItem(place: place, domain: segment.domain(at: offset)))
        position += 1
      }
    }
  }
  private static func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
  }
}
