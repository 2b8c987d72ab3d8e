// Steps without a convolution: evaluation into an epilogue, layouts, the global mean and its gradient, shortcuts.
import CKernels
import Testing

struct StepCase: CustomTestStringConvertible {
  let images: Int, channels: Int, height: Int, width: Int
  var testDescription: String { "\(images)×\(channels)×\(height)×\(width)" }
  var layout: Blocked { Blocked(images: images, channels: channels, positions: height * width) }

  static let all = [
    StepCase(images: 1, channels: 16, height: 7, width: 9), StepCase(images: 2, channels: 26, height: 14, width: 14),
    StepCase(images: 3, channels: 40, height: 5, width: 1), StepCase(images: 5, channels: 64, height: 8, width: 8),
    StepCase(images: 2, channels: 16, height: 1, width: 1), StepCase(images: 1, channels: 100, height: 13, width: 20),
  ]
}

extension KernelTests {
  @Suite struct FusedSteps {
    /// `body` with each combination of features on each instruction set.
    private func each(_ test: StepCase, without: Features = [], _ body: (FusedFixture, Pools, String) -> Void) {
      withPools { pools in
        for features in Features.combinations {
          var numbers = Numbers(seed: test.channels)
          let fixture = FusedFixture(
            input: test.layout, result: test.layout, features: features.subtracting(without), numbers: &numbers)
          withEachInstructionSet { set in body(fixture, pools, "\(set) \(features)") }
        }
      }
    }

    @Test(arguments: StepCase.all) func evaluates(_ test: StepCase) {
      each(test) { fixture, pools, label in
        fixture.runOnAll(pools, label) { pool in
          ck_elementwise(
            pool, Int32(test.images), Int32(test.channels), Int32(test.height), Int32(test.width), &fixture.operand, &fixture.epilogue)
        }
        let values = fixture.evaluatedOperand()
        fixture.check(bare: values, tolerance: 2e-6, operandValues: values, label)
      }
    }

    @Test func takesSumsWithoutAnOutput() {
      each(StepCase.all[1], without: [.store, .signs, .mask, .mask6, .maskSilu, .addend, .bias]) { fixture, pools, label in
        let test = StepCase.all[1]
        let run = {
          ck_elementwise(
            pools.all[1], Int32(test.images), Int32(test.channels), Int32(test.height), Int32(test.width), &fixture.operand,
            &fixture.epilogue)
        }
        run()
        let sums = fixture.sums.bytes()
        fixture.clear()
        fixture.epilogue.output = nil
        run()
        fixture.epilogue.output = fixture.output.pointer
        #expect(fixture.sums.bytes() == sums, "\(label)")
        #expect(fixture.output[0].isNaN, "\(label)")
      }
    }

    @Test(arguments: StepCase.all) func changesLayouts(_ test: StepCase) {
      each(test) { fixture, pools, label in
        let values = fixture.evaluatedOperand(), plain = Buffer<Float>(values.values.count, fill: .nan)
        let blocked = Buffer<Float>(test.layout.count, fill: .nan)
        let (n, c, h, w) = (Int32(test.images), Int32(test.channels), Int32(test.height), Int32(test.width))
        for pool in pools.all {
          ck_from_blocked(pool, n, c, h, w, &fixture.operand, plain.pointer)
          #expect((0..<plain.count).allSatisfy { abs(Double(plain[$0]) - values.values[$0]) <= 2e-6 }, "\(label)")
          ck_to_blocked(pool, n, c, h, w, plain.pointer, blocked.pointer)
          var equal = true
          for image in 0..<test.images {
            for channel in 0..<test.layout.paddedChannels {
              for position in 0..<test.layout.positions {
                let expected = channel < test.channels ? plain[values.index(image, channel, position)] : 0
                equal = equal && blocked[test.layout.index(image, channel, position)] == expected
              }
            }
          }
          #expect(equal, "\(label)")
        }
      }
    }

    @Test(arguments: StepCase.all) func averages(_ test: StepCase) {
      each(test) { fixture, pools, label in
        let values = fixture.evaluatedOperand(), means = Buffer<Float>(test.images * test.channels, fill: .nan)
        for pool in pools.all {
          ck_global_average(
            pool, Int32(test.images), Int32(test.channels), Int32(test.height), Int32(test.width), &fixture.operand, means.pointer)
          for index in 0..<means.count {
            let sum = values.values[index * values.positions..<(index + 1) * values.positions].reduce(0, +)
            #expect(abs(Double(means[index]) - sum / Double(values.positions)) <= 2e-6, "\(label)")
          }
        }
      }
    }

