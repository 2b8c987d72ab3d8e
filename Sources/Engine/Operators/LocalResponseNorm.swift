// Normalisation by neighbouring channels.

import Foundation

/// x / (bias + α / size · Σ x²)^β, the sum over `size` neighbouring channels: half of them, rounded down, in front.
///
/// Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012, section 3.3, with ONNX's division by
/// the size. Nothing of it is learnt, so it is no norm layer to methods that adapt those.
public struct LocalResponseNorm: DifferentiableOperator {
  /// `local response norm`.
  public static let name = "local response norm"
  /// Number of channels of a sum.
  public var size: Int
  /// Constants of the formula.
  public var alpha: Float, beta: Float, bias: Float
  /// A layer.
  public init(size: Int, alpha: Float, beta: Float, bias: Float) {
    (self.size, self.alpha, self.beta, self.bias) = (size, alpha, beta, bias)
  }

  /// The input's shape.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 3, size > 0 else { throw wrongInputs(Self.name, expected: "one image", got: inputs) }
    return inputs[0]
  }
  /// Channels that the sum of channel `c` covers.
  private func window(_ c: Int, _ channels: Int) -> Range<Int> { max(0, c - (size - 1) / 2)..<min(channels, c + size / 2 + 1) }
  /// bias + α / size · Σ x² at one position, for every channel.
  private func divisors(_ x: UnsafePointer<Float>, _ channels: Int, _ area: Int, _ result: UnsafeMutableBufferPointer<Double>) {
    for c in 0..<channels {
      var sum = 0.0
      for k in window(c, channels) { sum += Double(x[k * area]) * Double(x[k * area]) }
      result[c] = Double(bias) + Double(alpha) / Double(size) * sum
    }
  }
  /// Position by position, in double.
  public func forward(_ call: borrowing OperatorCall) {
    let shape = call.outputShape
    let (channels, area) = (shape[0], shape[1] * shape[2])
    let (x, y) = (call.inputs[0], call.output)
    call.forEachImage { image, _ in
      withUnsafeTemporaryAllocation(of: Double.self, capacity: channels) { divisors in
        for position in image * channels * area..<image * channels * area + area {
          self.divisors(x + position, channels, area, divisors)
          for c in 0..<channels { y[position + c * area] = Float(Double(x[position + c * area]) * pow(divisors[c], -Double(beta))) }
        }
      }
    }
  }
  /// The input.
  public func retained(forParameters: Bool) -> RetainedValues { .inputs }
  /// g d^−β − 2 α β / size · x Σ g x d^(−β−1) over the channels whose sums cover this one.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let shape = call.call.outputShape
    let (channels, area) = (shape[0], shape[1] * shape[2])
    let (x, gy) = (call.call.inputs[0], call.outputGradient)
    let factor = 2 * Double(alpha) * Double(beta) / Double(size)
    call.call.forEachImage { image, _ in
      withUnsafeTemporaryAllocation(of: Double.self, capacity: 3 * channels) { memory in
        let divisors = UnsafeMutableBufferPointer(rebasing: memory[..<channels])
        let (own, shared) = (channels, 2 * channels)
        for position in image * channels * area..<image * channels * area + area {
          self.divisors(x + position, channels, area, divisors)
          for c in 0..<channels {
            let power = pow(divisors[c], -Double(beta))
            memory[own + c] = Double(gy[position + c * area]) * power
            memory[shared + c] = memory[own + c] * Double(x[position + c * area]) / divisors[c]
          }
          for c in 0..<channels {
            var sum = 0.0
            for k in max(0, c - size / 2)..<min(channels, c + (size - 1) / 2 + 1) { sum += memory[shared + k] }
            gradient[position + c * area] = Float(memory[own + c] - factor * Double(x[position + c * area]) * sum)
          }
        }
      }
    }
  }
}
