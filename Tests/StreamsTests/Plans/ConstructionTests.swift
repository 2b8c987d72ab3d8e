// The constructions behind the settings do what their papers say.

import Engine
import Foundation
import Streams
import Testing
import Vision
import VisionTestSupport

@Suite struct DomainOrderTests {
  private let all = DomainOrder.standard.map { Domain($0, severity: 5) }

  @Test func publishedOrders() throws {
    for order in DomainOrder.names {
      #expect(Set(try DomainOrder.arrange(all, by: order)) == Set(all))
    }
    #expect(try DomainOrder.arrange(all.reversed(), by: "standard") == all)
    let practical = try DomainOrder.arrange(all, by: "practical").compactMap(\.corruption)
    #expect(
      practical == [
        "motion-blur", "snow", "fog", "shot-noise", "defocus-blur", "contrast", "zoom-blur", "brightness", "frost", "elastic-transform",
        "glass-blur", "gaussian-noise", "pixelate", "jpeg-compression", "impulse-noise",
      ])
    #expect(try DomainOrder.arrange(all, by: "order-0").prefix(3).compactMap(\.corruption) == ["brightness", "pixelate", "gaussian-noise"])
    #expect(try DomainOrder.arrange(all, by: "order-9").last?.corruption == "brightness")
    #expect(Set(try (0..<10).map { try DomainOrder.arrange(all, by: "order-\($0)") }).count == 10)
    let some = [Domain("fog", severity: 1), Domain("fog", severity: 2), Domain("gaussian_noise", severity: 1)]
    #expect(try DomainOrder.arrange(some, by: "standard") == [some[2], some[0], some[1]])
  }
  @Test func otherOrdersAreRefused() {
    #expect(errorThrown { try DomainOrder.arrange(all, by: "order-10") }?.message == "unknown order of domains \"order-10\"")
    let error = errorThrown { try DomainOrder.arrange([Domain("spatter", severity: 2)], by: "order-1") }
    #expect(error?.message == "order order-1 of the standard corruptions does not place spatter 2")
  }
}

@Suite struct CorrelationTests {
  /// Share of neighbours of one class.
  private func agreement(_ plan: StreamPlan, _ contents: StreamContents) -> Double {
    let labels = plan.segments[0].places.map { contents.labels[$0] }
    return Double(zip(labels, labels.dropFirst()).count { $0 == $1 }) / Double(labels.count - 1)
  }

  /// A slot's share of a class has the mean and the variance of the Dirichlet law.
  @Test func dirichletSlots() throws {
    let contents = Small.contents(classes: 20, perClass: 50, domains: (0..<200).map { Domain("fog", severity: $0 % 5 + 1) })
    let plan = try Small.plan("correlated", ["concentration": .number(1), "slots": .number(2)], contents)
    var shares = [Double]()
    for segment in plan.segments {
      for label in 0..<20 {
        let places = segment.places.filter { contents.labels[$0] == label }
        #expect(places == places.sorted())
      }
      shares.append(Double(slotLength(segment.places.map { contents.labels[$0] })) / 1000)
    }
    // The first slot's length is the mean of 20 uniform shares.
    let mean = shares.reduce(0, +) / 200
    let variance = 1.0 / 12 / 20
    let spread = shares.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 200
    let sigma = (variance / 200).squareRoot()
    #expect(abs(mean - 0.5) < 4 * sigma + 0.002)
    #expect(abs(spread / variance - 1) < 0.4)
  }
  /// Length of the first slot, which ends before the first class that comes again.
  private func slotLength(_ labels: [Int]) -> Int {
    var seen = Set<Int>()
    var last = -1
    for (position, label) in labels.enumerated() where label != last {
      if seen.contains(label) { return position }
      seen.insert(label)
      last = label
    }
    return labels.count
  }

  @Test func smallConcentrationsCorrelateMore() throws {
    let contents = Small.contents(perClass: 100)
    let values = try [0.001, 0.1, 10].map { try agreement(Small.plan("correlated", ["concentration": .number($0)], contents), contents) }
    #expect(values == values.sorted(by: >))
    let shuffled = try agreement(Small.plan("online-grid", [:], contents), contents)
    #expect(values[0] > 0.95 && shuffled < 0.2)
  }

