// Convolutions against six plain loops in double: every algorithm, both directions, all instruction sets, odd and even shapes.
import CKernels
import Testing

struct ConvolutionCase: CustomTestStringConvertible {
  let shape: ck_conv_shape
  let direction: ck_direction
  let algorithm: ck_conv_algorithm

  var testDescription: String {
    let s = shape
    let name = ["direct", "pointwise", "Winograd", "depthwise", "stem"][Int(algorithm.rawValue)]
    return "\(name) \(direction == CK_FORWARD ? "forward" : "backward") \(s.channels)→\(s.filters) \(s.height)×\(s.width) "
      + "kernel \(s.kernel_height)×\(s.kernel_width) stride \(s.stride_height),\(s.stride_width) pad \(s.pad_top),\(s.pad_left)"
  }

  /// Relative to the largest result: transforms of F(4×4, 3×3) amplify rounding, plain sums grow with the square root of their length.
  var tolerance: Double {
    if algorithm == CK_CONV_WINOGRAD { return 2e-5 }
    let inputs = shape.depthwise ? 1 : direction == CK_FORWARD ? shape.channels : shape.filters
    let summands = Double(inputs * shape.kernel_height * shape.kernel_width)
    return 2e-6 * max(1, 0.3 * summands.squareRoot())
  }

  static func shape(
    _ channels: Int32, _ filters: Int32, _ height: Int32, _ width: Int32, kernel: (Int32, Int32), stride: (Int32, Int32) = (1, 1),
    pad: (Int32, Int32) = (0, 0), depthwise: Bool = false
  ) -> ck_conv_shape {
    ck_conv_shape(
      channels: channels, filters: filters, height: height, width: width, out_height: (height + 2 * pad.0 - kernel.0) / stride.0 + 1,
      out_width: (width + 2 * pad.1 - kernel.1) / stride.1 + 1, kernel_height: kernel.0, kernel_width: kernel.1, stride_height: stride.0,
      stride_width: stride.1, pad_top: pad.0, pad_left: pad.1, depthwise: depthwise)
  }

