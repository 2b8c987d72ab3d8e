// Corrections by the classes' shares in the stream, and a temperature.

public import Engine
import Foundation

/// Adds log π − log p to the logits: π the moving mean prediction of the stream, p the classes' shares in the source data.
///
/// Logit adjustment (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021) with the online prior of the Label Shift Adapter (Park et al.,
/// ICCV 2023): its baseline without a source stage. π starts uniform and follows the adjusted predictions.
public struct LogitAdjustment: OutputAdjuster {
  /// Rate and source shares.
  public struct Options: ComponentOptions {
    /// Share of each batch in π.
    public var rate: Float = 0.1
    /// Images per class in the source data; empty for a balanced one.
    public var sourceCounts: [Float] = []
    /// A balanced source.
    public init() {}
    /// For `tta list`.
    public static let meanings = [
      "rate": "share of each batch in the moving prior", "source_counts": "images per class in the source data; none for a balanced one",
    ]
    /// Rate from 0 to 1, counts above 0.
    public func validate() throws {
      try requireShare(rate, "rate")
      guard sourceCounts.allSatisfy({ $0 > 0 && $0.isFinite }) else { throw TTAError(.usage, "source_counts: expected numbers above 0") }
    }
  }
  static let summary = Summary(
    "adds the log ratio of the stream's and the source's class shares", paper: "Menon et al., ICLR 2021", updates: "nothing")

  let options: Options
  /// The moving prior; nil is uniform.
  public private(set) var prior: [Float]?
  /// An adjuster.
  public init(_ options: Options = Options()) { self.options = options }
  /// Counts must fit the classes.
  public func configure(_ setup: inout AdaptationSetup) throws {
    let (classes, counts) = (setup.model.graph.classCount, options.sourceCounts.count)
    guard counts == 0 || counts == classes else {
      throw TTAError(.usage, "logit-adjustment: \(counts) source counts for a model with \(classes) classes")
    }
  }
  /// Adjusts, then moves the prior.
  public mutating func adjust(_ prediction: inout Prediction, in context: borrowing AdaptationContext) {
    var logits = logSoftmaxIfNeeded(prediction)
    let classes = logits.rowElementCount
    let prior = self.prior ?? [Float](repeating: 1 / Float(classes), count: classes)
    let total = options.sourceCounts.reduce(0, +)
    let offsets = (0..<classes).map { k in
      log(max(prior[k], 1e-12)) - log(options.sourceCounts.isEmpty ? 1 / Float(classes) : options.sourceCounts[k] / total)
    }
    logits.update { span in for i in span.indices { span[i] += offsets[i % classes] } }
    prediction.scores = .logits(logits)
    let mean = meanRow(rows(of: softmax(logits)))
    self.prior = zip(prior, mean).map { (1 - options.rate) * $0 + options.rate * Float($1) }
  }
}

/// Multiplies the logits by the smoothed mean prediction of the batch.
///
/// The prior correction of ROID (Marsden et al., WACV 2024) as its code has it: with s = max(1/B, 1/K) / max p̄ the factor is
/// (p̄ + s) / (1 + K s). It multiplies *logits*, not probabilities, which turns the effect round for negative ones.
public struct PriorCorrection: OutputAdjuster {
  static let summary = Summary("multiplies logits by the smoothed mean prediction of the batch", paper: "Marsden et al., WACV 2024")
  /// An adjuster.
  public init() {}
  /// One factor per class.
  public func adjust(_ prediction: inout Prediction, in context: borrowing AdaptationContext) {
    let logits = logSoftmaxIfNeeded(prediction)
    prediction.scores = .logits(Self.corrected(logits, by: Self.factors(of: logits)))
  }
  /// The factors of a batch.
  public static func factors(of logits: Tensor) -> [Float] {
    let mean = meanRow(rows(of: softmax(logits)))
    let (count, classes) = (Double(logits.count), Double(mean.count))
    let smoothing = max(1 / count, 1 / classes) / (mean.max() ?? 1)
    return mean.map { Float(($0 + smoothing) / (1 + smoothing * classes)) }
  }
  static func corrected(_ logits: Tensor, by factors: [Float]) -> Tensor {
    var result = logits
    result.update { span in for i in span.indices { span[i] *= factors[i % factors.count] } }
    return result
  }
}

/// Divides the logits by a temperature: changes confidences, not classes.
///
/// Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
public struct Temperature: OutputAdjuster {
  /// The temperature.
  public struct Options: ComponentOptions {
    /// Above 1 for less certain predictions.
    public var temperature: Float = 1
    /// 1.
    public init() {}
    /// For `tta list`.
    public static let meanings = ["temperature": "what logits are divided by; above 1 for less certain predictions"]
    /// Above 0.
    public func validate() throws {
      guard temperature.isFinite, temperature > 0 else {
        throw TTAError(.usage, "temperature: expected a number above 0, got \(temperature)")
      }
    }
  }
  static let summary = Summary("divides logits by a temperature", paper: "Guo et al., ICML 2017")
  let options: Options
  /// An adjuster.
  public init(_ options: Options = Options()) { self.options = options }
  /// One division.
  public func adjust(_ prediction: inout Prediction, in context: borrowing AdaptationContext) {
    var logits = logSoftmaxIfNeeded(prediction)
    logits.update { span in for i in span.indices { span[i] /= options.temperature } }
    prediction.scores = .logits(logits)
  }
}

/// Logits as they are; of probabilities their logarithm.
private func logSoftmaxIfNeeded(_ prediction: Prediction) -> Tensor {
  guard case .probabilities(var tensor) = prediction.scores else { return prediction.scores.tensor }
  tensor.update { span in for i in span.indices { span[i] = log(max(span[i], 1e-30)) } }
  return tensor
}
