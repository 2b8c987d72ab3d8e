// Certain predictions that differ from each other.

public import Engine

/// Mean entropy, minus the entropy of the mean prediction, plus a cross entropy to the labels of confident images.
///
/// The objective of SHOT (Liang et al., "Do We Really Need to Access the Source Data?", ICML 2020) in TTAB's online form: the pseudo-labels are the
/// predictions themselves where the largest probability is above 0.9. The entropy is a loss per image, which filters weigh; the other two
/// belong to the batch. Without a confident image the cross entropy is left out (the released code's mean over nothing is not a number).
public struct InformationMaximization: Objective {
  /// Weights of the parts.
  public struct Options: ComponentOptions {
    /// Largest probability from which an image counts as confident.
    public var confidence: Float = 0.9
    /// Weight of the cross entropy.
    public var labelWeight: Float = 0.3
    /// TTAB's.
    public init() {}
    /// For `tta list`.
    public static let meanings = [
      "confidence": "largest probability above which an image's own label is believed", "label_weight": "weight of the cross entropy to it",
    ]
  }
  let options: Options
  /// The objective with its weights.
  public init(_ options: Options = Options()) { self.options = options }
  /// Entropies, and the terms of the batch.
  public func losses(of output: Output) -> Losses {
    var losses = Entropy().losses(of: output)
    var term = LossFunctions.diversity(output.logits)
    let confidences = output.confidences
    let confident = confidences.indices.filter { confidences[$0] > options.confidence }
    if !confident.isEmpty {
      let labels = LossFunctions.crossEntropy(output.logits, pseudoLabels: output.labels)
      let factor = options.labelWeight / Float(confident.count)
      let width = output.logits.rowElementCount
      for row in confident { term.value += factor * labels.values[row] }
      labels.logitGradients.withSpan { added in
        term.logitGradients.update { gradient in
          for row in confident { for k in row * width..<(row + 1) * width { gradient[k] += factor * added[k] } }
        }
      }
    }
    losses.batchTerm = term
    return losses
  }
}
