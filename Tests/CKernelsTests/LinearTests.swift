// ck_linear with every epilogue against loops in double; attention from one query.
import CKernels
import Foundation
import Testing

extension KernelTests {
  @Suite struct LinearLayers {
    private static let sizes = [
      DenseCase(m: 1, n: 32, k: 5), DenseCase(m: 13, n: 40, k: 384), DenseCase(m: 200, n: 17, k: 800), DenseCase(m: 37, n: 100, k: 20),
      DenseCase(m: 120, n: 1536, k: 400), DenseCase(m: 3, n: 5, k: 0),
    ]
    private enum Place: CaseIterable { case inPlace, beside, slope }

    @Test(arguments: sizes) func epilogues(_ test: DenseCase) {
      let (m, n, k) = (test.m, test.n, test.k)
      var numbers = Numbers(seed: m + n)
      let a = numbers.plain(m * k), b = numbers.plain(n * k), bias = numbers.plain(n), addend = numbers.plain(m * n)
      let slopes = numbers.plain(m * n), packed = Buffer<Float>(ck_gemm_packed_count(n, k), fill: .nan)
      for i in 0..<m * n { slopes.pointer[i] *= 4 }
      var sums = [Double](repeating: 0, count: m * n)
      for i in 0..<m {
        for j in 0..<n { sums[i * n + j] = (0..<k).reduce(Double(bias[j])) { $0 + Double(a[i * k + $1]) * Double(b[j * k + $1]) } }
      }
      let (c, values) = (Buffer<Float>(m * n, fill: .nan), Buffer<Float>(m * n, fill: .nan))
      withPools { pools in
        pools.reserve(ck_linear_scratch_bytes())
        withEachInstructionSet { set in
          for function in [CK_ROW_NONE, CK_ROW_RELU, CK_ROW_GELU] {
            for place in Place.allCases {
              for adds in [false, true] {
                var bits: [UInt8] = []
                for pool in pools.all {
                  c.fill(.nan)
                  values.fill(.nan)
                  ck_gemm_pack_b(pool, CK_TRANSPOSED, n, k, b.pointer, k, packed.pointer)
                  var epilogue = ck_product_epilogue()
                  epilogue.bias = UnsafePointer(bias.pointer)
                  epilogue.addend = adds ? UnsafePointer(addend.pointer) : nil
                  epilogue.function = function
                  if function != CK_ROW_NONE {
                    epilogue.values = place == .inPlace ? c.pointer : place == .beside ? values.pointer : nil
                    epilogue.slopes = place == .slope ? UnsafePointer(slopes.pointer) : nil
                  }
                  ck_linear(pool, m, n, k, a.pointer, packed.pointer, c.pointer, &epilogue)
                  let now = c.bytes() + values.bytes()
                  if bits.isEmpty { bits = now } else { #expect(now == bits, "\(set): other bits with other workers") }
                }
                var worst = 0.0
                for i in 0..<m * n {
                  let sum = sums[i] + (adds ? Double(addend[i]) : 0)
                  var left = sum
                  if function != CK_ROW_NONE, place == .inPlace { left = value(function, sum) }
                  if function != CK_ROW_NONE, place == .slope { left = sum * slope(function, Double(slopes[i])) }
                  worst = max(worst, abs(Double(c[i]) - left))
                  if function != CK_ROW_NONE, place == .beside { worst = max(worst, abs(Double(values[i]) - value(function, sum))) }
                }
                #expect(worst < 1e-6 * max(4, 4 * Double(k).squareRoot()), "\(set) \(function) \(place) addend \(adds): \(worst)")
              }
            }
          }
        }
      }
    }
    private func value(_ function: ck_row_function, _ x: Double) -> Double {
      function == CK_ROW_RELU ? max(0, x) : 0.5 * x * (1 + erf(x / 2.0.squareRoot()))
    }
    private func slope(_ function: ck_row_function, _ x: Double) -> Double {
      if function == CK_ROW_RELU { return x > 0 ? 1 : 0 }
      return 0.5 * (1 + erf(x / 2.0.squareRoot())) + x * exp(-x * x / 2) / (2 * Double.pi).squareRoot()
    }

    /// A row of a product does not depend on the rows around it.
    @Test func rowsAreIndependent() {
      let (m, n, k) = (150, 100, 800)
      var numbers = Numbers(seed: 3)
      let a = numbers.plain(m * k), b = numbers.plain(n * k), packed = Buffer<Float>(ck_gemm_packed_count(n, k), fill: 0)
      let (all, some) = (Buffer<Float>(m * n, fill: .nan), Buffer<Float>(m * n, fill: .nan))
      withPools { pools in
        pools.reserve(ck_linear_scratch_bytes())
        for pool in pools.all {
          ck_gemm_pack_b(pool, CK_TRANSPOSED, n, k, b.pointer, k, packed.pointer)
          var epilogue = ck_product_epilogue()
          ck_linear(pool, m, n, k, a.pointer, packed.pointer, all.pointer, &epilogue)
          for (first, count) in [(0, 1), (1, 44), (45, 105)] {
            ck_linear(pool, count, n, k, a.pointer + first * k, packed.pointer, some.pointer + first * n, &epilogue)
          }
          #expect(all.bytes() == some.bytes())
        }
      }
    }

    @Test func attentionFromOneQuery() {
      let (images, tokens, heads, depth) = (2, 53, 2, 20)
      let width = heads * depth
      var numbers = Numbers(seed: 11)
      let x = numbers.plain(images * tokens * 3 * width), gradient = numbers.plain(images * width)
      var all = ck_attention_shape(tokens: Int32(tokens), heads: Int32(heads), depth: Int32(depth), first_query: 0, queries: Int32(tokens))
      var one = all
      (one.first_query, one.queries) = (7, 1)
      let (full, row) = (Buffer<Float>(images * tokens * width, fill: .nan), Buffer<Float>(images * width, fill: .nan))
      let spread = Buffer<Float>(images * tokens * width, fill: 0)
      let (expected, got) = (Buffer<Float>(x.count, fill: .nan), Buffer<Float>(x.count, fill: .nan))
      for image in 0..<images {
        for i in 0..<width { spread.pointer[(image * tokens + 7) * width + i] = gradient[image * width + i] }
      }
      withPools { pools in
        pools.reserve(ck_attention_scratch_bytes(Int32(tokens), Int32(depth)))
        withEachInstructionSet { set in
          for pool in pools.all {
            ck_attention(pool, Int32(images), &all, x.pointer, full.pointer)
            ck_attention(pool, Int32(images), &one, x.pointer, row.pointer)
            ck_attention_backward(pool, Int32(images), &all, x.pointer, spread.pointer, expected.pointer)
            ck_attention_backward(pool, Int32(images), &one, x.pointer, gradient.pointer, got.pointer)
            for image in 0..<images {
              for i in 0..<width {
                #expect(abs(full[(image * tokens + 7) * width + i] - row[image * width + i]) < 1e-6, "\(set)")
              }
            }
            #expect((0..<x.count).allSatisfy { abs(expected[$0] - got[$0]) < 1e-6 }, "\(set)")
          }
        }
      }
    }
  }
}
