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
      try requireCount(neighbors, "neighbors")
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
      Self.solve(start, affinities, on: context.executor) { z in context.observe("lame-iterate", z()) }.result)
  }

  /// Z, and the energy after each iteration; `watch` sees Z then.
  package static func solve(
    _ probabilities: Tensor, _ affinities: Affinities, on executor: Executor, watch: (_ z: () -> Tensor) -> Void = { _ in }
  ) -> (result: Tensor, energies: [Double]) {
    var iteration = NeighbourIteration(probabilities, affinities.weights, on: executor)
    var energies: [Double] = []
    for count in 0..<100 {
      let energy = iteration.step(on: executor)
      watch { iteration.rows }
      defer { energies.append(energy) }
      if count > 1, let last = energies.last, abs(energy - last) <= 1e-8 * abs(last) { break }
    }
    return (iteration.rows, energies)
  }
}

/// How much the images of a batch pull at each other: sparse for nearest neighbours, else a full matrix.
package struct Affinities {
  package let weights: NeighbourIteration.Weights

  package init(features: Tensor, _ options: Lame.Options, on executor: Executor) {
    let count = features.count
    let unit = executor.unitRows(features)
    switch options.affinity {
    case .linear: weights = .full(executor.products(ofRows: unit, withRows: unit))
    case .knn:
      let wanted = min(options.neighbors, count - 1)
      let nearest = executor.nearest(ofUnitRows: unit, wanted, ordered: false)
      weights = .sparse(
        options.symmetric ? Self.symmetric(nearest, wanted, count) : NeighbourWeights(indices: nearest, perRow: wanted, rows: count))
    case .rbf:
      // The nearest hit is the point itself, so the k-th counts one neighbour less.
      let wanted = min(options.neighbors, count) - 1
      let others = executor.nearest(ofUnitRows: unit, wanted, ordered: true)
      var width = 0.0
      for i in 0..<count where wanted > 0 { width += Self.squaredDistance(unit, i, Int(others[(i + 1) * wanted - 1])).squareRoot() }
      width /= Double(max(1, count))
      var matrix = executor.products(ofRows: unit, withRows: unit)
      matrix.withMutablePointer { values in
        executor.forEachRow(count) { i in
          for j in 0..<count {
            let square = max(0, 2 - 2 * Double(values[i * count + j]))
            values[i * count + j] = width > 0 ? (i == j ? 1 : Float(exp(-square / (2 * width * width)))) : 0
          }
        }
      }
      weights = .full(matrix)
    }
  }
  /// A full matrix, for tests.
  package init(full: Tensor) { weights = .full(full) }

  /// The mean of both directions: neighbours of one direction only count half.
  private static func symmetric(_ nearest: [Int32], _ wanted: Int, _ count: Int) -> NeighbourWeights {
    var rows = (0..<count).map { i in nearest[i * wanted..<(i + 1) * wanted].map { (index: Int($0), weight: Float(0.5)) } }
    for i in 0..<count {
      for j in nearest[i * wanted..<(i + 1) * wanted].map(Int.init) {
        if let place = rows[j].firstIndex(where: { $0.index == i }) { rows[j][place].weight += 0.5 } else { rows[j].append((i, 0.5)) }
      }
    }
    return NeighbourWeights(rows)
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
}
