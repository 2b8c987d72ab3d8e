// Gradients of convolution weights against plain loops in double: every layout, all instruction sets, any number of threads.
import CKernels
import Testing

extension ck_conv_shape {
  /// The gradients of weights and bias in double.
  func weightGradient(_ x: Reference, _ gradient: Reference) -> (weights: [Double], bias: [Double]) {
    let perFilter = depthwise ? 1 : Int(channels), area = Int(kernel_height * kernel_width)
    var weights = [Double](repeating: 0, count: Int(filters) * perFilter * area)
    var bias = [Double](repeating: 0, count: Int(filters))
    for image in 0..<x.images {
      for filter in 0..<Int(filters) {
        for position in 0..<gradient.positions { bias[filter] += gradient.values[gradient.index(image, filter, position)] }
        for input in 0..<perFilter {
          let small = x.index(image, depthwise ? filter : input, 0), large = gradient.index(image, filter, 0)
          weights.withUnsafeMutableBufferPointer { weights in
            eachProduct { inside, outside, tap in
              weights[(filter * perFilter + input) * area + tap] += x.values[small + inside] * gradient.values[large + outside]
            }
          }
        }
      }
    }
    return (weights, bias)
  }
}

extension KernelTests {
  @Suite struct WeightGradients {
    private static let cases = everyCase(ConvolutionCase.all.filter { $0.direction == CK_FORWARD })

    @Test(arguments: cases) func equalsPlainLoops(_ test: ConvolutionCase) {
      withPools { pools in
        for (images, features) in [(1, Features()), (5, [.affine, .relu]), (19, [.affine, .second, .secondAffine, .relu6])] {
          check(test, images: images, features: features, pools)
        }
      }
    }

    private func check(_ test: ConvolutionCase, images: Int, features: Features, _ pools: Pools) {
      var shape = test.shape
      var numbers = Numbers(seed: images + Int(shape.filters))
      let small = Blocked(images: images, channels: Int(shape.channels), positions: Int(shape.height * shape.width))
      let large = Blocked(images: images, channels: Int(shape.filters), positions: Int(shape.out_height * shape.out_width))
      let stem = test.algorithm == CK_CONV_STEM
      let input = FusedFixture(input: small, result: large, features: stem ? [] : features, numbers: &numbers)
      let gradient = FusedFixture(input: large, result: small, features: [.affine, .second, .secondAffine], numbers: &numbers)
      let picture = numbers.plain(stem ? images * small.channels * small.positions : 0)
      var values = input.evaluatedOperand()
      if stem {
        input.operand.x = UnsafePointer(picture.pointer)
        for i in values.values.indices { values.values[i] = Double(picture[i]) }
      }
      let expected = shape.weightGradient(values, gradient.evaluatedOperand())
      var conv = ck_conv_make(&shape, CK_FORWARD, test.algorithm)
      pools.reserve(ck_conv_weight_gradient_scratch_bytes(&conv))
      let partial = Buffer<Double>(ck_conv_weight_gradient_partial_bytes(&conv, Int32(images)) / 8, fill: .nan)
      let weights = Buffer<Float>(expected.weights.count, fill: .nan), bias = Buffer<Float>(expected.bias.count, fill: .nan)
      withEachInstructionSet { set in
        var first: [UInt8]?
        for pool in pools.all {
          partial.fill(.nan)
          weights.fill(.nan)
          bias.fill(.nan)
          ck_conv_weight_gradient(
            &conv, pool, Int32(images), &input.operand, &gradient.operand, partial.pointer, weights.pointer, bias.pointer)
          compare(weights, expected.weights, "\(set) n \(images) weights")
          compare(bias, expected.bias, "\(set) n \(images) bias")
          let bytes = weights.bytes() + bias.bytes()
          #expect(bytes == first ?? bytes, "\(set) n \(images): other bits with \(ck_pool_threads(pool)) threads")
          first = bytes
        }
      }
    }

    /// Relative to the largest value: float sums over a group of images, double sums beyond.
    private func compare(_ got: Buffer<Float>, _ expected: [Double], _ label: String) {
      let size = expected.reduce(1e-3) { max($0, abs($1)) }
      let worst = expected.indices.reduce(0.0) { worst, i in
        let error = abs(Double(got[i]) - expected[i]) / size
        return error > worst || error.isNaN ? (error.isNaN ? .infinity : error) : worst
      }
      #expect(worst < 2e-5, "\(label): \(worst) of the largest value")
    }

    @Test func computesWhatIsWanted() {
      var shape = ConvolutionCase.shape(16, 24, 6, 6, kernel: (3, 3), pad: (1, 1))
      var numbers = Numbers(seed: 2)
      let small = Blocked(images: 3, channels: 16, positions: 36), large = Blocked(images: 3, channels: 24, positions: 36)
      let input = FusedFixture(input: small, result: large, features: [], numbers: &numbers)
      let gradient = FusedFixture(input: large, result: small, features: [], numbers: &numbers)
      var conv = ck_conv_make(&shape, CK_FORWARD, CK_CONV_DIRECT)
      let partial = Buffer<Double>(ck_conv_weight_gradient_partial_bytes(&conv, 3) / 8, fill: .nan)
      let (weights, bias) = (Buffer<Float>(24 * 16 * 9, fill: .nan), Buffer<Float>(24, fill: .nan))
      let (sameWeights, sameBias) = (Buffer<Float>(24 * 16 * 9, fill: .nan), Buffer<Float>(24, fill: .nan))
      withPools { pools in
        pools.reserve(ck_conv_weight_gradient_scratch_bytes(&conv))
        ck_conv_weight_gradient(
          &conv, pools.all[1], 3, &input.operand, &gradient.operand, partial.pointer, weights.pointer, bias.pointer)
        ck_conv_weight_gradient(&conv, pools.all[1], 3, &input.operand, &gradient.operand, partial.pointer, sameWeights.pointer, nil)
        ck_conv_weight_gradient(&conv, pools.all[1], 3, &input.operand, &gradient.operand, partial.pointer, nil, sameBias.pointer)
      }
      #expect(weights.bytes() == sameWeights.bytes() && bias.bytes() == sameBias.bytes())
    }
  }
}
