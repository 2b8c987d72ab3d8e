// The Python dictionary inside a NumPy header.

package import Engine

/// Reads `{'descr': '|u1', 'fortran_order': False, 'shape': (10, 3), }` and nothing else of Python.
package struct NumpyHeaderParser {
  private let text: [UInt8]
  private var position = 0
  private let name: String

  package init(_ bytes: some Sequence<UInt8>, name: String) {
    text = Array(bytes)
    self.name = name
  }

  /// The three entries, each there once, in any order.
  package mutating func parse() throws(TTAError) -> (descr: String, fortran: Bool, shape: [Int]) {
    var descr: String?
    var fortran: Bool?
    var shape: [Int]?
    try expect("{")
    while !take("}") {
      let key = try string()
      try expect(":")
      switch key {
      case "descr" where descr == nil: descr = try string()
      case "fortran_order" where fortran == nil: fortran = try boolean()
      case "shape" where shape == nil: shape = try tuple()
      default: throw damaged("an unexpected entry '\(key)'")
      }
      if !take(",") {
        try expect("}")
        break
      }
    }
    skipBlanks()
    guard position == text.count else { throw damaged("text after the closing brace") }
    guard let descr else { throw damaged("no 'descr'") }
    guard let fortran else { throw damaged("no 'fortran_order'") }
    guard let shape else { throw damaged("no 'shape'") }
    return (descr, fortran, shape)
  }

  private mutating func skipBlanks() {
    while position < text.count, text[position] == 0x20 || text[position] == 0x0A { position += 1 }
  }
  private mutating func take(_ character: Character) -> Bool {
    skipBlanks()
    guard position < text.count, text[position] == character.asciiValue else { return false }
    position += 1
    return true
  }
  private mutating func expect(_ character: Character) throws(TTAError) {
    guard take(character) else { throw damaged("no '\(character)' at place \(position)") }
  }
  private mutating func string() throws(TTAError) -> String {
    let quote: UInt8 = take("'") ? 0x27 : take("\"") ? 0x22 : 0
    guard quote != 0 else { throw damaged("no text at place \(position)") }
    let start = position
    while position < text.count, text[position] != quote {
      guard (0x20..<0x7F).contains(text[position]) else { throw damaged("a text with a byte that is not printable") }
      position += 1
    }
    guard position < text.count else { throw damaged("a text without end") }
    position += 1
    return String(decoding: text[start..<position - 1], as: UTF8.self)
  }
  private mutating func boolean() throws(TTAError) -> Bool {
    skipBlanks()
    for (word, value) in [("True", true), ("False", false)] where text[position...].starts(with: word.utf8) {
      position += word.utf8.count
      return value
    }
    throw damaged("a 'fortran_order' that is neither True nor False")
  }
  private mutating func tuple() throws(TTAError) -> [Int] {
    var lengths = [Int]()
    try expect("(")
    while !take(")") {
      skipBlanks()
      let digits = text[position...].prefix { (0x30...0x39).contains($0) }
      guard let length = Int(String(decoding: digits, as: UTF8.self)) else {
        throw damaged(
          digits.isEmpty
            ? "a 'shape' that is not a tuple of lengths" : "an axis of \(String(decoding: digits.prefix(30), as: UTF8.self)) elements")
      }
      guard lengths.count < 32 else { throw damaged("more than 32 axes") }
      lengths.append(length)
      position += digits.count
      if !take(",") {
        try expect(")")
        break
      }
    }
    return lengths
  }
  private func damaged(_ what: String) -> TTAError {
    TTAError(.invalidData, "\"\(name)\" has a damaged NumPy header: \(what)", hint: "write it with numpy.save")
  }
}
