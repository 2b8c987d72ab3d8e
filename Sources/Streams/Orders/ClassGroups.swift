// Positions of a list by class.

/// The positions of a list of labels, class by class.
struct ClassGroups {
  /// The classes that occur, ascending.
  let classes: [Int]
  /// The positions of each of them, ascending.
  let positions: [[Int]]

  init(_ labels: [Int]) {
    var byClass = [Int: [Int]]()
    for (position, label) in labels.enumerated() { byClass[label, default: []].append(position) }
    classes = byClass.keys.sorted()
    positions = classes.map { byClass[$0] ?? [] }
  }

  /// The positions of a class; none where it does not occur.
  subscript(label: Int) -> [Int] { classes.firstIndex(of: label).map { positions[$0] } ?? [] }

  /// Cuts a list at the running sums of shares, rounded down, as NumPy's `split` with `(cumsum(p) * n).astype(int)` does.
  static func split(_ list: [Int], by shares: [Double]) -> [[Int]] {
    var pieces = [[Int]]()
    var (sum, start) = (0.0, 0)
    for number in shares.indices {
      sum += shares[number]
      let end = number == shares.count - 1 ? list.count : min(max(Int(sum * Double(list.count)), start), list.count)
      pieces.append(Array(list[start..<end]))
      start = end
    }
    return pieces
  }
}
