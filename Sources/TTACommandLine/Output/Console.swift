// Writing to the terminal.

import Foundation

/// Results go to standard output, everything else to standard error.
enum Console {
  /// One line of result.
  static func result(_ text: String) { print(text) }
  /// One line beside the result.
  static func error(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
  /// Text without a line end, beside the result.
  static func progress(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
  static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// A value as one JSON document.
  static func json(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(value), as: UTF8.self))
  }
}

/// The keys of two values side by side in one JSON object.
struct SideBySide<First: Encodable, Second: Encodable>: Encodable {
  var first: First, second: Second
  init(_ first: First, _ second: Second) { (self.first, self.second) = (first, second) }
  func encode(to encoder: any Encoder) throws {
    try first.encode(to: encoder)
    try second.encode(to: encoder)
  }
}

/// Columns of text; columns of numbers are set to the right.
struct TextTable {
  private var rows: [[String]]
  init(_ header: [String]) { rows = [header] }
  mutating func add(_ row: [String]) { rows.append(row) }
  var lines: [String] {
    let columns = (rows.first ?? []).indices
    let widths = columns.map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
    let numeric = columns.map { column in rows.dropFirst().allSatisfy { column < $0.count && $0[column].first?.isLetter != true } }
    var lines = rows.map { row in
      row.enumerated().map { column, text in
        let padding = String(repeating: " ", count: max(0, widths[column] - text.count))
        return numeric[column] ? padding + text : (column == row.count - 1 ? text : text + padding)
      }.joined(separator: "  ")
    }
    lines.insert(widths.map { String(repeating: "─", count: $0) }.joined(separator: "  "), at: 1)
    return lines
  }
}
