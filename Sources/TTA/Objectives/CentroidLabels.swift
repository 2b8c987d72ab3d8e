// Pseudo-labels of a whole set by its own class centroids.

package import Engine

/// Labels of images by the nearest class centroid of their features, in two rounds.
///
/// Liang et al., "Do We Really Need to Access the Source Data?", ICML 2020, section 3.2 and `obtain_label` of the released code: features get a constant 1
/// and length 1; centroids weigh them by the predicted probabilities at first, by the labels of the first round then; distances are cosines; classes that
/// no prediction names have no centroid. Features and probabilities are rows, one per image; the first of the nearest classes wins at ties.
///
/// - Complexity: images × classes × features, twice.
package func centroidLabels(features: Tensor, probabilities: Tensor) -> [Int] {
  let (classes, width) = (probabilities.rowElementCount, features.rowElementCount + 1)
  let points = rows(of: features).map { row in
    let norm = max((row.reduce(1) { $0 + $1 * $1 }).squareRoot(), 1e-12)
    return (row + [1]).map { $0 / norm }
  }
  var weights = rows(of: probabilities)
  let named = Set(largestColumns(of: probabilities)).sorted()
  var labels: [Int] = []
  for _ in 0..<2 {
    var centroids = [[Double]](repeating: [Double](repeating: 0, count: width), count: classes)
    for (point, weight) in zip(points, weights) {
      for label in named where weight[label] != 0 {
        for k in 0..<width { centroids[label][k] += weight[label] * point[k] }
      }
    }
    // Cosines need no division by the total weight.
    let lengths = centroids.map { max($0.reduce(0) { $0 + $1 * $1 }.squareRoot(), 1e-12) }
    labels = points.map { point in
      var best = (label: named.first ?? 0, cosine: -Double.infinity)
      for label in named {
        var product = 0.0
        for k in 0..<width { product += point[k] * centroids[label][k] }
        if product / lengths[label] > best.cosine { best = (label, product / lengths[label]) }
      }
      return best.label
    }
    weights = labels.map { label in (0..<classes).map { $0 == label ? 1 : 0 } }
  }
  return labels
}
