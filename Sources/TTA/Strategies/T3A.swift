// Class centroids from the most certain features of the stream.

import Engine
import Foundation

/// Classifies by the direction of class centroids: the classifier's rows and, per class, the most certain features seen so far.
///
/// Iwasawa and Matsuo, "Test-Time Classifier Adjustment Module for Model-Agnostic Domain Generalization", NeurIPS 2021. A support's class and entropy are those
/// of the model's own prediction; the current batch joins before it is answered; scores are products with the normalised centroid, without the
/// classifier's offset. `keep: 0` keeps everything (the released code's −1 drops the least certain one of each class).
public struct T3A: AdaptationStrategy {
  /// How many supports.
  public struct Options: ComponentOptions {
    /// Supports per class; 0 for all.
    public var keep = 100
    /// 100, as TTAB has it; the paper's grid is 1, 5, 20, 50, 100, all.
    public init() {}
    /// For `tta list`.
    public static let meanings = ["keep": "supports per class; 0 for all, which grows with the stream"]
    /// At least 0.
    public func validate() throws {
      guard keep >= 0 else { throw TTAError(.usage, "keep: expected at least 0, got \(keep)") }
    }
  }
  static let summary = Summary(
    "class centroids from the most certain features", paper: "Iwasawa and Matsuo, NeurIPS 2021", updates: "nothing of the model",
    forwards: "1", needs: ["a linear classifier"])

  private struct Support: Codable {
    var feature: Tensor
    var entropy: Float
  }
  let keep: Int
  private var supports: [[Support]] = []
  /// The direction of each class's supports; nil before the first batch.
  private var centroids: Tensor?
  private var classifierWeight: ParameterID?, classifierBias: ParameterID?

  /// T3A with the given options.
  public init(_ options: Options = Options()) { keep = options.keep }
  /// Needs the features and the classifier.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    let classifier = try setup.classifier()
    (classifierWeight, classifierBias) = (classifier.weight, classifier.bias)
    setup.options.taps.insert(.features)
    // The classifier's rows as supports, their centroids, and their products with each other twice.
    let shape = setup.model.graph.parameters[classifier.weight.index].shape
    setup.memory.bytes += 8 * shape.elementCount + 8 * shape[0] * shape[0]
  }
  /// One forward; supports grow and are cut; centroids answer.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    let output = try context.forward(batch.images)
    guard let features = output.features else { throw TTAError(.internal, "t3a: no features") }
    let (labels, entropies) = (output.labels, output.entropies)
    var changed = Set(labels)
    if supports.isEmpty { supports = initialSupports(context) }
    if centroids == nil { changed = Set(supports.indices) }
    for row in 0..<batch.count { supports[labels[row]].append(Support(feature: features[[row]], entropy: entropies[row])) }
    var directions = centroids ?? Tensor(zeros: [supports.count, features.rowElementCount])
    centroids = nil
    for label in changed.sorted() {
      cut(label)
      direct(&directions, label, supports[label])
    }
    centroids = directions
    return Prediction(.logits(scores(features, directions, context)), features: features)
  }
  /// The centroids as they are.
  public func predict(_ batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    let output = try context.forward(batch.images)
    guard let features = output.features else { throw TTAError(.internal, "t3a: no features") }
    let supports = supports.isEmpty ? initialSupports(context) : supports
    let directions = centroids ?? directions(of: supports, width: features.rowElementCount)
    return Prediction(.logits(scores(features, directions, context)), features: features)
  }

  /// The classifier's rows, each filed under the class that the classifier gives it.
  private func initialSupports(_ context: borrowing AdaptationContext) -> [[Support]] {
    guard let id = classifierWeight else { return [] }
    let weight = context.source[id]
    var logits = context.executor.products(ofRows: weight, withRows: weight)
    if let bias = classifierBias.map({ context.source[$0].values }) {
      logits.update { span in for i in span.indices { span[i] += bias[i % bias.count] } }
    }
    let rows = Output(logits: logits)
    let entropies = rows.entropies
    var result: [[Support]] = Array(repeating: [], count: weight.count)
    for (row, label) in rows.labels.enumerated() { result[label].append(Support(feature: weight[[row]], entropy: entropies[row])) }
    return result
  }
  private mutating func cut(_ label: Int) {
    guard keep > 0, supports[label].count > keep else { return }
    // Stable: earlier ones first at ties.
    let order = supports[label].indices.sorted { a, b in
      let (left, right) = (supports[label][a].entropy, supports[label][b].entropy)
      return left != right ? left < right : a < b
    }
    supports[label] = order.prefix(keep).map { supports[label][$0] }
  }
  private func directions(of supports: [[Support]], width: Int) -> Tensor {
    var directions = Tensor(zeros: [supports.count, width])
    for (label, members) in supports.enumerated() { direct(&directions, label, members) }
    return directions
  }
  /// Writes the direction of a class's supports.
  private func direct(_ directions: inout Tensor, _ label: Int, _ members: [Support]) {
    let width = directions.rowElementCount
    var sum = [Double](repeating: 0, count: width)
    for support in members {
      support.feature.withSpan { values in
        let norm = max(values.indices.reduce(0.0) { $0 + Double(values[$1]) * Double(values[$1]) }.squareRoot(), 1e-12)
        for k in 0..<width { sum[k] += Double(values[k]) / norm }
      }
    }
    let norm = max(sum.reduce(0) { $0 + $1 * $1 }.squareRoot(), 1e-12)
    directions.update { span in for k in 0..<width { span[label * width + k] = Float(sum[k] / norm) } }
  }
  private func scores(_ features: Tensor, _ directions: Tensor, _ context: borrowing AdaptationContext) -> Tensor {
    context.executor.products(ofRows: features.reshaped(to: [features.count, directions.rowElementCount]), withRows: directions)
  }
}
