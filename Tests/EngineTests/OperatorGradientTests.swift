// Gradients of operators that no golden case covers, by finite differences.

import Engine
import TTATestKit
import Testing

@Suite struct OperatorGradientTests {
  private func check(
    _ operation: any DifferentiableOperator, _ input: Tensor, _ parameters: [Tensor], statistics: NormStatistics = .stored, learnt: Int,
    tolerance: Double = 2e-3, step: Float = 1e-2
  ) throws {
    try checkGradients(of: operation, [input], parameters, statistics: statistics, learnt: learnt, tolerance: tolerance, step: step)
  }

  @Test(arguments: [Shape([6]), Shape([5, 6])]) func lowRankPairOfTokens(_ shape: Shape) throws {
    var random = RandomSource(seed: 1)
    let input = tensor(Shape([3] + shape.dimensions), &random)
    let maps = [tensor([1, 6], &random), tensor([4, 1], &random), tensor([3, 6], &random), tensor([4, 3], &random)]
    let factors = Tensor([0.7, 1.4], shape: [2])
    try check(LowRankPair(outputs: 4, ranks: (1, 3)), input, maps + [factors], learnt: 4)
    // The same by hand for one row.
    let output = try OperatorProbe().run(LowRankPair(outputs: 4, ranks: (1, 3)), inputs: [input], parameters: maps + [factors]).output
    let x = Array(input.values[0..<6])
    func apply(_ matrix: Tensor, _ x: [Float]) -> [Float] {
      (0..<matrix.count).map { row in x.indices.reduce(0) { $0 + matrix.values[row * x.count + $1] * x[$1] } }
    }
    let (low, high) = (apply(maps[1], apply(maps[0], x)), apply(maps[3], apply(maps[2], x)))
    for k in 0..<4 { #expect(abs(output.values[k] - 0.7 * low[k] - 1.4 * high[k]) < 1e-5) }
  }
  @Test(arguments: [1, 2]) func lowRankPairOfPlanes(_ stride: Int) throws {
    var random = RandomSource(seed: 2)
    let input = tensor([3, 6, 5, 4], &random)
    let maps = [tensor([2, 6], &random), tensor([4, 2], &random), tensor([3, 6], &random), tensor([4, 3], &random)]
    try check(LowRankPair(outputs: 4, ranks: (2, 3), stride: stride), input, maps + [Tensor([0.7, 1.4], shape: [2])], learnt: 4)
  }
  @Test(
    arguments: [NormStatistics.stored, .batch, .blended(batchWeight: 0.3, variance: .unbiased, constant: false)],
    [0, 0.4, 4, 100] as [Float])
  func instanceAwareBatchNorm(_ statistics: NormStatistics, _ width: Float) throws {
    var random = RandomSource(seed: 3)
    // Images unlike each other, so that all three cases of the soft threshold occur.
    var input = tensor([5, 3, 4, 4], &random)
    input.update { span in for i in span.indices { span[i] = span[i] * Float(1 + i / 48 % 3) + Float(i / 48) * 0.6 } }
    let parameters = [
      tensor([3], &random, 0.5, 1.5), tensor([3], &random), tensor([3], &random, 0.5, 1.5), tensor([3], &random, 0.5, 2),
    ]
    try check(InstanceAwareBatchNorm(width: width), input, parameters, statistics: statistics, learnt: 2, tolerance: 1e-2, step: 2e-3)
  }
  @Test func instanceAwareLimits() throws {
    var random = RandomSource(seed: 4)
    let input = tensor([4, 2, 5, 5], &random)
    let parameters = [tensor([2], &random, 0.5, 1.5), tensor([2], &random), tensor([2], &random), tensor([2], &random, 0.5, 2)]
    let probe = OperatorProbe()
    // A width without end is batch norm; no width is the image's own moments (unbiased).
    let wide = try probe.run(InstanceAwareBatchNorm(width: 1e9), inputs: [input], parameters: parameters).output
    #expect(try largestDifference(wide, probe.run(BatchNorm(), inputs: [input], parameters: parameters).output) < 1e-5)
    let narrow = try probe.run(InstanceAwareBatchNorm(width: 0), inputs: [input], parameters: parameters).output.values
    let values = input.values
    for plane in 0..<8 {
      let own = values[plane * 25..<(plane + 1) * 25].map(Double.init)
      let mean = own.reduce(0, +) / 25
      let variance = own.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 24
      let (scale, shift) = (Double(parameters[0].values[plane % 2]), Double(parameters[1].values[plane % 2]))
      for i in 0..<25 {
        #expect(abs(Double(narrow[plane * 25 + i]) - ((own[i] - mean) / (variance + 1e-5).squareRoot() * scale + shift)) < 1e-4)
      }
    }
  }

  @Test func valuesInAnotherOrder() throws {
    var random = RandomSource(seed: 9)
    let input = tensor([2, 3, 4, 5], &random)
    try check(Permute([1, 2, 0]), input, [], learnt: 0)
    try check(Permute([2, 0, 1]), input, [], learnt: 0)
    try check(Permute([0, 2, 1]), input, [], learnt: 0)
    try check(Permute([2, 1, 0]), input, [], learnt: 0)
    try check(Reshape(), input, [], learnt: 0)
    try check(Reshape([12, 5]), input, [], learnt: 0)
    try check(Pad(top: 0, left: 1, bottom: 2, right: 3), input, [], learnt: 0)
    for (isLast, channels) in [(false, 3), (true, 5)] {
      try check(ScaleChannels(isLast: isLast), input, [tensor([channels], &random)], learnt: 1)
    }
    let probe = OperatorProbe()
    let moved = try probe.run(Permute([1, 2, 0]), inputs: [input], parameters: []).output
    #expect(moved.shape == [2, 4, 5, 3])
    for (image, c, y, x) in [(0, 0, 0, 0), (1, 2, 3, 4), (0, 1, 2, 3)] {
      #expect(moved.values[((image * 4 + y) * 5 + x) * 3 + c] == input.values[((image * 3 + c) * 4 + y) * 5 + x])
    }
    #expect(try probe.run(Permute([2, 0, 1]), inputs: [moved], parameters: []).output == input)
    let padded = try probe.run(Pad(top: 1, left: 2, bottom: 0, right: 1), inputs: [input], parameters: []).output
    #expect(padded.shape == [2, 3, 5, 8] && padded.values[8 + 2] == input.values[0] && padded.values[0] == 0)
    #expect(throws: TTAError.self) { try probe.run(Permute([0, 0, 1]), inputs: [input], parameters: []) }
    #expect(throws: TTAError.self) { try probe.run(Reshape([7]), inputs: [input], parameters: []) }
  }
}
