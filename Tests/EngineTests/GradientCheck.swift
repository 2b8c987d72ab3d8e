// Gradients of an operator against finite differences.

import Engine
import TTATestKit
import Testing

/// Uniform values.
func tensor(_ shape: Shape, _ random: inout RandomSource, _ low: Float = -1, _ high: Float = 1) -> Tensor {
  Tensor((0..<shape.elementCount).map { _ in random.uniform(low, high) }, shape: shape)
}

/// All gradients of Σ output · weights against central differences: of every input, and of the first `learnt` parameters.
func checkGradients(
  of operation: any DifferentiableOperator, _ inputs: [Tensor], _ parameters: [Tensor] = [], statistics: NormStatistics = .stored,
  learnt: Int = 0, tolerance: Double = 2e-3, step: Float = 1e-2
) throws {
  let probe = OperatorProbe(threads: 2)
  var random = RandomSource(seed: 8)
  let shape = try probe.run(operation, inputs: inputs, parameters: parameters, statistics: statistics).output.shape
  let weights = tensor(shape, &random)
  let exact = try probe.run(operation, inputs: inputs, parameters: parameters, statistics: statistics, outputGradient: weights)
  func loss(_ inputs: [Tensor], _ parameters: [Tensor]) throws -> Double {
    let output = try probe.run(operation, inputs: inputs, parameters: parameters, statistics: statistics).output
    return zip(output.values, weights.values).reduce(0) { $0 + Double($1.0) * Double($1.1) }
  }
  func compare(_ what: String, _ value: Tensor, _ gradient: Tensor, _ places: [Int], _ loss: (Tensor) throws -> Double) throws {
    for (place, expected) in zip(places, try NumericGradient.of(loss, at: value, elements: places, step: step)) {
      #expect(abs(Double(gradient.values[place]) - expected) < tolerance * max(1, abs(expected)), "\(what), value \(place)")
    }
  }
  for (k, input) in inputs.enumerated() {
    let places = Array(stride(from: 0, to: input.elementCount, by: max(1, input.elementCount / 40)))
    try compare("input \(k)", input, exact.inputGradients[k], places) { changed in
      var all = inputs
      all[k] = changed
      return try loss(all, parameters)
    }
  }
  for p in 0..<learnt {
    try compare("parameter \(p)", parameters[p], exact.parameterGradients[p], Array(0..<min(20, parameters[p].elementCount))) { changed in
      var all = parameters
      all[p] = changed
      return try loss(inputs, all)
    }
  }
}
