// Adam and AdamW as PyTorch computes them.

internal import CKernels

/// Adam, with L2 weight decay, or AdamW, with decoupled weight decay.
///
/// Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2019. ε outside the square root, bias correction; a parameter's step count starts with its
/// first gradient, as PyTorch's does.
public struct Adam: Optimizer {
  /// Step size.
  public var learningRate: Float
  /// Decay of the two moments.
  public var beta1: Float, beta2: Float
  /// Added to the root of the second moment.
  public var epsilon: Float
  /// Weight decay.
  public var weightDecay: Float
  /// AdamW: decay acts on the parameter, not on the gradient.
  public var decoupled: Bool
  private var first = OptimizerState(), second = OptimizerState()
  private var steps = ByParameter<Int>()

  /// PyTorch's defaults but for the learning rate.
  public init(
    learningRate: Float, beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8, weightDecay: Float = 0, decoupled: Bool = false
  ) {
    (self.learningRate, self.beta1, self.beta2, self.epsilon) = (learningRate, beta1, beta2, epsilon)
    (self.weightDecay, self.decoupled) = (weightDecay, decoupled)
  }
  /// Two moments.
  public var keptPerValue: Int { 2 }
  /// One update.
  public mutating func step(_ parameters: inout Parameters, _ gradients: Gradients, rates: RateScales) {
    for (id, gradient) in gradients.ordered {
      steps.values[id, default: 0] += 1
      var settings = ck_adam_settings(
        learning_rate: learningRate * rates.factor(of: id), beta1: beta1, beta2: beta2, epsilon: epsilon, weight_decay: weightDecay,
        decoupled: decoupled ? 1 : 0, step: steps.values[id, default: 1])
      let shape = gradient.shape
      parameters.update(id) { tensor in
        tensor.withMutablePointer { values in
          first.update(id, shape: shape) { m in
            second.update(id, shape: shape) { v in gradient.withPointer { ck_adam(&settings, values, $0, m, v, shape.elementCount) } }
          }
        }
      }
    }
  }
}