  @Test func chunksOfNote() throws {
    let contents = Small.contents(classes: 5, perClass: 100)
    let options: [String: SettingOption] = ["construction": .text("note"), "concentration": .number(0.5), "multiple": .number(64)]
    let plan = try Small.plan("correlated", options, contents)
    for segment in plan.segments {
      #expect(segment.places.count == 448 && Set(segment.places).count == 448)
    }
    #expect(agreement(plan, contents) > 0.6)
    // The minimum is relaxed where it cannot be had, and nothing hangs.
    let tight = Small.contents(classes: 200, perClass: 3)
    let hard = try Small.plan(
      "correlated", ["construction": .text("note"), "concentration": .number(0.001), "minimum": .number(100)], tight)
    #expect(hard.segments.allSatisfy { $0.places.sorted() == Array(0..<600) })
  }

  @Test func sortedAndGrouped() throws {
    let contents = Small.contents()
    let sorted = try Small.plan("correlated", ["construction": .text("class-sorted")], contents)
    for segment in sorted.segments { #expect(segment.places.map { contents.labels[$0] } == (0..<400).map { $0 / 40 }) }
    #expect(sorted.segments[0].places != sorted.segments[1].places)
    let grouped = try Small.plan("correlated", ["construction": .text("lame-groups")], contents)
    var orders = Set<[Int]>()
    for segment in grouped.segments {
      let labels = segment.places.map { contents.labels[$0] }
      #expect(zip(labels, labels.dropFirst()).count { $0 != $1 } == 9)
      orders.insert(stride(from: 0, to: 400, by: 40).map { labels[$0] })
    }
    #expect(orders.count == 3)
  }
}

@Suite struct ContinuouslyChangingTests {
  /// Each time a picture comes it is cut anew, and the cut depends on its number in the stream alone.
  @Test func picturesAreCutAtRandom() throws {
    var setting = try Small.ccc(speed: 60, length: 120)
    setting.crops = true
    let images = ShapesDataset.test
    let contents = StreamContents(images, domains: [.clean])
    let plan = try StreamPlan(setting, for: contents, seed: 1)
    let copy = try JSONDecoder().decode(StreamPlan.self, from: Data(plan.json.utf8))
    #expect(copy == plan && copy.crop == RandomResizedCrop())
    let (small, large) = (try DomainStream(images, plan: plan, batchSize: 10), try DomainStream(images, plan: copy, batchSize: 20))
    let (first, second) = (try small.batch(at: 1).images, try large.batch(at: 0).images)
    #expect(first == second[Array(10..<20)])
    setting.crops = false
    let whole = try DomainStream(images, plan: StreamPlan(setting, for: contents, seed: 1), batchSize: 10)
    #expect(try whole.batch(at: 1).images != first)
    var options = DomainStream.Options()
    options.crop = RandomResizedCrop()
    let twice = try DomainStream(images, segments: [.init(domain: .clean, places: [5, 5])], batchSize: 2, options: options).batch(at: 0)
      .images
    #expect(twice[[0]] != twice[[1]])
  }

  /// Paths of an independent implementation of the published recursion, for accuracies given by a formula.
  @Test(arguments: [
    (0.0, 41, 4.8635670731707314, [(20, 0), (20, 1), (20, 2)]), (20.0, 41, 20.0234756097561, [(20, 0), (20, 1), (19, 1)]),
    (40.0, 36, 39.98993055555556, [(17, 0), (17, 1), (16, 1)]), (60.0, 28, 59.94575892857142, [(13, 0), (13, 1), (13, 2)]),
    (80.0, 17, 80.05220588235295, [(8, 0), (7, 0), (7, 1)]),
  ])
  func pathsAreThePublishedOnes(_ target: Double, _ length: Int, _ mean: Double, _ start: [(Int, Int)]) throws {
    let pair = try #require(Small.matrix().pairs.first)
    let path = CorruptionPath(pair, target: target)
    #expect(path.nodes.count == length && path.mean == mean)
    #expect(path.nodes.prefix(3).map(\.first) == start.map(\.0) && path.nodes.prefix(3).map(\.second) == start.map(\.1))
    #expect(path.nodes.last?.first == 0)
    for (node, next) in zip(path.nodes, path.nodes.dropFirst()) {
      let up = next.first == node.first - 1 && next.second == node.second
      let right = next.first == node.first && next.second == node.second + 1
      #expect(up || right)
    }
    if target == 60 {
      #expect(path.nodes.map(\.second) == [0, 1, 2, 2, 3, 3, 4, 5, 5, 6, 7, 7, 7, 8, 9, 9, 10, 10, 10, 11, 11, 12, 12, 13, 13, 13, 14, 14])
    }
  }

