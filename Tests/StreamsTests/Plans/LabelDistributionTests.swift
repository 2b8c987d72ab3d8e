// Class frequencies of label shift, long tails and open sets.

import Engine
import Streams
import Testing
import VisionTestSupport

@Suite struct LabelDistributionTests {
  private func labels(_ plan: StreamPlan, _ contents: StreamContents, segment: Int = 0) -> [Int] {
    plan.segments[segment].places.map { contents.labels[$0] }
  }
  private func counts(_ labels: [Int], classes: Int = 10) -> [Int] {
    labels.reduce(into: [Int](repeating: 0, count: classes)) { $0[$1] += 1 }
  }

  @Test(arguments: [1.0, 9, 500_000]) func onlineShiftHasPhases(_ factor: Double) throws {
    let contents = Small.contents()
    let plan = try Small.plan("label-shift", ["factor": .number(factor), "steps": .number(20_000)], contents)
    #expect(plan.segments.count == 3 && plan.segments[0].places == plan.segments[2].places)
    let labels = labels(plan, contents)
    var majors = [Int]()
    for phase in 0..<10 {
      let counts = counts(Array(labels[phase * 2_000..<phase * 2_000 + 2_000]))
      let major = counts.firstIndex(of: counts.max() ?? 0) ?? 0
      majors.append(major)
      for label in 0..<10 {
        let probability = (label == major ? factor : 1) / (factor + 9)
        // The largest of ten equal counts is a biased one.
        #expect(factor == 1 && label == major || isWithinFourSigma(counts[label], of: 2_000, probability: probability))
      }
    }
    if factor > 1 { #expect(majors.sorted() == Array(0..<10) && majors != majors.sorted()) }
  }

  @Test func monotoneShiftRunsFromTailToTail() throws {
    let contents = Small.contents()
    let options: [String: SettingOption] = ["construction": .text("monotone"), "factor": .number(100), "steps": .number(30_000)]
    let labels = labels(try Small.plan("label-shift", options, contents), contents)
    let weights = (0..<10).map { PortableMath.power(100, -Double($0) / 9) }
    let sum = weights.reduce(0, +)
    for (part, time) in [(0..<3_000, 0.05), (27_000..<30_000, 0.95)] {
      let counts = counts(Array(labels[part]))
      for label in 0..<10 {
        let probability = ((1 - time) * weights[label] + time * weights[9 - label]) / sum
        #expect(isWithinFourSigma(counts[label], of: 3_000, probability: probability))
      }
    }
  }

  /// CIFAR-10-LT by hand: 5,000 pictures of the first class, a 200th of them of the last.
  @Test func theTailOfTheLiterature() throws {
    let contents = Small.contents(perClass: 5_000)
    let plan = try Small.plan("long-tail", ["construction": .text("target"), "factor": .number(200)], contents)
    #expect(counts(labels(plan, contents)) == [5_000, 2_775, 1_540, 854, 474, 263, 146, 81, 45, 25])
  }
  @Test func zipfLeavesSomethingForOthers() throws {
    let contents = Small.contents()
    for seed in 1...20 {
      let plan = try Small.plan("label-shift", ["construction": .text("zipf")], contents, seed: UInt64(seed))
      let counts = counts(labels(plan, contents))
      #expect(counts.reduce(0, +) == 400)
      // Probabilities below 0.9, drawn 400 times: at most 0.9 and four standard deviations.
      #expect(Double(counts.max() ?? 0) < 400 * 0.9 + 4 * 6)
    }
  }

  @Test func dirichletPriorsTakeDistinctPictures() throws {
    let contents = Small.contents(perClass: 400)
    var first = [Double]()
    for seed in 1...200 {
      let plan = try Small.plan("label-shift", ["construction": .text("dirichlet"), "steps": .number(500)], contents, seed: UInt64(seed))
      let places = plan.segments[0].places
      #expect(Set(places).count == places.count && places.count <= 500 && places.count > 490)
      first.append(Double(counts(labels(plan, contents))[0]) / 500)
    }
    // Mean 1/10, variance 0.1 · 0.9 / 41; the counts are rounded down.
    let mean = first.reduce(0, +) / 200
    let sigma = (0.09 / 41 / 200 as Double).squareRoot()
    #expect(abs(mean - 0.1) < 4 * sigma + 0.001)
  }

  @Test(arguments: [(1.0, [40, 40, 40, 40, 40]), (10.0, [40, 22, 12, 7, 4]), (200.0, [40, 10, 2, 0, 0])])
  func tribesTails(_ factor: Double, _ expected: [Int]) throws {
    let contents = Small.contents(classes: 5)
    let plan = try Small.plan("long-tail", ["factor": .number(factor)], contents)
    for segment in 0..<3 {
      #expect(counts(labels(plan, contents, segment: segment), classes: 5) == expected)
      #expect(Set(plan.segments[segment].places).count == expected.reduce(0, +))
    }
    #expect(factor == 1 || plan.segments[0].places != plan.segments[1].places)
    let backward = try Small.plan("long-tail", ["factor": .number(factor), "distribution": .text("backward")], contents)
    #expect(counts(labels(backward, contents), classes: 5) == expected.reversed())
    let varying = try Small.plan("long-tail", ["factor": .number(factor), "distribution": .text("varying")], contents)
    #expect(counts(labels(varying, contents), classes: 5).sorted() == expected.sorted())
    let uniform = try Small.plan("long-tail", ["factor": .number(factor), "distribution": .text("uniform")], contents)
    #expect(counts(labels(uniform, contents), classes: 5) == Array(repeating: expected.reduce(0, +) / 5, count: 5))
  }

  @Test func deltasImbalanceIsDrawnOnce() throws {
    let contents = Small.contents(classes: 5)
    for concentration in [0, 0.1] {
      let plan = try Small.plan(
        "long-tail",
        ["construction": .text("delta"), "factor": .number(10), "concentration": .number(concentration), "slots": .number(10)],
        contents)
      // 200 pictures in the ratio 1 : 10^-1/4 : …, rounded down, and one more each.
      #expect(counts(labels(plan, contents), classes: 5) == [93, 53, 30, 17, 10])
      #expect(plan.segments[0].places == plan.segments[2].places)
    }
  }

  @Test func targetsAreShuffled() throws {
    let contents = Small.contents(classes: 5)
    let plan = try Small.plan("long-tail", ["construction": .text("target"), "factor": .number(10)], contents)
    #expect(counts(labels(plan, contents), classes: 5) == [40, 22, 12, 7, 4] && Set(plan.segments[0].places).count == 85)
  }
}

@Suite struct OpenSetTests {
  private let contents = Small.contents(perClass: 30, unknown: 250)

