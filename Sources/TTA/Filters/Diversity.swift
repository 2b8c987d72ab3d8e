// Images that say what was said before are left out.

public import Engine

/// Keeps images whose predictions differ from the moving mean of what was kept before: |cos(q, p)| below a margin.
///
/// The second mask of EATA (Niu et al., ICML 2022). q starts with the mean of the first images kept and moves by a tenth per batch; it does not move when
/// nothing is kept. With 10 classes the published margin 0.05 drops nearly everything: forks use 0.4 on CIFAR-10, 0.1 on CIFAR-100.
public struct Diversity: SampleFilter {
  /// The margin.
  public struct Options: ComponentOptions {
    /// Largest cosine that counts as different.
    public var margin: Float = 0.4
    /// 0.4, for ten classes.
    public init() {}
    /// A margin.
    public init(margin: Float) { self.margin = margin }
    /// For `tta list`.
    public static let meanings = [
      "margin": "largest cosine to the moving mean that counts as different: 0.4 for 10 classes, 0.05 for 1,000"
    ]
    /// From 0 to 1.
    public func validate() throws {
      guard margin > 0, margin <= 1 else { throw TTAError(.usage, "margin: expected a number above 0 and at most 1, got \(margin)") }
    }
  }
  let options: Options
  /// The moving mean prediction; nil before anything was kept.
  public private(set) var mean: [Float]?
  /// What was kept of the batch so far; nothing between batches, so that no checkpoint needs it.
  private var kept: [[Double]] = []
  private enum CodingKeys: String, CodingKey { case options, mean }
  /// A filter with a margin.
  public init(_ options: Options = Options()) { self.options = options }
  /// True: the mean moves after the batch.
  public var judgesImagesAlone: Bool { true }
  /// Drops what resembles the mean.
  public mutating func weigh(_ weights: inout [Float], of output: Output, for batch: Batch, in context: inout AdaptationContext) {
    let probabilities = rows(of: output.probabilities)
    if let mean {
      let direction = mean.map(Double.init)
      for i in weights.indices where weights[i] != 0 && abs(cosine(direction, probabilities[i])) >= Double(options.margin) {
        weights[i] = 0
      }
    }
    for i in weights.indices where weights[i] != 0 { kept.append(probabilities[i]) }
  }
  /// Moves the mean towards what was kept.
  public mutating func didWeigh(in context: borrowing AdaptationContext) {
    if !kept.isEmpty {
      let batchMean = meanRow(kept).map(Float.init)
      mean = mean.map { old in zip(old, batchMean).map { 0.9 * $0 + 0.1 * $1 } } ?? batchMean
      kept = []
    }
    let classes = context.graph.classCount
    context.observe("moving-probability", Tensor(mean ?? [Float](repeating: 0, count: classes), shape: [classes]))
  }
}
