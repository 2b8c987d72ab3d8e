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

/// Numbers as people read them.
enum Numbers {
  /// 4120 → `4,120`.
  static func grouped(_ value: Double) -> String {
    let digits = String(Int(value.rounded()))
    var result = ""
    for (position, digit) in digits.reversed().enumerated() {
      if position > 0, position % 3 == 0, digit != "-" { result.append(",") }
      result.append(digit)
    }
    return String(result.reversed())
  }
  static func decimals(_ value: Double, _ count: Int) -> String { String(format: "%.\(count)f", value) }
  /// `1.5 s`, `54 ms`.
  static func time(seconds: Double) -> String {
    seconds >= 1 ? decimals(seconds, 1) + " s" : decimals(seconds * 1000, seconds < 0.01 ? 2 : 1) + " ms"
  }
  /// `1:05`.
  static func clock(seconds: Double) -> String {
    let total = max(0, Int(seconds.rounded(.up)))
    return "\(total / 60):" + String(format: "%02d", total % 60)
  }
  static func bytes(_ count: Int) -> String {
    let megabytes = Double(count) / 1_048_576
    return megabytes >= 10 ? grouped(megabytes) + " MB" : decimals(megabytes, 1) + " MB"
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
