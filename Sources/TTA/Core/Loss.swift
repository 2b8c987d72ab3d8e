// What is minimised.

public import Engine

/// A term of the loss that belongs to the batch as a whole: diversity, marginal entropy.
public struct BatchTerm: Sendable {
  /// The term.
  public var value: Float
  /// Its gradient, one row per image.
  public var logitGradients: Tensor
  /// A term and its gradient.
  public init(value: Float, logitGradients: Tensor) { (self.value, self.logitGradients) = (value, logitGradients) }
}

/// One loss and one gradient row per image, unaveraged, so that filters can weigh images; and a batch term, which no filter touches.
public struct Losses: Sendable {
  /// One per image.
  public var values: [Float]
  /// Row i is d values[i] / d logits[i].
  public var logitGradients: Tensor
  /// A term of the whole batch.
  public var batchTerm: BatchTerm?
  /// Losses per image.
  public init(_ values: [Float], _ logitGradients: Tensor, batchTerm: BatchTerm? = nil) {
    (self.values, self.logitGradients, self.batchTerm) = (values, logitGradients, batchTerm)
  }
}

/// Losses weighed and reduced: what a backward starts from.
public struct Loss: Sendable {
  /// The scalar.
  public var value: Float
  /// The weight of each image.
  public var weights: [Float]
  /// The scalar's gradient; zeros when empty.
  public var gradient: OutputGradient
  /// Nothing kept and no batch term. Most methods then skip the step; SAR takes it, and momentum moves on.
  public var isEmpty: Bool
  /// The same numbers.
  public init(value: Float, weights: [Float], gradient: OutputGradient, isEmpty: Bool) {
    (self.value, self.weights, self.gradient, self.isEmpty) = (value, weights, gradient, isEmpty)
  }
  /// Images with a weight other than 0.
  public var kept: [Int] { weights.indices.filter { weights[$0] != 0 } }
}

/// What the weighted sum is divided by.
public enum Reduction: Hashable, Codable, Sendable {
  /// The number of images kept.
  case kept
  /// A fixed number: the images of a full batch.
  case count(Int)

  /// What the sum of so weighed losses is divided by.
  func divisor(for weights: [Float]) -> Float {
    switch self {
    case .kept: Float(max(1, weights.count { $0 != 0 }))
    case .count(let count): Float(count)
    }
  }
}