  static let shapes: [ck_conv_shape] = [
    // 3×3, padding 1: Winograd and direct; whole and partial tiles, one block, odd numbers of blocks, padded lanes.
    shape(16, 16, 32, 32, kernel: (3, 3), pad: (1, 1)), shape(32, 32, 16, 16, kernel: (3, 3), pad: (1, 1)),
    shape(64, 64, 8, 8, kernel: (3, 3), pad: (1, 1)), shape(24, 40, 7, 7, kernel: (3, 3), pad: (1, 1)),
    shape(48, 20, 14, 14, kernel: (3, 3), pad: (1, 1)), shape(16, 48, 9, 13, kernel: (3, 3), pad: (1, 1)),
    shape(17, 33, 5, 6, kernel: (3, 3), pad: (1, 1)), shape(80, 64, 3, 3, kernel: (3, 3), pad: (1, 1)),
    shape(16, 16, 1, 1, kernel: (3, 3), pad: (1, 1)), shape(16, 16, 2, 70, kernel: (3, 3), pad: (1, 1)),
    shape(32, 32, 28, 28, kernel: (3, 3), pad: (1, 1)), shape(16, 16, 56, 56, kernel: (3, 3), pad: (1, 1)),
    // Other kernels, strides and paddings; strides that leave positions unread.
    shape(16, 32, 32, 32, kernel: (3, 3), stride: (2, 2), pad: (1, 1)), shape(32, 64, 15, 15, kernel: (3, 3), stride: (2, 2), pad: (1, 1)),
    shape(20, 24, 13, 10, kernel: (5, 5), stride: (2, 2), pad: (2, 2)), shape(16, 16, 9, 9, kernel: (5, 3), pad: (2, 1)),
    shape(32, 16, 12, 12, kernel: (2, 2), stride: (2, 2)), shape(16, 16, 10, 9, kernel: (3, 3), stride: (3, 2), pad: (1, 1)),
    shape(16, 24, 16, 16, kernel: (4, 4), stride: (4, 4)), shape(16, 24, 10, 11, kernel: (2, 2), stride: (3, 3)),
    shape(18, 18, 8, 8, kernel: (7, 7), stride: (2, 2), pad: (3, 3)), shape(16, 16, 9, 9, kernel: (3, 3)),
    // 1×1.
    shape(32, 48, 11, 11, kernel: (1, 1), stride: (2, 2)), shape(32, 48, 12, 13, kernel: (1, 1), stride: (2, 2)),
    shape(64, 32, 7, 7, kernel: (1, 1)), shape(40, 72, 14, 14, kernel: (1, 1)), shape(16, 64, 28, 28, kernel: (1, 1)),
    shape(256, 64, 14, 14, kernel: (1, 1)), shape(512, 32, 15, 13, kernel: (1, 1)),
    // Depthwise.
    shape(32, 32, 14, 14, kernel: (3, 3), pad: (1, 1), depthwise: true),
    shape(24, 24, 13, 13, kernel: (3, 3), stride: (2, 2), pad: (1, 1), depthwise: true),
    shape(40, 40, 14, 15, kernel: (5, 5), stride: (2, 2), pad: (2, 2), depthwise: true),
    shape(16, 16, 7, 7, kernel: (5, 5), pad: (2, 2), depthwise: true),
    shape(24, 24, 14, 14, kernel: (3, 3), stride: (2, 2), depthwise: true),
    shape(16, 16, 11, 11, kernel: (2, 2), stride: (3, 3), depthwise: true),
    // Pictures.
    shape(3, 16, 32, 32, kernel: (3, 3), pad: (1, 1)), shape(3, 24, 31, 33, kernel: (3, 3), stride: (2, 2), pad: (1, 1)),
    shape(3, 64, 30, 30, kernel: (7, 7), stride: (2, 2), pad: (3, 3)), shape(3, 40, 32, 32, kernel: (4, 4), stride: (4, 4)),
    shape(3, 48, 48, 48, kernel: (16, 16), stride: (16, 16)), shape(1, 16, 9, 9, kernel: (3, 3), pad: (1, 1)),
    shape(4, 33, 17, 19, kernel: (3, 3), stride: (3, 3), pad: (1, 1)),
  ]

  static let all: [ConvolutionCase] = shapes.flatMap { shape in
    [CK_FORWARD, CK_BACKWARD_DATA].flatMap { direction in
      [CK_CONV_DIRECT, CK_CONV_POINTWISE, CK_CONV_WINOGRAD, CK_CONV_DEPTHWISE, CK_CONV_STEM].compactMap { algorithm in
        var copy = shape
        return ck_conv_supports(&copy, direction, algorithm)
          ? ConvolutionCase(shape: shape, direction: direction, algorithm: algorithm) : nil
      }
    }
  }
}

extension ck_conv_shape {
  var inputs: Blocked { Blocked(images: 1, channels: Int(channels), positions: Int(height * width)) }

  /// The convolution of plain values in double, or its transpose.
  func reference(_ x: Reference, weights: Buffer<Float>, direction: ck_direction) -> Reference {
    let forward = direction == CK_FORWARD
    var result = Reference(
      images: x.images, channels: Int(forward ? filters : channels), positions: Int(forward ? out_height * out_width : height * width))
    let perFilter = depthwise ? 1 : Int(channels), area = Int(kernel_height * kernel_width)
    x.values.withUnsafeBufferPointer { x in
      result.values.withUnsafeMutableBufferPointer { y in
        for image in 0..<result.images {
          for filter in 0..<Int(filters) {
            for input in 0..<perFilter {
              let channel = depthwise ? filter : input
              let small = (image * Int(channels) + channel) * Int(height * width)
              let large = (image * Int(filters) + filter) * Int(out_height * out_width)
              let kernel = weights.pointer + (filter * perFilter + input) * area
              eachProduct { inside, outside, tap in
                if forward {
                  y[large + outside] += Double(kernel[tap]) * x[small + inside]
                } else {
                  y[small + inside] += Double(kernel[tap]) * x[large + outside]
                }
              }
            }
          }
        }
      }
    }
    return result
  }

