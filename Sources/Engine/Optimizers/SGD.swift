// Stochastic gradient descent as PyTorch computes it.

internal import CKernels

/// Stochastic gradient descent with momentum. Papers differ in `nesterov`: see each method.
public struct SGD: Optimizer {
  /// Step size.
  public var learningRate: Float
  /// Share of the velocity that stays, and share of the gradient that does not enter it.
  public var momentum: Float, dampening: Float
  /// Whether the step looks ahead along the velocity.
  public var nesterov: Bool
  /// L2 weight decay.
  public var weightDecay: Float
  private var velocity = OptimizerState()

  /// A fresh optimiser.
  public init(learningRate: Float, momentum: Float = 0, nesterov: Bool = false, weightDecay: Float = 0, dampening: Float = 0) {
    (self.learningRate, self.momentum, self.nesterov) = (learningRate, momentum, nesterov)
    (self.weightDecay, self.dampening) = (weightDecay, dampening)
  }
  /// The velocity, if there is momentum.
  public var keptPerValue: Int { momentum == 0 ? 0 : 1 }
  /// One update.
  public mutating func step(_ parameters: inout Parameters, _ gradients: Gradients, rates: RateScales) {
    for (id, gradient) in gradients.ordered {
      var settings = ck_sgd_settings(
        learning_rate: learningRate * rates.factor(of: id), momentum: momentum, dampening: dampening, weight_decay: weightDecay,
        nesterov: nesterov ? 1 : 0, first: velocity.contains(id) ? 0 : 1)
      let shape = gradient.shape
      parameters.update(id) { tensor in
        tensor.withMutablePointer { values in
          guard momentum != 0 else { return gradient.withPointer { ck_sgd(&settings, values, $0, nil, shape.elementCount) } }
          velocity.update(id, shape: shape) { v in gradient.withPointer { ck_sgd(&settings, values, $0, v, shape.elementCount) } }
        }
      }
    }
  }
}
