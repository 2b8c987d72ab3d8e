// How a forward runs and what it hands out.

internal import CKernels
import Foundation

/// How a forward runs, and what it hands out.
public struct ForwardOptions: Sendable {
  /// Statistics of batch norm layers.
  public var statistics = NormStatistics.stored
  /// Results to hand out beside the scores.
  public var taps: Set<Tap> = []
  /// The node whose rows are `Output.logits`: the classifier, or a second head. What it does not depend on is not computed.
  public var scores = Tap.logits
  /// Reports the moments of every batch norm layer.
  public var reportsMoments = false
  /// A pass also gives the gradient of the images.
  public var differentiatesImages = false
  /// Values of the model's inputs beside the images; the others have their defaults.
  public var inputs: [InputID: Tensor] = [:]
  /// Evaluation mode: stored statistics, logits only.
  public init() {}
  /// The same with other statistics.
  public func with(_ statistics: NormStatistics) -> Self {
    var options = self
    options.statistics = statistics
    return options
  }
}

/// What a forward computed, one row per image.
public struct Output: Sendable {
  /// Scores of the classes, images × classes, or those of the head that `ForwardOptions.scores` names.
  public let logits: Tensor
  /// All results that were asked for, the logits included.
  public let taps: [Tap: Tensor]
  /// Empty unless asked for.
  public let moments: NormMoments
  /// Results of a forward, or made-up ones for tests.
  public init(logits: Tensor, taps: [Tap: Tensor] = [:], moments: NormMoments = NormMoments()) {
    (self.logits, self.taps, self.moments) = (logits, taps, moments)
  }
  /// Softmax of the logits.
  public var probabilities: Tensor { softmax(logits) }
  /// Entropy of each row's probabilities, in nats.
  public var entropies: [Float] {
    let classes = logits.rowElementCount
    let logs = logSoftmax(logits)
    return logs.withPointer { row in
      (0..<logs.count).map { image in
        var sum = 0.0
        for k in 0..<classes {
          let log = Double(row[image * classes + k])
          sum -= exp(log) * log
        }
        return Float(sum)
      }
    }
  }
  /// Largest probability of each row.
  public var confidences: [Float] {
    let probabilities = probabilities
    let classes = probabilities.rowElementCount
    return probabilities.withPointer { row in
      (0..<probabilities.count).map { image in (0..<classes).reduce(0) { max($0, row[image * classes + $1]) } }
    }
  }
  /// The class with the largest score of each row; the first at ties.
  public var labels: [Int] { largestColumns(of: logits) }
  /// The classifier's input, if tapped.
  public var features: Tensor? { taps[.features] }
}

/// Softmax of each row.
public func softmax(_ logits: Tensor) -> Tensor {
  var result = Tensor(uninitialized: logits.shape)
  result.withMutablePointer { target in
    logits.withPointer { ck_softmax_rows($0, target, logits.count, logits.rowElementCount) }
  }
  return result
}

/// Logarithm of the softmax of each row.
public func logSoftmax(_ logits: Tensor) -> Tensor {
  var result = Tensor(uninitialized: logits.shape)
  result.withMutablePointer { target in
    logits.withPointer { ck_log_softmax_rows($0, target, logits.count, logits.rowElementCount) }
  }
  return result
}

/// The column with the largest value of each row; the first at ties.
public func largestColumns(of rows: Tensor) -> [Int] {
  let width = rows.rowElementCount
  return rows.withPointer { row in
    (0..<rows.count).map { image in
      var best = 0
      for k in 1..<max(1, width) where row[image * width + k] > row[image * width + best] { best = k }
      return best
    }
  }
}
