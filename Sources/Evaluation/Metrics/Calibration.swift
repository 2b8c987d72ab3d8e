// How far confidences can be believed.

import CEvaluation
import Engine
public import TTA

/// Sums over judged answers from which likelihood and calibration follow.
public struct Calibration: Codable, Hashable, Sendable {
  /// Bins of equal width in confidence (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).
  public static let binCount = 15
  /// Judged answers in each bin.
  public private(set) var counts = [Double](repeating: 0, count: binCount)
  /// Sums of confidences in each bin.
  public private(set) var confidences = [Double](repeating: 0, count: binCount)
  /// Right answers in each bin.
  public private(set) var correct = [Double](repeating: 0, count: binCount)
  private var logLoss = 0.0, squares = 0.0, entropies = 0.0
  /// Answers, and those of them that were judged.
  public private(set) var answered = 0, judged = 0

  /// Nothing counted yet.
  public init() {}

  /// What telling known from unknown pictures goes by, one number per picture.
  struct Certainty {
    /// The highest probability.
    var confidence: [Float]
    /// The logarithm of the sum of exponentials of logits; the highest probability where the strategy answers with probabilities.
    var energy: [Float]
  }

  /// Adds the answers to a batch; `labels` are -1 where a picture is not judged.
  public mutating func add(_ prediction: Prediction, labels: [Int]) { _ = score(prediction, labels: labels) }

  /// The same, giving each picture's certainty.
  mutating func score(_ prediction: Prediction, labels: [Int]) -> Certainty {
    let scores = prediction.scores.tensor
    var areProbabilities = false
    if case .probabilities = prediction.scores { areProbabilities = true }
    var sums = ce_sums()
    var certainty = Certainty(confidence: Array(repeating: 0, count: scores.count), energy: Array(repeating: 0, count: scores.count))
    let classes = labels.map { Int32($0) }
    scores.values.withUnsafeBufferPointer { values in
      ce_score_rows(
        values.baseAddress, scores.count, scores.rowElementCount, areProbabilities, classes, Self.binCount, &counts, &confidences, &correct,
        &certainty.confidence, &certainty.energy, &sums)
    }
    logLoss += sums.log_loss
    squares += sums.brier
    entropies += sums.entropy
    answered += Int(sums.answered)
    judged += Int(sums.judged)
    return certainty
  }
  /// Adds the sums of another part of a stream.
  public mutating func add(_ other: Calibration) {
    for bin in counts.indices {
      counts[bin] += other.counts[bin]
      confidences[bin] += other.confidences[bin]
      correct[bin] += other.correct[bin]
    }
    logLoss += other.logLoss
    squares += other.squares
    entropies += other.entropies
    answered += other.answered
    judged += other.judged
  }

  /// Expected calibration error with 15 bins, in per cent; 0 where nothing was judged.
  public var expectedErrorPercent: Double {
    guard judged > 0 else { return 0 }
    return 100 * counts.indices.reduce(0) { $0 + abs(correct[$1] - confidences[$1]) } / Double(judged)
  }
  /// Mean negative logarithm of the true class's probability, in nats; probabilities below 1e-12 count as that.
  public var negativeLogLikelihood: Double { judged > 0 ? logLoss / Double(judged) : 0 }
  /// Mean squared distance of the probabilities from the truth, summed over classes: 0...2 (Brier, 1950).
  public var brierScore: Double { judged > 0 ? squares / Double(judged) : 0 }
  /// Mean entropy of the answers, in nats.
  public var meanEntropy: Double { answered > 0 ? entropies / Double(answered) : 0 }
}
