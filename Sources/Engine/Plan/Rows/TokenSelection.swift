// Which results are wanted for one token only.

/// A classifier that reads one token makes most of the last block useless: norms, linear layers, activations and sums work on each token by itself, so
/// those between the last attention and the selected token are computed for that token alone, and attention for its query.
enum TokenSelection {
  /// For each node the only token that anybody reads, or nil for all of them.
  static func find(in graph: Graph, readers: [[Int]]) -> [Int?] {
    var selected: [Int?] = Array(repeating: nil, count: graph.nodes.count)
    for index in graph.nodes.indices.reversed() where isSelectable(graph.nodes[index]) && !readers[index].isEmpty {
      var tokens: Set<Int?> = []
      for reader in readers[index] {
        guard reader >= 0 else {
          tokens.insert(nil)
          continue
        }
        switch graph.nodes[reader].operation {
        case let select as SelectToken: tokens.insert(select.index)
        case is Attention: tokens.insert(nil)
        default: tokens.insert(selected[reader])
        }
      }
      if tokens.count == 1, let token = tokens.first { selected[index] = token }
    }
    return selected
  }
  private static func isSelectable(_ node: Graph.Node) -> Bool {
    guard node.shape.rank == 2, node.shape[0] > 1 else { return false }
    switch node.operation {
    case is LayerNorm, is Linear, is Activation, is Add: return true
    case let attention as Attention: return attention.query == nil
    default: return false
    }
  }
}
