// Long lists of numbers as short texts.

package import Engine

/// Lists of numbers as texts: `0-9999` counts up, `3x100` repeats, other numbers stand alone; parts are separated by blanks.
package enum NumberRuns {
  /// The text of a list of numbers of at least 0.
  package static func text(_ numbers: [Int]) -> String {
    var parts = [String]()
    var start = 0
    while start < numbers.count {
      let first = numbers[start]
      var end = start + 1
      while end < numbers.count, numbers[end] == first { end += 1 }
      if end - start > 2 {
        parts.append("\(first)x\(end - start)")
        start = end
        continue
      }
      end = start + 1
      while end < numbers.count, numbers[end] == numbers[end - 1] + 1 { end += 1 }
      parts.append(end - start > 2 ? "\(first)-\(numbers[end - 1])" : "\(first)")
      start = end - start > 2 ? end : start + 1
    }
    return parts.joined(separator: " ")
  }

  /// The list of a text; at most `limit` numbers, so that a damaged text cannot ask for all memory.
  package static func numbers(_ text: String, limit: Int = 1 << 28) throws(TTAError) -> [Int] {
    var numbers = [Int]()
    for part in text.split(separator: " ") {
      func damaged() -> TTAError {
        TTAError(
          .invalidData, "\"\(part.prefix(40))\" in a list of places: expected a number, first-last or number x times",
          hint: "make the plan again; it is reproducible from its seed")
      }
      if let number = Int(part), number >= 0 {
        numbers.append(number)
      } else if let (first, last) = pair(part, "-"), first <= last, last - first < limit - numbers.count {
        numbers.append(contentsOf: first...last)
      } else if let (number, times) = pair(part, "x"), times < limit - numbers.count {
        numbers.append(contentsOf: repeatElement(number, count: times))
      } else {
        throw damaged()
      }
      guard numbers.count < limit else { throw damaged() }
    }
    return numbers
  }

  private static func pair(_ text: Substring, _ separator: Character) -> (Int, Int)? {
    let parts = text.split(separator: separator, omittingEmptySubsequences: false)
    guard parts.count == 2, let left = Int(parts[0]), let right = Int(parts[1]), left >= 0, right >= 0 else { return nil }
    return (left, right)
  }
}
