// The entropy of predictions.

public import Engine
import Foundation

/// H(p) = −Σ p log p with p = softmax(z), and d H / d zₖ = −pₖ (log pₖ + H).
///
/// The objective of TENT (Wang et al., ICLR 2021, equation 1), computed through the log-softmax: no epsilon, 0 in the limit of certainty.
public struct Entropy: Objective {
  /// No options.
  public init() {}
  /// Each image has its own loss.
  public func part(_ images: Range<Int>) -> Self? { self }
  /// One entropy and one gradient row per image.
  public func losses(of output: Output) -> Losses {
    let logs = logSoftmax(output.logits)
    let classes = logs.rowElementCount
    var values = [Float](repeating: 0, count: logs.count)
    var gradients = Tensor(zeros: logs.shape)
    logs.withSpan { log in
      gradients.update { gradient in
        for image in 0..<logs.count {
          let row = image * classes..<(image + 1) * classes
          var entropy = 0.0
          for k in row {
            let probability = exp(Double(log[k]))
            if probability != 0 { entropy -= probability * Double(log[k]) }
          }
          for k in row {
            let probability = exp(Double(log[k]))
            gradient[k] = probability != 0 ? Float(-probability * (Double(log[k]) + entropy)) : 0
          }
          values[image] = Float(entropy)
        }
      }
    }
    return Losses(values, gradients)
  }
}
