// Predictions that neighbours in feature space agree on.

package import Engine
import Foundation

/// Laplacian adjusted maximum likelihood: keeps each prediction near the classifier's and near those of its neighbours within the batch.
///
/// Boudiaf et al., "Parameter-free Online Test-time Adaptation", CVPR 2022. Unary −log(Q + 1e-10); Z ← softmax(−unary + W Z) until the energy
/// changes by less than 1e-8 of itself, at most 100 times, at least 3. Emits probabilities. Strong on streams whose neighbouring images share classes; makes i.i.d.
/// streams *worse*. Deviations: a point is never its own neighbour (the released code drops the nearest hit, which is another one among exact
/// duplicates); where all points coincide the rbf width would be 0, and W is 0 instead; a single image keeps its prediction; energies are
/// summed in double precision (in single precision the last digit decides when the released code stops).
public struct Lame: OutputAdjuster {
  /// Which images are neighbours.
  public enum Affinity: String, Codable, Sendable, CaseIterable {
    /// 1 for the nearest ones, 0 for the others.
    case knn
    /// exp(−d² / 2 s²), s the mean distance to the `neighbors`-th nearest, the point itself counted.
    case rbf
    /// The product of the normalised features.
    case linear
  }
  /// Affinity and neighbours.
  public struct Options: ComponentOptions {
    /// Which images are neighbours.
    public var affinity = Affinity.knn
    /// How many.
    public var neighbors = 5
    /// Whether knn affinities are made symmetric: the mean of both directions.
    public var symmetric = false
    /// Five nearest neighbours.
    public init() {}
    /// An affinity.
    public init(_ affinity: Affinity, neighbors: Int = 5, symmetric: Bool = false) {
      (self.affinity, self.neighbors, self.symmetric) = (affinity, neighbors, symmetric)
    }
    /// Where they are from: the paper's best overall; the released code's default.
    public static let presets = ["paper": Options(.knn), "code": Options(.rbf)]
    /// For `tta list`.
    public static let meanings = [
      "affinity": "knn, rbf or linear", "neighbors": "how many neighbours count",
      "symmetric": "makes knn affinities symmetric, which makes the iteration descend for certain",
    ]
    /// At least one neighbour.
    public func validate() throws {
      guard neighbors >= 1 else { throw TTAError(.usage, "neighbors: expected at least 1, got \(neighbors)") }
    }
  }
  static let summary = Summary(
    "predictions that neighbours in feature space agree on", paper: "Boudiaf et al., CVPR 2022", updates: "nothing", forwards: "0",
    needs: ["a linear classifier", "batches of 2 or more", "streams whose neighbouring images share classes"])

  static let strategySummary = Summary(
    "the source model, corrected by neighbours in feature space", paper: "Boudiaf et al., CVPR 2022", updates: "nothing", forwards: "1",
    needs: summary.needs)

  let options: Options
  /// An adjuster.
  public init(_ options: Options = Options()) { self.options = options }
  /// Needs the features.
  public func configure(_ setup: inout AdaptationSetup) throws {
    _ = try setup.classifier()
    setup.options.taps.insert(.features)
  }
  /// Iterates to the fixed point.
  public func adjust(_ prediction: inout Prediction, in context: borrowing AdaptationContext) throws {
    guard let features = prediction.features else {
      throw TTAError(
        .usage, "lame: the strategy hands out no features", hint: "use it with a strategy that answers from a forward of the model")
    }
    let start = prediction.probabilities
    let affinities = Affinities(features: features, options, on: context.executor)
    prediction.scores = .probabilities(
      Self.solve(start, affinities, on: context.executor) { z in context.observe("lame-iterate", z) }.result)
  }

  /// Z, and the energy after each iteration; `watch` sees Z then.
  package static func solve(
    _ probabilities: Tensor, _ affinities: Affinities, on executor: Executor, watch: (Tensor) -> Void = { _ in }
  ) -> (result: Tensor, energies: [Double]) {
    let (count, classes) = (probabilities.count, probabilities.rowElementCount)
    var negativeUnary = probabilities
    negativeUnary.withMutablePointer { values in
      executor.forEachRow(count) { row in for i in row * classes..<(row + 1) * classes { values[i] = log(values[i] + 1e-10) } }
    }
    var z = executor.softmax(ofRows: negativeUnary)
    var energies: [Double] = []
    for iteration in 0..<100 {
      var scores = affinities.product(z, on: executor)
      negativeUnary.withPointer { base in
        scores.withMutablePointer { scores in
          executor.forEachRow(count) { row in for i in row * classes..<(row + 1) * classes { scores[i] += base[i] } }
        }
      }
      z = executor.softmax(ofRows: scores)
      watch(z)
      let energy = energy(scores, z, on: executor)
      defer { energies.append(energy) }
      if iteration > 1, let last = energies.last, abs(energy - last) <= 1e-8 * abs(last) { break }
    }
    return (z, energies)
  }
  /// Σ z (unary − pairwise + log z): with z = softmax(pairwise − unary) that is −Σ log Σ exp(pairwise − unary), row by row, which the largest score of a
  /// row and its probability give.
  private static func energy(_ scores: Tensor, _ z: Tensor, on executor: Executor) -> Double {
    let (count, classes) = (scores.count, scores.rowElementCount)
    return withUnsafeTemporaryAllocation(of: Double.self, capacity: max(1, count)) { rows in
      guard let sums = rows.baseAddress else { return 0 }
      scores.withPointer { scores in
        z.withPointer { z in
          executor.forEachRow(count) { row in
            var best = row * classes
            for i in row * classes..<(row + 1) * classes where scores[i] > scores[best] { best = i }
            sums[row] = log(Double(z[best])) - Double(scores[best])
          }
        }
      }
      return (0..<count).reduce(0) { $0 + sums[$1] }
    }
  }
}