  @inline(__always) func eachProduct(_ body: (_ inside: Int, _ outside: Int, _ tap: Int) -> Void) {
    for y in 0..<Int(out_height) {
      for x in 0..<Int(out_width) {
        for i in 0..<Int(kernel_height) {
          for j in 0..<Int(kernel_width) {
            let row = y * Int(stride_height) - Int(pad_top) + i, column = x * Int(stride_width) - Int(pad_left) + j
            guard row >= 0, column >= 0, row < Int(height), column < Int(width) else { continue }
            body(row * Int(width) + column, y * Int(out_width) + x, i * Int(kernel_width) + j)
          }
        }
      }
    }
  }
}

extension KernelTests {
  @Suite struct Convolutions {
    @Test(arguments: everyCase(ConvolutionCase.all)) func equalsPlainLoops(_ test: ConvolutionCase) {
      withPools { pools in
        for (index, features) in Features.combinations.enumerated() {
          check(test, images: [1, 2, 3, 5][(index + Int(test.shape.height)) % 4], features: features, pools)
        }
      }
    }

    private func check(_ test: ConvolutionCase, images: Int, features: Features, _ pools: Pools) {
      var shape = test.shape
      var numbers = Numbers(seed: images + Int(shape.channels))
      let small = Blocked(images: images, channels: Int(shape.channels), positions: Int(shape.height * shape.width))
      let large = Blocked(images: images, channels: Int(shape.filters), positions: Int(shape.out_height * shape.out_width))
      let forward = test.direction == CK_FORWARD, stem = test.algorithm == CK_CONV_STEM
      let used = stem ? features.subtracting([.second, .secondAffine, .third, .relu, .relu6, .store, .signs]) : features
      let fixture = FusedFixture(input: forward ? small : large, result: forward ? large : small, features: used, numbers: &numbers)
      let picture = numbers.plain(stem ? images * small.channels * small.positions : 0)
      var values = fixture.evaluatedOperand()
      if stem { values = normalised(picture, fixture, values) }

      let weights = numbers.plain(Int(shape.filters * (shape.depthwise ? 1 : shape.channels) * shape.kernel_height * shape.kernel_width))
      let bare = shape.reference(values, weights: weights, direction: test.direction)
      var conv = ck_conv_make(&shape, test.direction, test.algorithm)
      let packed = Buffer<Float>(ck_conv_packed_count(&conv), fill: .nan)
      pools.reserve(ck_conv_scratch_bytes(&conv))
      withEachInstructionSet { set in
        let label = "\(set) n \(images) \(features)"
        packed.fill(.nan)
        ck_conv_pack(&conv, pools.all[1], weights.pointer, packed.pointer)
        fixture.runOnAll(pools, label) { pool in
          ck_conv_run(&conv, pool, Int32(images), packed.pointer, &fixture.operand, &fixture.epilogue)
        }
        fixture.check(bare: bare, tolerance: test.tolerance, operandValues: values, label)
      }
    }

    /// A stem reads a plain picture: the fixture's operand points to it, with the affine alone.
    private func normalised(_ picture: Buffer<Float>, _ fixture: FusedFixture, _ shaped: Reference) -> Reference {
      fixture.operand.x = UnsafePointer(picture.pointer)
      var result = shaped
      for image in 0..<result.images {
        for channel in 0..<result.channels {
          let set = image * fixture.operand.affine.image_stride + channel
          let scale = fixture.operand.affine.scale.map { Double($0[set]) } ?? 1,
            shift = fixture.operand.affine.shift.map { Double($0[set]) } ?? 0
          for position in 0..<result.positions {
            let index = result.index(image, channel, position)
            result.values[index] = Double(picture[index]) * scale + shift
          }
        }
      }
      return result
    }

    @Test func packsTheSameWithAndWithoutAPool() {
      withPools { pools in
        for test in ConvolutionCase.all {
          var shape = test.shape
          var numbers = Numbers(seed: 3)
          var conv = ck_conv_make(&shape, test.direction, test.algorithm)
          let weights = numbers.plain(
            Int(shape.filters * (shape.depthwise ? 1 : shape.channels) * shape.kernel_height * shape.kernel_width))
          let one = Buffer<Float>(ck_conv_packed_count(&conv), fill: .nan), other = Buffer<Float>(ck_conv_packed_count(&conv), fill: .nan)
          ck_conv_pack(&conv, nil, weights.pointer, one.pointer)
          ck_conv_pack(&conv, pools.all[2], weights.pointer, other.pointer)
          #expect(one.bytes() == other.bytes())
          #expect((0..<one.count).allSatisfy { one[$0].isFinite })
        }
      }
    }