  @Test func streamsFadeFromPairToPair() throws {
    let contents = Small.contents()
    let plan = try StreamPlan(Small.ccc(), for: contents, seed: 1)
    #expect(plan.count == 6_000)
    let names = plan.segments.compactMap(\.domain.name).map { $0.split(separator: " ").map(String.init) }
    for (name, next) in zip(names, names.dropFirst()) { #expect(name[2] == next[0] && next[0] != next[2]) }
    let path = CorruptionPath(try #require(Small.matrix().pairs.first), target: 40)
    let segment = plan.segments[0]
    #expect(segment.places.count == path.nodes.count * 50)
    for (number, node) in path.nodes.enumerated() {
      let range = number * 50..<number * 50 + 50
      #expect(Set(segment.places[range]).count == 50)
      let domains = Set(range.map { segment.domain(at: $0) })
      let severities = [node.first, node.second].filter { $0 > 0 }.map { Double($0) / 4 }
      #expect(domains.count == 1)
      #expect(domains.first?.steps.map(\.severity) == severities)
    }
    let texts = segment.mixture.prefix(2).map(\.description)
    #expect(texts == ["\(names[0][0]) 4.25", "\(names[0][0]) 4.25 + \(names[0][2]) 0.25"])
  }

  @Test func calibrationsAreKept() throws {
    try References.withTemporaryFolder { folder in
      let path = folder.appending(path: "calibration.json").path
      var matrix = CalibrationMatrix(subject: "toy")
      var asked = 0
      try matrix.measure(["fog", "snow"], coarseStep: 2.5) { _, first, _, second in
        asked += 1
        return 100 - 8 * first - 4 * second
      } didMeasure: {
        try $0.write(to: path)
      }
      #expect(asked == 18 && matrix.pairs.count == 2)
      for (index, value) in matrix.pairs[0].accuracy.enumerated() {
        let expected = Double(100 - 2 * (index / 21) - index % 21)
        #expect(abs(value - expected) < 1e-9)
      }
      var read = try CalibrationMatrix(path: path)
      #expect(read == matrix)
      try read.measure(["fog", "snow"], coarseStep: 2.5) { _, _, _, _ in
        Issue.record("measured again"); return 0
      }
      #expect(
        errorThrown { try read.measure(["fog", "snow", "frost"], coarseStep: 0.3) { _, _, _, _ in 0 } }?.message
          == "a calibration step of 0.3, expected 0.25, 0.5, 1, 1.25, 2.5 or 5")
      try "{\"subject\":\"x\",\"pairs\":[{\"first\":\"a\",\"second\":\"b\",\"accuracy\":[1]}]}".write(
        toFile: path, atomically: true, encoding: .utf8)
      #expect(
        errorThrown { try CalibrationMatrix(path: path) }?.message
          == "\"\(path)\": a then b has 1 accuracies, expected 441 in 0...100")
      try "[]".write(toFile: path, atomically: true, encoding: .utf8)
      #expect(errorThrown { try CalibrationMatrix(path: path) }?.message == "\"\(path)\" is no calibration matrix")
    }
  }

  @Test func targetsChooseCorruptions() throws {
    let matrix = try Small.matrix(["gaussian-noise", "brightness", "jpeg-compression", "contrast"])
    func corruptions(_ target: Double) throws -> Set<String> {
      var setting = try Small.ccc(target: target, length: 40_000)
      setting.matrix = matrix
      return Set(try StreamPlan(setting, for: Small.contents(), seed: 1).segments.flatMap(\.mixture).flatMap(\.steps).map(\.corruption))
    }
    #expect(try corruptions(40) == ["gaussian-noise", "jpeg-compression", "contrast"])
    #expect(try corruptions(20) == ["gaussian-noise", "contrast"])
    #expect(try corruptions(0) == ["gaussian-noise", "contrast"])
  }

  @Test func missingCalibrations() {
    let error = errorThrown { try Small.plan("ccc") }
    #expect(error?.message == "setting ccc without a calibration")
    #expect(error?.hint == "name the file of a calibration of the source model: calibration=FILE")
    #expect(errorThrown { try Small.plan("ccc", ["calibration": .text("/no/such.json")]) }?.code == .missingInput)
  }
}
