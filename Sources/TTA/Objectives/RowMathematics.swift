// Rows of logits in double.

import Engine
import Foundation

/// One row of logits with its log-probabilities and probabilities.
struct LogitRow {
  let logits: [Double], logs: [Double], probabilities: [Double]

  init(_ logits: [Double]) {
    self.logits = logits
    let largest = logits.max() ?? 0
    let level = largest + log(logits.reduce(0) { $0 + exp($1 - largest) })
    logs = logits.map { $0 - level }
    probabilities = logs.map { exp($0) }
  }
  /// d / d logits from d / d probabilities: p ⊙ (g − ⟨g, p⟩).
  func throughSoftmax(_ gradient: [Double]) -> [Double] {
    let mean = zip(gradient, probabilities).reduce(0) { $0 + $1.0 * $1.1 }
    return zip(gradient, probabilities).map { $1 * ($0 - mean) }
  }
}

func rows(of tensor: Tensor) -> [[Double]] {
  let (values, width) = (tensor.values, tensor.rowElementCount)
  return (0..<tensor.count).map { row in values[row * width..<(row + 1) * width].map(Double.init) }
}

/// A loss per row: values and gradients.
func lossesPerRow(_ logits: Tensor, _ body: (_ row: LogitRow, _ index: Int) -> (value: Double, gradient: [Double])) -> Losses {
  var (values, gradients): ([Float], [Float]) = ([], [])
  for (index, row) in rows(of: logits).enumerated() {
    let (value, gradient) = body(LogitRow(row), index)
    values.append(Float(value))
    gradients += gradient.map(Float.init)
  }
  return Losses(values, Tensor(gradients, shape: logits.shape))
}

/// A function of the mean of all rows' probabilities: its value, and d value / d mean.
func lossOfMean(_ logits: Tensor, _ body: (_ mean: [Double]) -> (value: Double, gradient: [Double])) -> BatchTerm {
  let all = rows(of: logits).map(LogitRow.init)
  let count = Double(max(1, all.count))
  var mean = [Double](repeating: 0, count: logits.rowElementCount)
  for row in all { for (k, p) in row.probabilities.enumerated() { mean[k] += p / count } }
  let (value, gradient) = body(mean)
  let gradients = all.flatMap { row in row.throughSoftmax(gradient.map { $0 / count }).map(Float.init) }
  return BatchTerm(value: Float(value), logitGradients: Tensor(gradients, shape: logits.shape))
}

/// The cosine of the angle between two rows; 0 where one of them is 0.
func cosine(_ left: [Double], _ right: [Double]) -> Double {
  let product = zip(left, right).reduce(0) { $0 + $1.0 * $1.1 }
  let norms = (left.reduce(0) { $0 + $1 * $1 } * right.reduce(0) { $0 + $1 * $1 }).squareRoot()
  return norms > 0 ? product / norms : 0
}
/// The mean of several rows.
func meanRow(_ rows: [[Double]]) -> [Double] {
  var mean = [Double](repeating: 0, count: rows.first?.count ?? 0)
  for row in rows { for k in mean.indices { mean[k] += row[k] / Double(rows.count) } }
  return mean
}
extension Tensor {
  /// One value by its place.
  func value(_ index: Int) -> Float { withSpan { $0[index] } }
}
