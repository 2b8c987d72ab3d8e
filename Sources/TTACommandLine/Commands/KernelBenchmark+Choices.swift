// tta bench --kernels: whether the choice of each convolution is the best one, products of bfloat16, and passes that memory bounds.

import CKernels
import Engine

extension KernelBenchmark {
  /// Tiles per block that Winograd is tried with.
  private static let tileBlocks: [Int32] = [8, 16, 32, 64, 128]

  /// A way to compute a convolution: an algorithm, and for Winograd a block of tiles. Automatic: the block that the algorithm takes by itself.
  struct Way {
    var algorithm: ck_conv_algorithm, tileBlock: Int32?, isAutomatic: Bool, rate = 0.0
    var name: String { KernelBenchmark.name(algorithm) + (tileBlock.map { ", \($0) tiles" } ?? "") }
  }

  /// Measures every way, six times in turns: a processor that others share changes its speed for seconds.
  static func ways(_ layer: Layer, _ direction: ck_direction, _ pool: OpaquePointer) -> [Way] {
    var shape = layer.shape
    var ways: [Way] = []
    for algorithm in [CK_CONV_WINOGRAD, CK_CONV_DIRECT, CK_CONV_POINTWISE, CK_CONV_DEPTHWISE]
    where ck_conv_supports(&shape, direction, algorithm) {
      let automatic = ck_conv_make(&shape, direction, algorithm).tile_block
      let blocks = algorithm == CK_CONV_WINOGRAD ? Self.tileBlocks.map(Optional.some) : [nil]
      ways += blocks.map { Way(algorithm: algorithm, tileBlock: $0, isAutomatic: $0 == nil || $0 == automatic) }
    }
    for _ in 0..<6 {
      for index in ways.indices {
        let way = ways[index]
        let rate = convolution(
          shape, direction, way.algorithm, images: layer.images, tileBlock: way.tileBlock, seconds: 0.06, withPeak: false, pool)
        ways[index].rate = max(way.rate, rate.best)
      }
    }
    return ways
  }
  /// Compares the automatic choice with the fastest way.
  static func choice(of ways: [Way], _ layer: Layer, _ direction: ck_direction) -> Choice {
    var shape = layer.shape
    let algorithm = ck_conv_choose(&shape, direction, false, false)
    let fastest = ways.max { $0.rate < $1.rate } ?? ways[0]
    let chosen = ways.first { $0.algorithm == algorithm && $0.isAutomatic } ?? ways[0]
    return Choice(
      shape: "\(layer.name) \(direction == CK_FORWARD ? "forward" : "backward")", chosen: chosen.name, fastest: fastest.name,
      percent_behind: 100 * (1 - chosen.rate / fastest.rate))
  }

  /// A product of rows with a frozen matrix, both rounded to bfloat16.
  static func roundedProduct(_ m: Int, _ n: Int, _ k: Int, _ pool: OpaquePointer) -> Rate {
    let (a, b, c, packed) = (buffer(m * k), buffer(n * k), buffer(m * n), buffer(ck_gemm_packed_count(n, k)))
    defer { [a, b, c, packed].forEach { $0.deallocate() } }
    _ = ck_pool_reserve(pool, ck_linear_scratch_bytes())
    ck_gemm_pack_b_bfloat16(pool, CK_TRANSPOSED, n, k, b, k, packed)
    var epilogue = ck_product_epilogue()
    return measure(2 * Double(m) * Double(n) * Double(k), pool) { ck_linear_bfloat16(pool, m, n, k, a, packed, c, &epilogue) }
  }

  /// Bytes of one value that passes read or write.
  static let passBytes = 64 << 20

  /// Passes over values in memory, and the bytes per second that they read and write.
  static func measurePasses(_ pool: OpaquePointer) -> [(name: String, rate: Rate)] {
    // 64 channels of 64 × 64 positions.
    let (images, channels, size) = (Int32(passBytes / (64 * 64 * 64 * 4)), Int32(64), Int32(64))
    let count = passBytes / 4
    let values = (0..<4).map { _ in buffer(count) }
    let (scale, sums) = (buffer(64), UnsafeMutablePointer<Double>.allocate(capacity: Int(images) * 64 * 2))
    defer {
      (values + [scale]).forEach { $0.deallocate() }
      sums.deallocate()
    }
    let affine = ck_affine(scale: UnsafePointer(scale), shift: UnsafePointer(scale), image_stride: 0)
    func rate(_ streams: Double, _ body: () -> Void) -> Rate {
      measure(streams * Double(passBytes), against: { ck_measure_bandwidth(pool, passBytes) }, body)
    }
    func evaluate(_ operand: ck_operand, _ epilogue: ck_epilogue) {
      var (operand, epilogue) = (operand, epilogue)
      ck_elementwise(pool, images, channels, size, size, &operand, &epilogue)
    }
    var (value, sum, gradient) = (ck_operand(), ck_operand(), ck_operand())
    (value.x, value.affine, value.activation) = (UnsafePointer(values[0]), affine, CK_ACTIVATION_RELU)
    (sum.x, sum.affine, sum.activation) = (UnsafePointer(values[0]), affine, CK_ACTIVATION_RELU)
    (sum.second, sum.second_affine) = (UnsafePointer(values[1]), affine)
    (gradient.x, gradient.third) = (UnsafePointer(values[0]), UnsafePointer(values[1]))
    var (bare, moments, masked) = (ck_epilogue(), ck_epilogue(), ck_epilogue())
    (bare.output, moments.output, masked.output) = (values[2], values[2], values[2])
    moments.sums.sums = sums
    (masked.mask.activation, masked.mask.source, masked.mask.affine) = (CK_ACTIVATION_RELU, UnsafePointer(values[3]), affine)
    (masked.sums.sums, masked.sums.source) = (sums, UnsafePointer(values[3]))
    var mean = value
    let (rows, width) = (count / 384, 384)
    let statistics = buffer(2 * rows)
    defer { statistics.deallocate() }
    return [
      ("norm and relu", rate(2) { evaluate(value, bare) }),
      ("sum of two norms and relu, moments", rate(3) { evaluate(sum, moments) }),
      ("gradients gathered, mask, sums of a norm", rate(4) { evaluate(gradient, masked) }),
      ("global mean of norm and relu", rate(1) { ck_global_average(pool, images, channels, size, size, &mean, values[2]) }),
      (
        "layer norm, 384 wide",
        rate(2) {
          inBlocks(of: rows, pool) { first, count in
            ck_layer_norm(
              values[0] + first * width, values[3], values[3] + width, 1e-6, values[2] + first * width, statistics + 2 * first, count, width
            )
          }
        }
      ),
    ]
  }
  /// Runs `body` for blocks of rows on all workers.
  private static func inBlocks(of rows: Int, _ pool: OpaquePointer, _ body: @escaping (Int, Int) -> Void) {
    final class Work {
      let rows: Int, units: Int, body: (Int, Int) -> Void
      init(_ rows: Int, _ units: Int, _ body: @escaping (Int, Int) -> Void) { (self.rows, self.units, self.body) = (rows, units, body) }
    }
    let work = Work(rows, 64, body)
    ck_pool_run(
      pool, Int32(work.units),
      { context, unit, _ in
        guard let context else { return }
        let work = Unmanaged<Work>.fromOpaque(context).takeUnretainedValue()
        let first = work.rows * Int(unit) / work.units
        work.body(first, work.rows * (Int(unit) + 1) / work.units - first)
      }, Unmanaged.passUnretained(work).toOpaque())
  }
}
