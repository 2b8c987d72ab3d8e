// What comes out of a strategy.

public import Engine

/// What a strategy says about a batch.
public struct Prediction: Sendable {
  /// As the method emits them: LAME's are probabilities and must not meet a softmax again.
  public enum Scores: Sendable {
    /// Scores before a softmax, images × classes.
    case logits(Tensor)
    /// Rows that sum to 1.
    case probabilities(Tensor)
    /// The numbers themselves, as emitted.
    public var tensor: Tensor {
      switch self {
      case .logits(let tensor), .probabilities(let tensor): tensor
      }
    }
  }
  /// One row per image.
  public var scores: Scores
  /// The classifier's inputs, where something tapped them.
  public var features: Tensor?
  /// How much each image was learnt from; nil where nothing is learnt.
  public var weights: [Float]?
  /// The loss that was minimised; nil where nothing was.
  public var loss: Float?

  /// The answer of one network.
  public init(_ output: Output) { (scores, features) = (.logits(output.logits), output.features) }
  /// An answer made otherwise.
  public init(_ scores: Scores, features: Tensor? = nil) { (self.scores, self.features) = (scores, features) }

  /// The scores as probabilities.
  public var probabilities: Tensor {
    switch scores {
    case .logits(let tensor): softmax(tensor)
    case .probabilities(let tensor): tensor
    }
  }
  /// The class of each image.
  public var labels: [Int] { largestColumns(of: scores.tensor) }
}
