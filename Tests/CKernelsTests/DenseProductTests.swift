// ck_gemm in all orientations and odd sizes, plain and packed, with and without a pool, against three loops in double.
import CKernels
import Testing

struct DenseCase: CustomTestStringConvertible {
  let m: Int, n: Int, k: Int
  var testDescription: String { "\(m)×\(n)×\(k)" }

  static let all: [DenseCase] = {
    var cases: [DenseCase] = []
    for m in [0, 1, 2, 5, 14, 17, 29, 100, 197] {
      for n in [1, 5, 16, 17, 33, 64, 197] {
        for k in [0, 1, 3, 16, 64, 197, 400] { cases.append(DenseCase(m: m, n: n, k: k)) }
      }
    }
    return cases
  }()
  /// More columns or a longer sum than are packed at a time.
  static let large = [
    DenseCase(m: 37, n: 300, k: 2000), DenseCase(m: 300, n: 1500, k: 1700), DenseCase(m: 64, n: 3000, k: 1600),
    DenseCase(m: 500, n: 40, k: 3300),
  ]
}

extension KernelTests {
  @Suite struct DenseProducts {
    @Test(arguments: [CK_NORMAL, CK_TRANSPOSED], [CK_NORMAL, CK_TRANSPOSED])
    func equalsPlainLoops(_ a: ck_orientation, _ b: ck_orientation) {
      withPools { pools in
        for (index, test) in everyCase(DenseCase.all).enumerated() {
          check(test, a, b, bias: index % 2 == 0, accumulate: index % 3 == 0, pools)
        }
      }
    }

    @Test(arguments: everyCase(DenseCase.large)) func equalsPlainLoopsBeyondAChunk(_ test: DenseCase) {
      withPools { pools in
        check(test, CK_NORMAL, CK_TRANSPOSED, bias: true, accumulate: true, pools)
        check(test, CK_TRANSPOSED, CK_NORMAL, bias: false, accumulate: false, pools)
      }
    }

