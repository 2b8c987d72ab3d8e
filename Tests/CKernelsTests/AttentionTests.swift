// Attention and its gradient against plain loops in double: all instruction sets, odd sizes, any number of threads.
import CKernels
import Testing

extension KernelTests {
  @Suite struct Attentions {
    struct Size: CustomTestStringConvertible {
      var images: Int, tokens: Int, heads: Int, depth: Int
      var testDescription: String { "\(images) × \(tokens) tokens, \(heads) heads of \(depth)" }
    }
    private static let sizes: [Size] = [
      Size(images: 1, tokens: 1, heads: 1, depth: 1), Size(images: 2, tokens: 5, heads: 3, depth: 8),
      Size(images: 2, tokens: 33, heads: 2, depth: 20), Size(images: 1, tokens: 64, heads: 2, depth: 16),
      Size(images: 3, tokens: 197, heads: 2, depth: 64), Size(images: 1, tokens: 401, heads: 1, depth: 32),
    ]

    /// Output and gradient of the input, in double.
    private func reference(_ size: Size, _ x: Buffer<Float>, _ gradient: Buffer<Float>) -> (output: [Double], gradient: [Double]) {
      let (tokens, depth, width) = (size.tokens, size.depth, size.heads * size.depth)
      var output = [Double](repeating: 0, count: size.images * tokens * width)
      var result = [Double](repeating: 0, count: 3 * output.count)
      let scale = 1 / Double(depth).squareRoot()
      for image in 0..<size.images {
        for head in 0..<size.heads {
          func place(_ token: Int, _ part: Int, _ i: Int) -> Int { ((image * tokens + token) * 3 + part) * width + head * depth + i }
          func row(_ token: Int, _ i: Int) -> Int { (image * tokens + token) * width + head * depth + i }
          for q in 0..<tokens {
            var weights = (0..<tokens).map { k in (0..<depth).reduce(0.0) { $0 + Double(x[place(q, 0, $1)]) * Double(x[place(k, 1, $1)]) } }
            let largest = weights.max() ?? 0
            weights = weights.map { exponential(scale * ($0 - largest)) }
            let total = weights.reduce(0, +)
            weights = weights.map { $0 / total }
            let slopes = (0..<tokens).map { k in
              (0..<depth).reduce(0.0) { $0 + Double(gradient[row(q, $1)]) * Double(x[place(k, 2, $1)]) }
            }
            let product = zip(weights, slopes).reduce(0.0) { $0 + $1.0 * $1.1 }
            for k in 0..<tokens {
              let slope = weights[k] * (slopes[k] - product) * scale
              for i in 0..<depth {
                output[row(q, i)] += weights[k] * Double(x[place(k, 2, i)])
                result[place(q, 0, i)] += slope * Double(x[place(k, 1, i)])
                result[place(k, 1, i)] += slope * Double(x[place(q, 0, i)])
                result[place(k, 2, i)] += weights[k] * Double(gradient[row(q, i)])
              }
            }
          }
        }
      }
      return (output, result)
    }
    /// eˣ by its series around a sixteenth of x, squared four times: no library needed.
    private func exponential(_ x: Double) -> Double {
      var (term, sum) = (1.0, 1.0)
      for i in 1...24 {
        term *= x / 16 / Double(i)
        sum += term
      }
      return (0..<4).reduce(sum) { value, _ in value * value }
    }

    @Test(arguments: sizes) func equalsPlainLoops(_ size: Size) {
      let (tokens, width) = (size.tokens, size.heads * size.depth)
      var numbers = Numbers(seed: tokens)
      let x = numbers.plain(size.images * tokens * 3 * width), gradient = numbers.plain(size.images * tokens * width)
      // Larger queries and keys: weights from nearly 0 to nearly 1.
      for i in 0..<x.count where i / width % 3 < 2 { x.pointer[i] *= 3 }
      let expected = reference(size, x, gradient)
      let output = Buffer<Float>(expected.output.count, fill: .nan), result = Buffer<Float>(expected.gradient.count, fill: .nan)
      let (images, count, depth) = (Int32(size.images), Int32(tokens), Int32(size.depth))
      var shape = ck_attention_shape(tokens: count, heads: Int32(size.heads), depth: depth, first_query: 0, queries: count)
      withPools { pools in
        pools.reserve(ck_attention_scratch_bytes(count, depth))
        withEachInstructionSet { set in
          var first: [UInt8]?
          for pool in pools.all {
            output.fill(.nan)
            result.fill(.nan)
            ck_attention(pool, images, &shape, x.pointer, output.pointer)
            ck_attention_backward(pool, images, &shape, x.pointer, gradient.pointer, result.pointer)
            check(output, expected.output, "\(set) output")
            check(result, expected.gradient, "\(set) gradient")
            let bytes = output.bytes() + result.bytes()
            #expect(bytes == first ?? bytes, "\(set): other bits with \(ck_pool_threads(pool)) threads")
            first = bytes
          }
        }
      }
    }
    private func check(_ got: Buffer<Float>, _ expected: [Double], _ label: String) {
      let size = expected.reduce(1e-3) { max($0, abs($1)) }
      let errors = expected.indices.map { abs(Double(got[$0]) - expected[$0]) / size }
      #expect(errors.allSatisfy { $0 < 2e-6 }, "\(label): \(errors.max() ?? 0) of the largest value")
    }
  }
}
