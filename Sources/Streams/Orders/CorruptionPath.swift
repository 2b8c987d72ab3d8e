// A way from one corruption to another at nearly constant difficulty.

/// Severities of two corruptions, step by step from the first alone to the second alone, at nearly constant accuracy of the source model.
///
/// The greedy search of RDumb's benchmark (Press et al., NeurIPS 2023): at each node that successor is taken whose mean accuracy up to the
/// path's end is closer to the target; the first severity falls, or the second rises.
package struct CorruptionPath: Hashable {
  /// Severities in quarters: of the first corruption, of the second.
  package struct Node: Hashable {
    package var first: Int, second: Int
  }
  /// The nodes in order; at most 41.
  package let nodes: [Node]
  /// Their mean accuracy in per cent.
  package let mean: Double

  private struct Rest {
    var sum: Double, length: Int
    var goesUp: Bool
    func mean(with accuracy: Double) -> Double { (sum + accuracy) / Double(length + 1) }
  }

  /// The path of a pair for a target accuracy in per cent.
  package init(_ pair: CalibrationMatrix.Pair, target: Double) {
    let side = CalibrationMatrix.side
    // What is left from each node to the end of its path; nodes past the last column have none.
    var rests = [[Rest?]](repeating: [Rest?](repeating: nil, count: side + 1), count: side)
    for j in 0..<side { rests[0][j] = Rest(sum: pair.accuracy[j], length: 1, goesUp: false) }
    for i in 1..<side {
      for j in stride(from: side - 1, through: 0, by: -1) {
        let accuracy = pair.accuracy[i * side + j]
        let (up, right) = (rests[i - 1][j], rests[i][j + 1])
        let upDistance = up.map { abs($0.mean(with: accuracy) - target) } ?? .infinity
        let rightDistance = right.map { abs($0.mean(with: accuracy) - target) } ?? .infinity
        let goesUp = upDistance < rightDistance || right == nil
        guard let next = goesUp ? up : right else { continue }
        rests[i][j] = Rest(sum: next.sum + accuracy, length: next.length + 1, goesUp: goesUp)
      }
    }
    var best = (start: 1, mean: Double.infinity)
    for i in 1..<side {
      guard let rest = rests[i][0] else { continue }
      let mean = rest.sum / Double(rest.length)
      if abs(mean - target) < abs(best.mean - target) { best = (i, mean) }
    }
    var node = Node(first: best.start, second: 0)
    var nodes = [node]
    while node.first > 0 {
      if rests[node.first][node.second]?.goesUp == true { node.first -= 1 } else { node.second += 1 }
      nodes.append(node)
    }
    self.nodes = nodes
    mean = best.mean
  }
}