/// How much the images of a batch pull at each other: sparse for nearest neighbours, else a full matrix.
package struct Affinities {
  /// Neighbours of each image with their weights; nil where the matrix is full.
  let sparse: [[(index: Int, weight: Float)]]?
  let full: Tensor?

  package init(features: Tensor, _ options: Lame.Options, on executor: Executor) {
    let count = features.count
    var unit = features.reshaped(to: [count, features.rowElementCount])
    let width = unit.rowElementCount
    unit.withMutablePointer { values in
      executor.forEachRow(count) { row in
        var square = 0.0
        for k in row * width..<(row + 1) * width { square += Double(values[k]) * Double(values[k]) }
        let norm = Float(max(square.squareRoot(), 1e-12))
        for k in row * width..<(row + 1) * width { values[k] /= norm }
      }
    }
    let products = executor.products(ofRows: unit, withRows: unit)
    switch options.affinity {
    case .linear: (sparse, full) = (nil, products)
    case .knn:
      let nearest = Self.nearest(unit, products, min(options.neighbors, count - 1), on: executor)
      var rows = nearest.map { $0.sorted().map { (index: $0, weight: Float(1)) } }
      if options.symmetric {
        rows = rows.map { $0.map { ($0.index, 0.5) } }
        for (i, neighbors) in nearest.enumerated() {
          for j in neighbors {
            if let place = rows[j].firstIndex(where: { $0.index == i }) { rows[j][place].weight += 0.5 } else { rows[j].append((i, 0.5)) }
          }
        }
      }
      (sparse, full) = (rows, nil)
    case .rbf:
      // The nearest hit is the point itself, so the k-th counts one neighbour less.
      let others = Self.nearest(unit, products, min(options.neighbors, count) - 1, on: executor)
      var width = 0.0
      for (i, neighbors) in others.enumerated() {
        if let last = neighbors.last { width += Self.squaredDistance(unit, i, last).squareRoot() }
      }
      width /= Double(max(1, count))
      var matrix = products
      matrix.update { span in
        for i in 0..<count {
          for j in 0..<count {
            let square = max(0, 2 - 2 * Double(span[i * count + j]))
            span[i * count + j] = width > 0 ? (i == j ? 1 : Float(exp(-square / (2 * width * width)))) : 0
          }
        }
      }
      (sparse, full) = (nil, matrix)
    }
  }
  /// A full matrix, for tests.
  package init(full: Tensor) { (sparse, self.full) = (nil, full) }

  /// W Z.
  package func product(_ z: Tensor, on executor: Executor) -> Tensor {
    if let full { return executor.product(full, z) }
    guard let sparse else { return z }
    return executor.weightedSums(of: z, sparse)
  }

  private static func squaredDistance(_ rows: Tensor, _ i: Int, _ j: Int) -> Double {
    let width = rows.rowElementCount
    return rows.withSpan { span in
      var sum = 0.0
      for k in 0..<width {
        let difference = Double(span[i * width + k] - span[j * width + k])
        sum += difference * difference
      }
      return sum
    }
  }
  /// The nearest others of each row, nearest first. Products rank the candidates, exact distances the best of them.
  private static func nearest(_ rows: Tensor, _ products: Tensor, _ wanted: Int, on executor: Executor) -> [[Int]] {
    let count = rows.count
    guard wanted > 0 else { return Array(repeating: [], count: count) }
    let candidates = min(count - 1, wanted + 8)
    var nearest = [[Int]](repeating: [], count: count)
    nearest.withUnsafeMutableBufferPointer { found in
      // Each row is written by one worker alone.
      nonisolated(unsafe) let found = found
      products.withPointer { products in
        executor.forEachRow(count) { i in
          // A small ordered list: most rows are rejected by one comparison.
          var best: [(product: Float, index: Int)] = []
          best.reserveCapacity(candidates + 1)
          for j in 0..<count where j != i {
            let product = products[i * count + j]
            if best.count == candidates, product <= best[candidates - 1].product { continue }
            var place = best.count
            while place > 0, best[place - 1].product < product { place -= 1 }
            best.insert((product, j), at: place)
            if best.count > candidates { best.removeLast() }
          }
          let exact = best.map { (distance: squaredDistance(rows, i, $0.index), index: $0.index) }
          found[i] = exact.sorted { $0.distance != $1.distance ? $0.distance < $1.distance : $0.index < $1.index }.prefix(wanted).map(
            \.index)
        }
      }
    }
    return nearest
  }
}
