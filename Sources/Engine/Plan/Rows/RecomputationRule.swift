// Which results the backward computes again.

/// Chooses linear layers whose results the backward computes again instead of reading what the forward kept.
///
/// Such a result can go where it is much wider than its input and the input is a norm's result: the norm keeps its own input for its gradient, so nothing
/// more is kept, and norm and layer are run once more on the same numbers with the same kernels, which gives the same bits. Each float per token that is
/// saved costs as many multiplications as the input is wide, whatever the layer, so the only question is how many: as many as a share of the forward's
/// operations allows, the widest first.
enum RecomputationRule {
  /// A candidate is at least this many times as wide as its input.
  private static let widening = 2
  /// The share of the forward's operations that may be spent: 0.4 covers the hidden layers of a vision transformer's perceptrons (three tenths) and the
  /// queries, keys and values of some blocks; forward and backward together are a little more than twice the forward.
  private static let share = 0.4

  static func nodes(in graph: Graph, _ key: PlanKey, readers: [[Int]], gradientNeeded: [Bool], isPartial: (Int) -> Bool) -> Set<Int> {
    guard key.needsBackward, key.recomputation != .never else { return [] }
    var candidates: [(node: Int, widening: Int, operations: Double)] = []
    for (index, node) in graph.nodes.enumerated() where gradientNeeded[index] && !isPartial(index) {
      guard let linear = node.operation as? Linear, node.shape.rank >= 2, let input = node.inputs.first, input >= 0, gradientNeeded[input],
        graph.nodes[input].operation is LayerNorm, let reader = readers[index].first, reader >= 0, readers[index].count == 1,
        (graph.nodes[reader].operation as? any DifferentiableOperator)?.retained(forParameters: false).contains(.inputs) == true
      else { continue }
      let times = node.shape.elementCount / graph.nodes[input].shape.elementCount
      if times >= widening { candidates.append((index, times, linear.operations(for: [graph.nodes[input].shape]))) }
    }
    var left = key.recomputation == .always ? Double.infinity : share * graph.operationsPerImage
    var chosen: Set<Int> = []
    for candidate in candidates.sorted(by: { ($1.widening, $0.node) < ($0.widening, $1.node) }) where candidate.operations <= left {
      left -= candidate.operations
      chosen.insert(candidate.node)
    }
    return chosen
  }
}