  @Test func pairsAreBlocks() throws {
    let plan = try Small.plan("open-set", [:], contents)
    let known = (0..<100).map { $0 }, unknown = (300..<400).map { $0 }
    #expect(plan.segments.count == 3 && plan.segments.allSatisfy { $0.places.count == 500 })
    #expect(Array(plan.segments[1].places[..<200]) == known + unknown)
    #expect(Array(plan.segments[1].places.suffix(100)) == Array(200..<250) + Array(500..<550))
    #expect(plan.multiplicities.values.allSatisfy { $0 == 1 })
  }

  @Test func poolsAreShuffled() throws {
    let plan = try Small.plan("open-set", ["construction": .text("pooled"), "ratio": .number(0.5)], contents)
    for (number, segment) in plan.segments.enumerated() {
      #expect(segment.places.count == 450 && Set(segment.places).count == 450)
      for (position, place) in segment.places.enumerated() {
        #expect(segment.domain(at: position) == (place < 300 ? Small.domains[number] : .clean))
      }
      #expect(segment.places.prefix(100).contains { $0 >= 300 })
    }
    #expect(plan.segments[0].domain.description == "fog 5, unknown clean")
    let same = try Small.plan("open-set", ["construction": .text("pooled"), "ratio": .number(0.5), "unknown": .text("same")], contents)
    #expect(same.segments.map(\.domain) == Small.domains && same.segments.allSatisfy(\.mixture.isEmpty))
    let snow = try Small.plan("open-set", ["construction": .text("pooled"), "ratio": .number(0.5), "unknown": .text("snow")], contents)
    #expect(Set(snow.segments[0].mixture) == [Small.domains[0], Domain("snow", severity: 5)])
    let error = errorThrown { try Small.plan("open-set", ["construction": .text("pooled")], contents) }
    #expect(error?.message == "setting open-set with ratio 1.0 needs 300 unknown pictures, the data set has 250")
  }

  @Test func classSplitsKeepTheOrder() throws {
    let plan = try Small.plan("open-set", ["construction": .text("class-split")], contents)
    #expect(plan.segments.allSatisfy { $0.places == Array(0..<550) })
    #expect(
      errorThrown { try Small.plan("open-set", [:], Small.contents()) }?.message
        == "setting open-set without pictures of unknown classes")
  }

  /// Other settings leave unknown pictures out.
  @Test func otherSettingsShowKnownClasses() throws {
    for name in ["continual", "mixed-domains", "correlated", "label-shift", "long-tail"] {
      #expect(try Small.plan(name, [:], contents).items.allSatisfy { $0.place < 300 })
    }
  }
}
