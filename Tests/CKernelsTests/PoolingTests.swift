// Pooling and its gradient against plain loops: maxima and averages, padding, gaps between windows, ties.
import CKernels
import Testing

struct PoolingCase: CustomTestStringConvertible {
  let images: Int, channels: Int, height: Int, width: Int, kernel: Int, stride: Int, pad: Int
  let maximum: Bool, countsPadding: Bool

  var testDescription: String {
    "\(maximum ? "maximum" : countsPadding ? "average with padding" : "average") \(images)×\(channels)×\(height)×\(width) kernel \(kernel) "
      + "stride \(stride) pad \(pad)"
  }
  var outHeight: Int { (height + 2 * pad - kernel) / stride + 1 }
  var outWidth: Int { (width + 2 * pad - kernel) / stride + 1 }
  var small: Blocked { Blocked(images: images, channels: channels, positions: height * width) }
  var pooled: Blocked { Blocked(images: images, channels: channels, positions: outHeight * outWidth) }
  var shape: ck_pool_shape {
    ck_pool_shape(
      channels: Int32(channels), height: Int32(height), width: Int32(width), out_height: Int32(outHeight), out_width: Int32(outWidth),
      kernel_height: Int32(kernel), kernel_width: Int32(kernel), stride_height: Int32(stride), stride_width: Int32(stride),
      pad_top: Int32(pad),
      pad_left: Int32(pad), maximum: maximum, count_include_pad: countsPadding)
  }

  static let all: [PoolingCase] = [(true, false), (false, false), (false, true)].flatMap { maximum, countsPadding in
    [
      (2, 20, 14, 15, 3, 2, 1), (3, 16, 9, 9, 2, 2, 0), (1, 48, 11, 10, 3, 1, 1), (2, 16, 10, 10, 2, 3, 0), (1, 16, 8, 8, 8, 8, 0),
      (2, 16, 7, 7, 1, 1, 0), (1, 24, 5, 6, 5, 3, 2),
    ].map {
      PoolingCase(
        images: $0.0, channels: $0.1, height: $0.2, width: $0.3, kernel: $0.4, stride: $0.5, pad: $0.6, maximum: maximum,
        countsPadding: countsPadding)
    }
  }

  /// Positions of a window inside the picture, in row-major order.
  func window(_ row: Int, _ column: Int) -> [Int] {
    var positions: [Int] = []
    for i in 0..<kernel {
      for j in 0..<kernel {
        let y = row * stride - pad + i, x = column * stride - pad + j
        if y >= 0, x >= 0, y < height, x < width { positions.append(y * width + x) }
      }
    }
    return positions
  }

  func divisor(_ window: [Int]) -> Double { Double(countsPadding ? kernel * kernel : window.count) }
}

extension KernelTests {
  @Suite struct Pooling {
    @Test(arguments: PoolingCase.all) func equalsPlainLoops(_ test: PoolingCase) {
      withPools { pools in
        for features in Features.combinations {
          var numbers = Numbers(seed: test.channels + test.kernel)
          let forward = FusedFixture(input: test.small, result: test.pooled, features: features, numbers: &numbers)
          let backward = FusedFixture(input: test.small, result: test.small, features: features, numbers: &numbers)
          backward.operand = forward.operand
          backward.operand.store = nil
          let gradient = numbers.blocked(test.pooled)
          let values = forward.evaluatedOperand()
          let (bare, bareGradient) = reference(test, values, gradient)
          var shape = test.shape
          pools.reserve(ck_pooling_scratch_bytes(&shape))
          withEachInstructionSet { set in
            let label = "\(set) \(features)"
            forward.runOnAll(pools, label) { ck_pooling($0, Int32(test.images), &shape, &forward.operand, &forward.epilogue) }
            forward.check(bare: bare, tolerance: 4e-6, operandValues: values, label)
            backward.runOnAll(pools, label + " gradient") {
              ck_pooling_backward($0, Int32(test.images), &shape, &backward.operand, gradient.pointer, &backward.epilogue)
            }
            backward.check(bare: bareGradient, tolerance: 4e-6, operandValues: nil, label + " gradient")
          }
        }
      }
    }

    private func reference(_ test: PoolingCase, _ values: Reference, _ gradient: Buffer<Float>) -> (Reference, Reference) {
      var pooled = Reference(images: test.images, channels: test.channels, positions: test.pooled.positions)
      var spread = Reference(images: test.images, channels: test.channels, positions: test.small.positions)
      for image in 0..<test.images {
        for channel in 0..<test.channels {
          for position in 0..<pooled.positions {
            let window = test.window(position / test.outWidth, position % test.outWidth)
            let inside = window.map { values.values[values.index(image, channel, $0)] }
            let g = Double(gradient[test.pooled.index(image, channel, position)])
            if test.maximum {
              let best = inside.max() ?? -.infinity
              pooled.values[pooled.index(image, channel, position)] = best
              // max(by:) takes the last of equals; the kernels the first.
              if let first = inside.firstIndex(of: best) { spread.values[spread.index(image, channel, window[first])] += g }
            } else {
              pooled.values[pooled.index(image, channel, position)] = inside.reduce(0, +) / test.divisor(window)
              for inner in window { spread.values[spread.index(image, channel, inner)] += g / test.divisor(window) }
            }
          }
        }
      }
      return (pooled, spread)
    }

    @Test func givesTiesToTheFirst() {
      var shape = PoolingCase(
        images: 1, channels: 16, height: 4, width: 4, kernel: 2, stride: 2, pad: 0, maximum: true, countsPadding: false
      ).shape
      let x = Buffer<Float>(16 * 16, fill: 1), gradient = Buffer<Float>(4 * 16, fill: 3), output = Buffer<Float>(16 * 16, fill: .nan)
      var operand = ck_operand(), epilogue = ck_epilogue()
      operand.x = UnsafePointer(x.pointer)
      epilogue.output = output.pointer
      withPools { pools in
        withEachInstructionSet { set in
          ck_pooling_backward(pools.all[0], 1, &shape, &operand, gradient.pointer, &epilogue)
          let first: Set = [0, 2, 8, 10]
          #expect((0..<16).allSatisfy { output[$0 * 16] == (first.contains($0) ? 3 : 0) }, "\(set)")
        }
      }
    }
  }
}