    @Test func givesAnImageTheSameBitsInEveryBatch() {
      for algorithm in [CK_CONV_WINOGRAD, CK_CONV_DIRECT] {
        var shape = ConvolutionCase.shape(32, 32, 8, 8, kernel: (3, 3), pad: (1, 1))
        var numbers = Numbers(seed: 5)
        let fixture = FusedFixture(
          input: Blocked(images: 7, channels: 32, positions: 64), result: Blocked(images: 7, channels: 32, positions: 64),
          features: [.affine, .relu, .mask, .sumSource], numbers: &numbers)
        let weights = numbers.plain(32 * 32 * 9)
        var conv = ck_conv_make(&shape, CK_FORWARD, algorithm)
        let packed = Buffer<Float>(ck_conv_packed_count(&conv), fill: 0)
        ck_conv_pack(&conv, nil, weights.pointer, packed.pointer)
        withPools { pools in
          pools.reserve(ck_conv_scratch_bytes(&conv))
          ck_conv_run(&conv, pools.all[1], 7, packed.pointer, &fixture.operand, &fixture.epilogue)
          let outputs = (0..<5 * 32 * 64).map { fixture.output[$0] }, sums = (0..<5 * 64).map { fixture.sums[$0] }
          fixture.clear()
          ck_conv_run(&conv, pools.all[0], 5, packed.pointer, &fixture.operand, &fixture.epilogue)
          #expect((0..<5 * 32 * 64).map { fixture.output[$0] } == outputs)
          #expect((0..<5 * 64).map { fixture.sums[$0] } == sums)
        }
      }
    }

    @Test func choosesTheAlgorithm() {
      var image = ConvolutionCase.shape(3, 16, 32, 32, kernel: (3, 3), pad: (1, 1))
      var square = ConvolutionCase.shape(16, 16, 32, 32, kernel: (3, 3), pad: (1, 1))
      var strided = ConvolutionCase.shape(16, 32, 32, 32, kernel: (3, 3), stride: (2, 2), pad: (1, 1))
      var point = ConvolutionCase.shape(16, 32, 32, 32, kernel: (1, 1), stride: (2, 2))
      var depthwise = ConvolutionCase.shape(16, 16, 32, 32, kernel: (3, 3), pad: (1, 1), depthwise: true)
      #expect(ck_conv_choose(&image, CK_FORWARD, false, false) == CK_CONV_STEM)
      #expect(ck_conv_choose(&square, CK_BACKWARD_DATA, false, false) == CK_CONV_WINOGRAD)
      #expect(ck_conv_choose(&square, CK_FORWARD, true, false) == CK_CONV_DIRECT)
      #expect(ck_conv_choose(&strided, CK_FORWARD, false, false) == CK_CONV_DIRECT)
      #expect(ck_conv_choose(&point, CK_BACKWARD_DATA, false, false) == CK_CONV_POINTWISE)
      #expect(ck_conv_choose(&depthwise, CK_FORWARD, true, false) == CK_CONV_DEPTHWISE)
      var deep = ConvolutionCase.shape(512, 512, 7, 7, kernel: (3, 3), pad: (1, 1))
      #expect(ck_conv_choose(&deep, CK_FORWARD, false, false) == CK_CONV_WINOGRAD)
      #expect(ck_conv_choose(&deep, CK_FORWARD, false, true) == CK_CONV_DIRECT)
      #expect(ck_conv_choose(&square, CK_FORWARD, false, true) == CK_CONV_WINOGRAD)
      var conv = ck_conv_make(&square, CK_FORWARD, CK_CONV_DIRECT)
      #expect(ck_conv_flops(&conv) == 2 * 16 * 16 * 9 * 32 * 32)
    }
  }
}
