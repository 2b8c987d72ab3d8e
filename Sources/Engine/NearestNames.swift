// The names somebody probably meant.

/// Finds the names nearest to an unknown one, for error messages.
public enum NearestNames {
  /// At most `count` candidates, the nearest first, ties in the order given.
  ///
  /// Distance is the number of insertions, deletions, replacements and swaps of neighbours; case does not count, `_` equals `-`.
  public static func nearest(to name: String, in candidates: some Sequence<String>, count: Int = 3) -> [String] {
    let wanted = folded(name)
    let ranked = candidates.enumerated().map { (position: $0.offset, name: $0.element, distance: distance(wanted, folded($0.element))) }
    return ranked.sorted { ($0.distance, $0.position) < ($1.distance, $1.position) }.prefix(count).map(\.name)
  }

  /// The error of an unknown name: `unknown corruption "fgo"`, and the three nearest names as its hint.
  public static func unknown(_ kind: String, _ name: String, in candidates: some Sequence<String>) -> TTAError {
    let near = nearest(to: name, in: candidates)
    return TTAError(.usage, "unknown \(kind) \"\(name)\"", hint: near.isEmpty ? nil : "nearest names: \(near.joined(separator: ", "))")
  }

  /// How many edits lie between two texts.
  static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var beforeLast = [Int]()
    var last = Array(0...right.count)
    for i in left.indices {
      var row = [i + 1]
      for j in right.indices {
        var best = min(last[j + 1], row[j]) + 1
        best = min(best, last[j] + (left[i] == right[j] ? 0 : 1))
        if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] { best = min(best, beforeLast[j - 1] + 1) }
        row.append(best)
      }
      beforeLast = last
      last = row
    }
    return last[right.count]
  }

  private static func folded(_ name: String) -> [UInt8] { name.lowercased().utf8.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : $0 } }
}
