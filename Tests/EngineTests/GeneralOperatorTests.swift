// The operators of imported graphs: values against the definition, gradients against finite differences.

import Engine
import Foundation
import TTATestKit
import Testing

@Suite struct GeneralOperatorTests {
  private let probe = OperatorProbe(threads: 2)

  @Test func stridedViews() throws {
    var random = RandomSource(seed: 1)
    let input = tensor([3, 4, 5], &random)
    // Every second column of the last three rows, columns first, twice.
    let view = StridedView(offset: 5, lengths: [2, 3, 3], steps: [0, 2, 5], shape: [6, 3])
    try checkGradients(of: view, [input])
    let output = try probe.run(view, inputs: [input], parameters: []).output
    #expect(output.shape == [3, 6, 3])
    for (image, i, j) in [(0, 0, 0), (1, 2, 1), (2, 5, 2)] {
      #expect(output.values[(image * 6 + i) * 3 + j] == input.values[image * 20 + (1 + j) * 5 + 2 * (i % 3)])
    }
    let error = #expect(throws: TTAError.self) {
      try StridedView(offset: 6, lengths: [3, 3], steps: [5, 2], shape: [9]).outputShape(for: [[4, 5]])
    }
    #expect(error?.message == "strided view: expected one value of more than 20 numbers, got 4×5")
  }
  @Test func matrixProducts() throws {
    var random = RandomSource(seed: 2)
    let (left, right) = (tensor([2, 3, 4, 5], &random), tensor([2, 3, 5, 6], &random))
    try checkGradients(of: MatrixProduct(), [left, right])
    let output = try probe.run(MatrixProduct(), inputs: [left, right], parameters: []).output
    #expect(output.shape == [2, 3, 4, 6])
    for (matrix, i, j) in [(0, 0, 0), (3, 2, 5), (5, 3, 1)] {
      let expected = (0..<5).reduce(0.0) {
        $0 + Double(left.values[(matrix * 4 + i) * 5 + $1]) * Double(right.values[(matrix * 5 + $1) * 6 + j])
      }
      #expect(abs(Double(output.values[(matrix * 4 + i) * 6 + j]) - expected) < 1e-5)
    }
  }
  @Test(
    arguments: [
      (.affine(scale: 2, shift: -1), 0.5, 0), (.clip(lowest: -0.5, highest: 0.25), 0.1, 0.1), (.magnitude, -2, 2), (.exponential, 1, M_E),
      (.logarithm, 2, log(2)), (.squareRoot, 2, 2.0.squareRoot()), (.reciprocal, 4, 0.25), (.errorFunction, 0.5, 0.5204998778130465),
      (.power(3), 2, 8), (.power(2), -3, 9), (.elu(scale: 2, factor: 1.5), -1, 3 * expm1(-1)),
      (.hardSigmoid(scale: 0.2, shift: 0.5), 1, 0.7),
      (.mish, 1, 0.8650983882673103),
    ] as [(ScalarFunction.Function, Double, Double)])
  func scalarFunctions(_ function: ScalarFunction.Function, _ x: Double, _ expected: Double) throws {
    var random = RandomSource(seed: 3)
    let output = try probe.run(ScalarFunction(function), inputs: [Tensor([Float(x)], shape: [1, 1])], parameters: []).output
    #expect(abs(Double(output.values[0]) - expected) < 1e-6)
    // Away from kinks, inside the domains of logarithm and root.
    try checkGradients(of: ScalarFunction(function), [tensor([2, 30], &random, 0.6, 1.6)], tolerance: 5e-3)
  }
  @Test(arguments: BroadcastArithmetic.Operation.allCases, [false, true])
  func broadcastArithmetic(_ operation: BroadcastArithmetic.Operation, _ isReversed: Bool) throws {
    var random = RandomSource(seed: 4)
    let (wide, narrow) = (tensor([2, 3, 4, 5], &random, 1, 2), tensor([2, 4, 1], &random, 2.5, 3))
    try checkGradients(of: BroadcastArithmetic(operation, isReversed: isReversed), [wide, narrow])
    let parameter = tensor([3, 1, 5], &random, 0.2, 0.5)
    let learnt = BroadcastArithmetic(operation, parameterShape: parameter.shape, isReversed: isReversed)
    try checkGradients(of: learnt, [wide], [parameter], learnt: 1, tolerance: 5e-3, step: 2e-3)
    let output = try probe.run(learnt, inputs: [wide], parameters: [parameter]).output
    let (x, y) = (wide.values[60 + 20 + 5 + 2], parameter.values[5 + 2])
    let (a, b) = isReversed ? (y, x) : (x, y)
    let expected: Float =
      switch operation {
      case .add: a + b
      case .subtract: a - b
      case .multiply: a * b
      case .divide: a / b
      case .maximum: max(a, b)
      case .minimum: min(a, b)
      }
    #expect(output.values[60 + 20 + 5 + 2] == expected)
  }
  @Test func localResponseNorms() throws {
    var random = RandomSource(seed: 5)
    let input = tensor([2, 6, 2, 3], &random)
    let norm = LocalResponseNorm(size: 4, alpha: 0.5, beta: 0.75, bias: 1.5)
    try checkGradients(of: norm, [input])
    let output = try probe.run(norm, inputs: [input], parameters: []).output
    // Channel 2 of 6: one channel in front, two behind.
    let sum = (1...4).reduce(0.0) { $0 + pow(Double(input.values[$1 * 6 + 5]), 2) }
    #expect(abs(Double(output.values[2 * 6 + 5]) - Double(input.values[2 * 6 + 5]) / pow(1.5 + 0.5 / 4 * sum, 0.75)) < 1e-6)
  }
  @Test func rowsOfSeveralAxes() throws {
    var random = RandomSource(seed: 6)
    let input = tensor([2, 3, 4], &random)
    for function in [RowFunction.Function.softmax, .logSoftmax, .logSumExp, .unitLength(epsilon: 1e-8)] {
      try checkGradients(of: RowFunction(function), [input])
      let whole = try probe.run(RowFunction(function), inputs: [input], parameters: []).output
      let rows = try probe.run(RowFunction(function), inputs: [input.reshaped(to: [6, 4])], parameters: []).output
      #expect(whole.values == rows.values)
    }
  }
}
