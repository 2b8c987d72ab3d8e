// Suggestions for unknown names.

/// The names nearest to what somebody typed, by edit distance; names that contain it come first.
///
/// - Complexity: one dynamic program per candidate; for messages only.
public func nearestNames(to typed: String, among candidates: some Sequence<String>, limit: Int = 3) -> [String] {
  let wanted = typed.lowercased()
  let scored = candidates.map { name -> (name: String, score: Int) in
    let lowered = name.lowercased()
    let distance = editDistance(wanted, lowered)
    let contained = !wanted.isEmpty && (lowered.contains(wanted) || wanted.contains(lowered))
    return (name, contained ? distance - lowered.count - wanted.count : distance)
  }
  return scored.sorted { ($0.score, $0.name) < ($1.score, $1.name) }.prefix(limit).map(\.name)
}

private func editDistance(_ left: String, _ right: String) -> Int {
  let a = Array(left.utf8)
  let b = Array(right.utf8)
  var row = Array(0...b.count)
  for i in a.indices {
    var diagonal = row[0]
    row[0] = i + 1
    for j in b.indices {
      let cost = min(row[j + 1] + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1))
      diagonal = row[j + 1]
      row[j + 1] = cost
    }
  }
  return row[b.count]
}
