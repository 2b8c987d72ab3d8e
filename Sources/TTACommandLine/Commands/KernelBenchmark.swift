// tta bench --kernels

import CKernels
import Engine
import Foundation

/// Measures every kernel on the shapes of the supported networks, and the peak it is compared with.
enum KernelBenchmark {
  struct Row: Encodable {
    var kernel: String, shape: String
    var gflops: Double, percent_of_peak: Double

    init(_ kernel: String, _ shape: String, _ rate: Rate) {
      (self.kernel, self.shape, gflops, percent_of_peak) = (kernel, shape, rate.best, 100 * rate.share)
    }
  }
  /// The best of several runs, in billions a second, and the median share of what the yardstick between two runs reached: a processor that others
  /// share changes its speed for seconds.
  struct Rate { var best = 0.0, share = 0.0 }
  /// How the automatic choice of one convolution compares with every algorithm and block of tiles that it had.
  struct Choice: Encodable {
    var shape: String, chosen: String, fastest: String
    var percent_behind: Double
  }
  /// A pass over memory that computes next to nothing.
  struct Pass: Encodable {
    var pass: String
    var gigabytes_per_second: Double, percent_of_bandwidth: Double
  }
  struct Result: Encodable {
    var isa: String, threads: Int
    var peak_gflops: Double, bandwidth_gigabytes_per_second: Double
    var rows: [Row], choices: [Choice], passes: [Pass]
  }

  static func run(threads: Int, json: Bool) throws {
    guard let pool = ck_pool_create(Int32(threads)) else { return }
    defer { ck_pool_destroy(pool) }
    // OpenBLAS's own threads spin for a moment after the library is loaded, and after its products: they would take a core from the rest.
    Thread.sleep(forTimeInterval: 0.5)
    var (rows, choices): ([Row], [Choice]) = ([], [])
    for layer in layers {
      for direction in [CK_FORWARD, CK_BACKWARD_DATA] {
        let ways = ways(layer, direction, pool)
        choices.append(choice(of: ways, layer, direction))
        for way in ways where way.isAutomatic {
          let rate = convolution(layer.shape, direction, way.algorithm, images: layer.images, pool)
          rows.append(Row("\(name(way.algorithm)) \(direction == CK_FORWARD ? "forward" : "backward")", layer.name, rate))
        }
      }
    }
    for layer in layers + [stem] {
      let algorithm = layer.shape.channels <= 4 ? CK_CONV_STEM : layer.shape.depthwise ? CK_CONV_DEPTHWISE : CK_CONV_DIRECT
      rows.append(Row("weight gradient", layer.name, weightGradient(layer.shape, algorithm, images: layer.images, pool)))
    }
    for model in attentions {
      for backward in [false, true] {
        let rate = attention(model.images, model.tokens, model.heads, model.depth, backward: backward, pool)
        rows.append(Row(backward ? "attention backward" : "attention", model.name, rate))
      }
    }
    if ck_bfloat16_is_fast() {
      for product in products where product.n > 197 {
        rows.append(Row("product of bfloat16", product.name, roundedProduct(product.m, product.n, product.k, pool)))
      }
    }
    let passes = measurePasses(pool).map {
      Pass(pass: $0.name, gigabytes_per_second: $0.rate.best, percent_of_bandwidth: 100 * $0.rate.share)
    }
    let bandwidth = (0..<3).reduce(0.0) { best, _ in max(best, ck_measure_bandwidth(pool, passBytes)) }
    for blas in [false, true] {
      for product in products {
        let rate = matrixProduct(product.m, product.n, product.k, blas: blas, pool)
        rows.append(Row(blas ? "OpenBLAS, 1 thread" : "product", product.name, rate))
      }
    }
    let peak = (0..<5).reduce(0.0) { best, _ in max(best, ck_measure_peak_gflops(pool)) }
    let result = Result(
      isa: Machine.instructionSet, threads: threads, peak_gflops: peak, bandwidth_gigabytes_per_second: bandwidth, rows: rows,
      choices: choices, passes: passes)
    if json { return try Console.json(result) }
    Console.result(
      "\(result.isa), \(threads) threads, measured peak \(Numbers.decimals(peak, 0)) GFLOP/s; shares are of the peak between two runs; "
        + "Winograd counted as the direct product it replaces"
    )
    var table = TextTable(["kernel", "shape", "GFLOP/s", "% of peak"])
    for row in rows { table.add([row.kernel, row.shape, Numbers.decimals(row.gflops, 0), Numbers.decimals(row.percent_of_peak, 0)]) }
    table.lines.forEach(Console.result)

    Console.result("\nthe automatic choice of each convolution, and how far it is behind the fastest algorithm and block of tiles")
    table = TextTable(["convolution", "chosen", "fastest", "% behind"])
    for row in choices { table.add([row.shape, row.chosen, row.fastest, Numbers.decimals(row.percent_behind, 1)]) }
    table.lines.forEach(Console.result)

    Console.result("\npasses over \(passBytes >> 20) MB; a scaling copy moves \(Numbers.decimals(bandwidth, 1)) GB/s")
    table = TextTable(["pass", "GB/s", "% of bandwidth"])
    for row in passes {
      table.add([row.pass, Numbers.decimals(row.gigabytes_per_second, 1), Numbers.decimals(row.percent_of_bandwidth, 0)])
    }
    table.lines.forEach(Console.result)
  }

