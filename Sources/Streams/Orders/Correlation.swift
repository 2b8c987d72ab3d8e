// Orders in which neighbours tend to have the same class.

import Engine

/// Constructions of streams whose neighbours tend to have the same class. They differ; results under one are not results under another.
public enum Correlation: String, Codable, Sendable, CaseIterable {
  /// RoTTA's and TRIBE's: every class is spread over min(classes, 100) slots by Dirichlet shares; the slots follow each other, the classes
  /// of a slot in random order. Yuan et al., CVPR 2023. With 10 slots it is DELTA's "DS".
  case dirichletSlots = "dirichlet-slots"
  /// NOTE's: as many chunks as classes, filled by Dirichlet shares until each is full. Gong et al., NeurIPS 2022.
  case note
  /// Ascending classes, shuffled within each: NOTE's with a concentration of 0.
  case classSorted = "class-sorted"
  /// LAME's: classes one after the other in random order. Boudiaf et al., CVPR 2022.
  case lameGroups = "lame-groups"

  /// What the constructions can be told.
  struct Options {
    var concentration: Double
    /// Slots of `dirichletSlots`; 0 for min(classes, 100).
    var slots = 0
    /// Fewest pictures of a chunk of `note`.
    var minimum = 10
  }

  /// The positions of a list of labels in the new order: each of them once.
  func arranged(_ labels: [Int], _ options: Options, _ random: inout RandomSource) throws(TTAError) -> [Int] {
    let groups = ClassGroups(labels)
    switch self {
    case .dirichletSlots, .note:
      guard options.concentration > 0, options.concentration.isFinite else {
        throw TTAError(.usage, "concentration \(options.concentration), expected more than 0", hint: "0.1 is the benchmarks' default")
      }
      guard options.slots >= 0, options.minimum >= 0 else {
        throw TTAError(.usage, "slots \(options.slots), minimum \(options.minimum): expected at least 0", hint: "leave them out")
      }
      guard options.slots <= 100_000 else {
        throw TTAError(.usage, "slots \(options.slots): expected at most 100000", hint: "0 takes as many as there are classes, up to 100")
      }
      return self == .note ? Self.chunks(groups, options, &random) : Self.slots(groups, options, &random)
    case .classSorted: return groups.positions.flatMap { random.shuffled($0) }
    case .lameGroups: return random.shuffled(groups.positions).flatMap { random.shuffled($0) }
    }
  }

  private static func slots(_ groups: ClassGroups, _ options: Options, _ random: inout RandomSource) -> [Int] {
    let count = options.slots > 0 ? options.slots : max(min(groups.classes.count, 100), 1)
    var slots = [[[Int]]](repeating: [], count: count)
    for positions in groups.positions {
      let shares = random.dirichlet(count: count, concentration: options.concentration)
      for (slot, piece) in ClassGroups.split(positions, by: shares).enumerated() { slots[slot].append(piece) }
    }
    return slots.flatMap { random.shuffled($0).flatMap { $0 } }
  }

  /// The draw is repeated until every chunk has the minimum; after some tries the best draw is taken.
  private static func chunks(_ groups: ClassGroups, _ options: Options, _ random: inout RandomSource) -> [Int] {
    let count = groups.classes.count
    let total = groups.positions.reduce(0) { $0 + $1.count }
    let minimum = min(options.minimum, total / max(count, 1) / 2)
    var best = [[[Int]]]()
    var bestSize = -1
    for _ in 0..<max(2_000_000 / max(count * count, 1), 1) where bestSize < minimum {
      let chunks = chunkDraw(groups, capacity: Double(total) / Double(count), options.concentration, &random)
      let size = chunks.map { $0.reduce(0) { $0 + $1.count } }.min() ?? 0
      if size > bestSize { (best, bestSize) = (chunks, size) }
    }
    return best.flatMap { random.shuffled($0).flatMap { $0 } }
  }
  private static func chunkDraw(
    _ groups: ClassGroups, capacity: Double, _ concentration: Double, _ random: inout RandomSource
  ) -> [[[Int]]] {
    let count = groups.classes.count
    var chunks = [[[Int]]](repeating: [], count: count)
    var sizes = [Int](repeating: 0, count: count)
    for positions in groups.positions {
      var shares = random.dirichlet(count: count, concentration: concentration)
      for chunk in 0..<count where Double(sizes[chunk]) >= capacity { shares[chunk] = 0 }
      var total = shares.reduce(0, +)
      if total == 0 {
        for chunk in 0..<count where Double(sizes[chunk]) < capacity { shares[chunk] = 1 }
        total = shares.reduce(0, +)
      }
      // Rounding must not put the rest of a class into a full last chunk.
      let last = shares.lastIndex { $0 > 0 } ?? count - 1
      let pieces = ClassGroups.split(random.shuffled(positions), by: shares[...last].map { $0 / total })
      for (chunk, piece) in pieces.enumerated() {
        chunks[chunk].append(piece)
        sizes[chunk] += piece.count
      }
    }
    return chunks
  }
}
