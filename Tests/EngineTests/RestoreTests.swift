// Elements that go back to another value at random.

import CKernels
import Engine
import Testing

@Suite(.serialized) struct RestoreTests {
  private let graph: Graph
  private let set: ParameterSet
  private let zeros: Parameters, ones: Parameters

  init() throws {
    var builder = GraphBuilder(inputShape: [1])
    try builder.add("first", AddParameter(), [Graph.images], parameters: [("p", .weight, [1_003])])
    try builder.add("second", AddParameter(), [0], parameters: [("p", .weight, [70_001])])
    graph = builder.build()
    set = ParameterSet(graph.parameters.map(\.id))
    zeros = Parameters(graph.parameters.map { Tensor(zeros: $0.shape) })
    ones = Parameters(graph.parameters.map { Tensor(repeating: 1, shape: $0.shape) })
  }

  private func restored(_ fraction: Float, _ random: inout RandomSource) -> [[Float]] {
    var parameters = zeros
    parameters.restore(from: ones, fraction: fraction, over: set, using: &random)
    return set.ids.map { parameters[$0].values }
  }

  /// The draws as the documentation words them, one by one.
  @Test func drawsAreWordsOfBlocks() {
    let before = ck_current_isa()
    defer { _ = ck_select_isa(before) }
    for isa in [CK_ISA_PORTABLE, CK_ISA_AVX2, CK_ISA_AVX512, CK_ISA_NEON] where ck_select_isa(isa) {
      for fraction: Float in [0.01, 0.37] {
        // An odd position: the half-used block is skipped.
        var random = RandomSource(seed: 0x1234_5678_9ABC, position: 0x1_FFFF_FFF1)
        let got = restored(fraction, &random)
        var block: UInt64 = 0xFFFF_FFF9
        for values in got {
          let expected = values.indices.map { i -> Float in
            let words = Philox(seed: 0x1234_5678_9ABC).block(block + UInt64(i / 4), 0x7474_6152)
            return Float(words[i % 4] >> 8) * 0x1p-24 < fraction ? 1 : 0
          }
          #expect(values == expected)
          block += UInt64((values.count + 3) / 4)
        }
        #expect(random.position == 2 * block)
      }
    }
  }

  @Test func theFractionIsHeld() {
    var random = RandomSource(seed: 5)
    for fraction: Float in [0.01, 0.5] {
      let count = 71_004.0, sum = restored(fraction, &random).joined().reduce(0.0) { $0 + Double($1) }
      let deviation = (count * Double(fraction * (1 - fraction))).squareRoot()
      #expect(abs(sum - count * Double(fraction)) < 5 * deviation, "\(sum) of \(count) for \(fraction)")
    }
  }

  @Test func noneAndAll() {
    var random = RandomSource(seed: 5)
    #expect(restored(0, &random).joined().allSatisfy { $0 == 0 })
    #expect(restored(1, &random).joined().allSatisfy { $0 == 1 })
  }
}