    @Test(arguments: StepCase.all) func sumsProductsOfChannels(_ test: StepCase) {
      each(test) { fixture, pools, label in
        var numbers = Numbers(seed: 5)
        let gradient = numbers.blocked(test.layout), sums = Buffer<Float>(test.images * test.channels, fill: .nan)
        let values = fixture.evaluatedOperand()
        for pool in pools.all {
          ck_channel_products(
            pool, Int32(test.images), Int32(test.channels), Int32(test.height), Int32(test.width), &fixture.operand, gradient.pointer,
            sums.pointer)
          for image in 0..<test.images {
            for channel in 0..<test.channels {
              let expected = (0..<test.layout.positions).reduce(0.0) {
                $0 + values.values[values.index(image, channel, $1)] * Double(gradient[test.layout.index(image, channel, $1)])
              }
              #expect(abs(Double(sums[image * test.channels + channel]) - expected) <= 2e-6 * Double(test.layout.positions + 1), "\(label)")
            }
          }
        }
      }
    }

    @Test(arguments: StepCase.all) func spreadsTheGradientOfTheMean(_ test: StepCase) {
      each(test, without: .store) { fixture, pools, label in
        var numbers = Numbers(seed: 9)
        let gradient = numbers.plain(test.images * test.channels)
        var bare = Reference(images: test.images, channels: test.channels, positions: test.layout.positions)
        for index in bare.values.indices { bare.values[index] = Double(gradient[index / bare.positions]) / Double(bare.positions) }
        fixture.runOnAll(pools, label) { pool in
          ck_global_average_backward(
            pool, Int32(test.images), Int32(test.channels), Int32(test.height), Int32(test.width), gradient.pointer, &fixture.epilogue)
        }
        fixture.check(bare: bare, tolerance: 2e-6, operandValues: nil, label)
      }
    }

    @Test(arguments: StepCase.all, [0, 5, 8, 16, 24]) func takesShortcuts(_ test: StepCase, _ before: Int) {
      for stride in [1, 2, 3] {
        for extra in [0, before, 3] {
          let outHeight = (test.height + stride - 1) / stride, outWidth = (test.width + stride - 1) / stride
          let large = Blocked(images: test.images, channels: test.channels + before + extra, positions: outHeight * outWidth)
          var numbers = Numbers(seed: before)
          let x = numbers.blocked(test.layout), gradient = numbers.blocked(large)
          let output = Buffer<Float>(large.count, fill: .nan), spread = Buffer<Float>(test.layout.count, fill: .nan)
          let (n, c, h, w) = (Int32(test.images), Int32(test.channels), Int32(test.height), Int32(test.width))
          withPools { pools in
            withEachInstructionSet { set in
              ck_shortcut(pools.all[1], n, c, h, w, Int32(stride), Int32(before), Int32(large.channels), x.pointer, output.pointer)
              ck_shortcut_backward(
                pools.all[1], n, c, h, w, Int32(stride), Int32(before), Int32(large.channels), gradient.pointer, spread.pointer)
              #expect(isShortcut(output, of: x, test, large, outWidth, stride, before), "\(set) forward")
              #expect(isTranspose(spread, of: gradient, test, large, outWidth, stride, before), "\(set) backward")
            }
          }
        }
      }
    }

    private func isShortcut(
      _ output: Buffer<Float>, of x: Buffer<Float>, _ test: StepCase, _ large: Blocked, _ outWidth: Int, _ stride: Int, _ before: Int
    ) -> Bool {
      for image in 0..<test.images {
        for channel in 0..<large.paddedChannels {
          for position in 0..<large.positions {
            let source = position / outWidth * stride * test.width + position % outWidth * stride
            let inside = channel >= before && channel < before + test.channels
            let expected = inside ? x[test.layout.index(image, channel - before, source)] : 0
            if output[large.index(image, channel, position)] != expected { return false }
          }
        }
      }
      return true
    }

    private func isTranspose(
      _ spread: Buffer<Float>, of gradient: Buffer<Float>, _ test: StepCase, _ large: Blocked, _ outWidth: Int, _ stride: Int, _ before: Int
    ) -> Bool {
      for image in 0..<test.images {
        for channel in 0..<test.layout.paddedChannels {
          for position in 0..<test.layout.positions {
            let (row, column) = (position / test.width, position % test.width)
            let taken = channel < test.channels && row % stride == 0 && column % stride == 0
            let expected = taken ? gradient[large.index(image, channel + before, row / stride * outWidth + column / stride)] : 0
            if spread[test.layout.index(image, channel, position)] != expected { return false }
          }
        }
      }
      return true
    }
  }
}
