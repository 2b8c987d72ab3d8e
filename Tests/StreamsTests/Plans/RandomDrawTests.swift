// The draws that orders are made of follow their laws, and the arithmetic behind them is exact enough.

import Engine
import Foundation
import Streams
import Testing

@Suite struct RandomDrawTests {
  @Test func logarithmAndExponential() {
    for k in -600...600 {
      let x = Foundation.exp(Double(k) + 0.137)
      #expect(abs(PortableMath.log(x) - Foundation.log(x)) <= 4e-16 * max(abs(Foundation.log(x)), 1))
      let exponent = Double(k) * 1.1
      #expect(abs(PortableMath.exp(exponent) / Foundation.exp(exponent) - 1) < 1e-14)
    }
    #expect(PortableMath.log(1) == 0 && PortableMath.exp(0) == 1)
    #expect(PortableMath.exp(-800) == 0 && PortableMath.exp(800) == .infinity)
    #expect(PortableMath.wholePart(PortableMath.power(10, -1) * 1000) == 100)
    #expect(PortableMath.wholePart(PortableMath.power(200, -1) * 1000) == 5)
    #expect(PortableMath.wholePart(99.999) == 99)
  }

  @Test func shufflesAreUniform() {
    var random = RandomSource(seed: 5)
    var counts = [[Int]: Int]()
    let draws = 24_000
    for _ in 0..<draws { counts[random.shuffled(0..<4), default: 0] += 1 }
    #expect(counts.count == 24)
    for count in counts.values { #expect(isWithinFourSigma(count, of: draws, probability: 1.0 / 24)) }
  }

  @Test(arguments: [0.01, 0.1, 1, 4]) func dirichletMoments(_ concentration: Double) {
    var random = RandomSource(seed: 9)
    let (draws, count) = (4_000, 5)
    var (sum, squares) = ([Double](repeating: 0, count: count), 0.0)
    for _ in 0..<draws {
      let shares = random.dirichlet(count: count, concentration: concentration)
      #expect(abs(shares.reduce(0, +) - 1) < 1e-12 && shares.allSatisfy { $0 >= 0 })
      for number in 0..<count { sum[number] += shares[number] }
      squares += shares.reduce(0) { $0 + ($1 - 0.2) * ($1 - 0.2) }
    }
    let variance = 0.2 * 0.8 / (Double(count) * concentration + 1)
    let sigma = (variance / Double(draws)).squareRoot()
    for total in sum { #expect(abs(total / Double(draws) - 0.2) < 4 * sigma) }
    #expect(abs(squares / Double(draws * count) / variance - 1) < 0.1)
  }

  @Test func zipfFrequencies() {
    var random = RandomSource(seed: 2)
    let draws = 20_000
    let values = (0..<draws).map { _ in random.zipf(exponent: 2) }
    for k in 1...4 {
      let probability = 6 / (Double.pi * Double.pi) / Double(k * k)
      #expect(isWithinFourSigma(values.count { $0 == Double(k) }, of: draws, probability: probability))
    }
    let steep = (0..<draws).map { _ in random.zipf(exponent: 3) }
    #expect(isWithinFourSigma(steep.count { $0 == 1 }, of: draws, probability: 1 / 1.202_056_903_159_594))
  }

  @Test func normalMoments() {
    var random = RandomSource(seed: 3)
    let values = (0..<20_000).map { _ in random.normal() }
    let count = Double(values.count)
    #expect(abs(values.reduce(0, +) / count) < 4 / count.squareRoot())
    #expect(abs(values.reduce(0) { $0 + $1 * $1 } / count - 1) < 4 * (2 / count).squareRoot())
    #expect(isWithinFourSigma(values.count { abs($0) < 1 }, of: values.count, probability: 0.682_689_492_137))
  }

  @Test(arguments: [[], [5], [1, 2, 3, 4], [7, 7, 7, 7], [3, 4], [1, 1], [9, 1, 2, 3, 3, 3, 0], Array(0..<1000)])
  func runsReadBack(_ numbers: [Int]) throws { #expect(try NumberRuns.numbers(NumberRuns.text(numbers)) == numbers) }

  @Test func runsAreShort() {
    #expect(NumberRuns.text(Array(0..<10_000)) == "0-9999")
    #expect(NumberRuns.text([4, 4, 4, 1, 2, 9]) == "4x3 1 2 9")
  }
}