  static func name(_ algorithm: ck_conv_algorithm) -> String {
    switch algorithm {
    case CK_CONV_WINOGRAD: "winograd 3×3"
    case CK_CONV_POINTWISE: "pointwise 1×1"
    case CK_CONV_DEPTHWISE: "depthwise"
    default: "direct"
    }
  }

  struct Layer { var name: String, shape: ck_conv_shape, images: Int }
  private static func layer(
    _ network: String, _ channels: Int32, _ filters: Int32, _ size: Int32, kernel: Int32 = 3, stride: Int32 = 1, depthwise: Bool = false,
    images: Int
  ) -> Layer {
    let out = (size + stride - 1) / stride
    let shape = ck_conv_shape(
      channels: channels, filters: filters, height: size, width: size, out_height: out, out_width: out, kernel_height: kernel,
      kernel_width: kernel, stride_height: stride, stride_width: stride, pad_top: kernel / 2, pad_left: kernel / 2, depthwise: depthwise)
    return Layer(name: "\(network) \(channels)→\(filters) \(size)×\(size)\(stride > 1 ? " /\(stride)" : "")", shape: shape, images: images)
  }
  private static let layers: [Layer] = [
    layer("resnet20", 16, 16, 32, images: 100), layer("resnet20", 32, 32, 16, images: 200), layer("resnet20", 64, 64, 8, images: 200),
    layer("resnet20", 16, 32, 32, stride: 2, images: 100), layer("resnet20", 32, 64, 16, stride: 2, images: 200),
    layer("wrn-28-10", 160, 160, 32, images: 16), layer("wrn-28-10", 320, 320, 16, images: 16), layer("wrn-28-10", 640, 640, 8, images: 32),
    layer("resnet50", 64, 64, 56, images: 8), layer("resnet50", 128, 128, 28, images: 16), layer("resnet50", 256, 256, 14, images: 16),
    layer("resnet50", 512, 512, 7, images: 32), layer("resnet50", 64, 256, 56, kernel: 1, images: 8),
    layer("resnet50", 256, 64, 56, kernel: 1, images: 8), layer("resnet50", 512, 128, 28, kernel: 1, images: 16),
    layer("resnet50", 1024, 256, 14, kernel: 1, images: 16), layer("resnet50", 2048, 512, 7, kernel: 1, images: 16),
    layer("mobilenet", 128, 128, 28, depthwise: true, images: 64), layer("mobilenet", 256, 256, 14, depthwise: true, images: 64),
  ]
  private static let stem = layer("resnet20", 3, 16, 32, images: 200)
  private static let attentions: [(name: String, images: Int, tokens: Int, heads: Int, depth: Int)] = [
    ("vit-small 197 tokens, 6 × 64", 16, 197, 6, 64), ("vit-base 197 tokens, 12 × 64", 8, 197, 12, 64),
  ]
  private static let products: [(name: String, m: Int, n: Int, k: Int)] = [
    ("vit-small qkv 3152×1152×384", 3152, 1152, 384), ("vit-small mlp 3152×1536×384", 3152, 1536, 384),
    ("vit-small mlp 3152×384×1536", 3152, 384, 1536), ("vit-base qkv 3152×2304×768", 3152, 2304, 768),
    ("attention 197×197×64", 197, 197, 64),
  ]