    private func check(_ test: DenseCase, _ a: ck_orientation, _ b: ck_orientation, bias: Bool, accumulate: Bool, _ pools: Pools) {
      let (m, n, k) = (test.m, test.n, test.k)
      var numbers = Numbers(seed: m + n + k)
      let lda = (a == CK_NORMAL ? k : m) + 3, ldb = (b == CK_NORMAL ? n : k) + 5, ldc = n + 7
      let left = numbers.plain((a == CK_NORMAL ? m : k) * lda), right = numbers.plain((b == CK_NORMAL ? k : n) * ldb)
      let start = numbers.plain(m * ldc), offsets = numbers.plain(n), result = Buffer<Float>(m * ldc, fill: 0)
      let expected = reference(test, a, b, left, right, lda, ldb, start, ldc, bias ? offsets : nil, accumulate)
      let packed = Buffer<Float>(ck_gemm_packed_count(n, k), fill: .nan), turned = Buffer<Float>(ck_gemm_packed_count(k, n), fill: .nan)
      pools.reserve(ck_gemm_scratch_bytes(m, n, k))
      let offsetPointer = bias ? UnsafePointer(offsets.pointer) : nil
      let restart = { result.pointer.update(from: start.pointer, count: m * ldc) }
      let tolerance = 2e-6 * max(1, 0.3 * Double(k).squareRoot())
      withEachInstructionSet { set in
        let label = "\(set) \(test.testDescription) \(a.rawValue)\(b.rawValue) bias \(bias) accumulate \(accumulate)"
        var bits: [UInt8] = []
        for pool in [nil] + pools.all.map(Optional.some) {
          restart()
          ck_gemm(pool, a, b, m, n, k, left.pointer, lda, right.pointer, ldb, result.pointer, ldc, offsetPointer, accumulate)
          if bits.isEmpty { bits = result.bytes() } else { #expect(result.bytes() == bits, "\(label): workers") }
        }
        #expect(error(result, expected) <= tolerance, "\(label)")
        ck_gemm_pack_b(nil, b, n, k, right.pointer, ldb, packed.pointer)
        ck_gemm_pack_b(nil, b == CK_NORMAL ? CK_TRANSPOSED : CK_NORMAL, k, n, right.pointer, ldb, turned.pointer)
        for pool in [nil] + pools.all.map(Optional.some) {
          let transpose = Buffer<Float>(turned.count, fill: .nan)
          ck_gemm_pack_transpose(pool, n, k, packed.pointer, transpose.pointer)
          #expect(transpose.bytes() == turned.bytes(), "\(label): the transpose of packed B")
        }
        for (pool, first) in [(nil, 0), (pools.all[1], 0), (pools.all[1], n / 32 * 16)] {
          restart()
          ck_gemm_packed(
            pool, a, m, n, k, left.pointer, lda, packed.pointer, first, result.pointer + first, ldc, offsetPointer.map { $0 + first },
            accumulate)
          ck_gemm(pool, a, b, m, first, k, left.pointer, lda, right.pointer, ldb, result.pointer, ldc, offsetPointer, accumulate)
          #expect(error(result, expected) <= tolerance, "\(label): packed, from column \(first) on")
        }
      }
      restart()
      ck_blas_gemm(a, b, m, n, k, left.pointer, lda, right.pointer, ldb, result.pointer, ldc, offsetPointer, accumulate)
      #expect(error(result, expected) <= tolerance, "OpenBLAS \(test.testDescription)")
    }

    /// All of C, the gaps between its rows included: those must stay as they are.
    private func reference(
      _ test: DenseCase, _ a: ck_orientation, _ b: ck_orientation, _ left: Buffer<Float>, _ right: Buffer<Float>, _ lda: Int, _ ldb: Int,
      _ start: Buffer<Float>, _ ldc: Int, _ bias: Buffer<Float>?, _ accumulate: Bool
    ) -> [Double] {
      var result = (0..<start.count).map { Double(start[$0]) }
      for i in 0..<test.m {
        for j in 0..<test.n {
          var sum = (accumulate ? result[i * ldc + j] : 0) + (bias.map { Double($0[j]) } ?? 0)
          for l in 0..<test.k {
            let x = left[a == CK_NORMAL ? i * lda + l : l * lda + i], y = right[b == CK_NORMAL ? l * ldb + j : j * ldb + l]
            sum += Double(x) * Double(y)
          }
          result[i * ldc + j] = sum
        }
      }
      return result
    }

    private func error(_ result: Buffer<Float>, _ expected: [Double]) -> Double {
      var error = 0.0, largest = 1.0
      for (index, value) in expected.enumerated() {
        largest = max(largest, abs(value))
        let difference = abs(value - Double(result[index]))
        error = difference <= error ? error : difference
      }
      return error / largest
    }

    @Test func worksInsideAWorker() {
      // Attention multiplies per head from inside of units: on the worker's own thread, without the pool.
      final class Job {
        var numbers = Numbers(seed: 1)
        let a: Buffer<Float>, b: Buffer<Float>, c: Buffer<Float>
        init() {
          a = numbers.plain(197 * 64)
          b = numbers.plain(197 * 64)
          c = Buffer(8 * 197 * 197, fill: .nan)
        }
      }
      let job = Job()
      withPools { pools in
        for pool in pools.all {
          job.c.fill(.nan)
          ck_pool_run(
            pool, 8,
            { context, unit, _ in
              guard let context else { return }
              let job = Unmanaged<Job>.fromOpaque(context).takeUnretainedValue()
              let c = job.c.pointer + Int(unit) * 197 * 197
              ck_gemm(nil, CK_NORMAL, CK_TRANSPOSED, 197, 197, 64, job.a.pointer, 64, job.b.pointer, 64, c, 197, nil, false)
            }, Unmanaged.passUnretained(job).toOpaque())
          let size = 197 * 197
          #expect((0..<8 * size).allSatisfy { job.c[$0] == job.c[$0 % size] })
        }
      }
    }

    @Test func namesTheKernelsOfOpenBLAS() { #expect(!String(cString: ck_blas_core_name()).isEmpty) }
  }
}
