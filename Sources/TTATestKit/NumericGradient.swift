// Gradients by finite differences.

public import Engine

/// Checks gradients against central differences.
public enum NumericGradient {
  /// d f / d x[i] for the chosen elements, by central differences with step `step`.
  public static func of(_ f: (Tensor) throws -> Double, at x: Tensor, elements: [Int], step: Float = 1e-2) rethrows -> [Double] {
    try elements.map { i in
      let values = x.values
      var (up, down) = (values, values)
      up[i] += step
      down[i] -= step
      return try (f(Tensor(up, shape: x.shape)) - f(Tensor(down, shape: x.shape))) / Double(up[i] - down[i])
    }
  }

  /// The largest difference between an operator's gradients and central differences of Σ output · weights, over the elements of its first input.
  public static func worstInputDifference(
    of operation: any DifferentiableOperator, input: Tensor, parameters: [Tensor] = [], statistics: NormStatistics = .stored,
    elements: [Int], step: Float = 1e-2, threads: Int = 1
  ) throws -> Double {
    let probe = OperatorProbe(threads: threads)
    let shape = try probe.run(operation, inputs: [input], parameters: parameters, statistics: statistics).output.shape
    var random = RandomSource(seed: 11)
    let weights = Tensor((0..<shape.elementCount).map { _ in random.uniform(-1, 1) }, shape: shape)
    let exact = try probe.run(operation, inputs: [input], parameters: parameters, statistics: statistics, outputGradient: weights)
      .inputGradients[0].values
    let numeric = try of(
      { x in
        let output = try probe.run(operation, inputs: [x], parameters: parameters, statistics: statistics).output
        return zip(output.values, weights.values).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
      }, at: input, elements: elements, step: step)
    return zip(elements, numeric).reduce(0.0) { max($0, abs(Double(exact[$1.0]) - $1.1)) }
  }
}