  static func buffer(_ count: Int) -> UnsafeMutablePointer<Float> {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: (count * 4 + 63) / 64 * 64, alignment: 64)
    let floats = raw.bindMemory(to: Float.self, capacity: count)
    for i in 0..<count { floats[i] = Float(i % 17) * 0.03 - 0.2 }
    return floats
  }
  /// Runs of `least` seconds together or more, five at least, with the yardstick before each.
  static func measure(_ operations: Double, against yardstick: () -> Double, least: Double = 0.2, _ body: () -> Void) -> Rate {
    body()
    var (fastest, spent, shares) = (Double.infinity, 0.0, [Double]())
    while shares.count < 5 || (spent < least && shares.count < 50) {
      let reached = yardstick(), start = ContinuousClock.now
      body()
      let seconds = (ContinuousClock.now - start).seconds
      (fastest, spent) = (min(fastest, seconds), spent + seconds)
      shares.append(operations / seconds * 1e-9 / reached)
    }
    return Rate(best: operations / fastest * 1e-9, share: shares.sorted()[shares.count / 2])
  }
  /// The same against the peak of multiply-adds, in GFLOP/s.
  static func measure(_ operations: Double, _ pool: OpaquePointer, _ body: () -> Void) -> Rate {
    measure(operations, against: { ck_measure_peak_gflops(pool) }, body)
  }
  static func convolution(
    _ shape: ck_conv_shape, _ direction: ck_direction, _ algorithm: ck_conv_algorithm, images: Int, tileBlock: Int32? = nil,
    seconds: Double = 0.2, withPeak: Bool = true, _ pool: OpaquePointer
  ) -> Rate {
    var shape = shape
    var conv = ck_conv_make(&shape, direction, algorithm)
    if let tileBlock { conv.tile_block = tileBlock }
    _ = ck_pool_reserve(pool, ck_conv_scratch_bytes(&conv))
    func blocked(_ channels: Int32, _ height: Int32, _ width: Int32) -> Int { images * Int((channels + 15) / 16 * 16 * height * width) }
    let input = buffer(blocked(shape.channels, shape.height, shape.width))
    let output = buffer(blocked(shape.filters, shape.out_height, shape.out_width))
    let weights = buffer(Int(shape.filters * (shape.depthwise ? 1 : shape.channels) * shape.kernel_height * shape.kernel_width))
    let packed = buffer(ck_conv_packed_count(&conv))
    defer { [input, output, weights, packed].forEach { $0.deallocate() } }
    ck_conv_pack(&conv, pool, weights, packed)
    var (operand, epilogue) = (ck_operand(), ck_epilogue())
    let forward = direction == CK_FORWARD
    operand.x = UnsafePointer(forward ? input : output)
    epilogue.output = forward ? output : input
    return measure(ck_conv_flops(&conv) * Double(images), against: { withPeak ? ck_measure_peak_gflops(pool) : 1 }, least: seconds) {
      ck_conv_run(&conv, pool, Int32(images), packed, &operand, &epilogue)
    }
  }
  private static func weightGradient(
    _ shape: ck_conv_shape, _ algorithm: ck_conv_algorithm, images: Int, _ pool: OpaquePointer
  ) -> Rate {
    var shape = shape
    var conv = ck_conv_make(&shape, CK_FORWARD, algorithm)
    _ = ck_pool_reserve(pool, ck_conv_weight_gradient_scratch_bytes(&conv))
    let input = buffer(images * Int((shape.channels + 15) / 16 * 16 * shape.height * shape.width))
    let arriving = buffer(images * Int((shape.filters + 15) / 16 * 16 * shape.out_height * shape.out_width))
    let partial = buffer(ck_conv_weight_gradient_partial_bytes(&conv, Int32(images)) / 4)
    let weights = buffer(Int(shape.filters * (shape.depthwise ? 1 : shape.channels) * shape.kernel_height * shape.kernel_width))
    defer { [input, arriving, partial, weights].forEach { $0.deallocate() } }
    var (operand, gradient) = (ck_operand(), ck_operand())
    (operand.x, gradient.x) = (UnsafePointer(input), UnsafePointer(arriving))
    return measure(ck_conv_flops(&conv) * Double(images), pool) {
      ck_conv_weight_gradient(&conv, pool, Int32(images), &operand, &gradient, partial, weights, nil)
    }
  }
  /// Counts two products forward and five backward, where the weights are computed again.
  private static func attention(_ images: Int, _ tokens: Int, _ heads: Int, _ depth: Int, backward: Bool, _ pool: OpaquePointer) -> Rate {
    let width = heads * depth
    let (x, y) = (buffer(images * tokens * 3 * width), buffer(images * tokens * width))
    let target = buffer(images * tokens * 3 * width)
    defer { [x, y, target].forEach { $0.deallocate() } }
    _ = ck_pool_reserve(pool, ck_attention_scratch_bytes(Int32(tokens), Int32(depth)))
    var shape = ck_attention_shape(
      tokens: Int32(tokens), heads: Int32(heads), depth: Int32(depth), first_query: 0, queries: Int32(tokens))
    let product = 2 * Double(images * heads) * Double(tokens * tokens * depth)
    return measure(product * (backward ? 5 : 2), pool) {
      if backward {
        ck_attention_backward(pool, Int32(images), &shape, x, y, target)
      } else {
        ck_attention(pool, Int32(images), &shape, x, y)
      }
    }
  }
  private static func matrixProduct(_ m: Int, _ n: Int, _ k: Int, blas: Bool, _ pool: OpaquePointer) -> Rate {
    let (a, b, c) = (buffer(m * k), buffer(n * k), buffer(m * n))
    defer { [a, b, c].forEach { $0.deallocate() } }
    _ = ck_pool_reserve(pool, ck_gemm_scratch_bytes(m, n, k))
    let threads = blas ? Double(ck_pool_threads(pool)) : 1
    return measure(2 * Double(m) * Double(n) * Double(k), against: { ck_measure_peak_gflops(pool) / threads }) {
      if blas {
        ck_blas_gemm(CK_NORMAL, CK_TRANSPOSED, m, n, k, a, k, b, k, c, n, nil, false)
      } else {
        ck_gemm(pool, CK_NORMAL, CK_TRANSPOSED, m, n, k, a, k, b, k, c, n, nil, false)
      }
    }
  }
}
