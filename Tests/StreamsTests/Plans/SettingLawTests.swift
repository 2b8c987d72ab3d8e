// What holds for every setting: multiplicities, determinism, JSON.

import Engine
import Foundation
import Streams
import Testing
import VisionTestSupport

@Suite struct SettingLawTests {
  /// Settings that show every picture once under each of their domains.
  @Test func everyPictureOncePerDomain() throws {
    let contents = Small.contents()
    let expected = Dictionary(
      uniqueKeysWithValues: Small.domains.flatMap { domain in
        (0..<contents.count).map { (StreamItem(place: $0, domain: domain), 1) }
      })
    for name in ["reset-each-shift", "continual", "mixed-domains", "time-constrained", "episodic-oracle", "online-grid"] {
      #expect(try Small.plan(name).multiplicities == expected, "\(name)")
    }
    for order in PictureOrder.allCases {
      #expect(try Small.plan("continual", ["pictures": .text(order.rawValue)]).multiplicities == expected)
    }
    for construction in Correlation.allCases {
      for name in ["correlated", "mixed-domains-correlated"] {
        #expect(try Small.plan(name, ["construction": .text(construction.rawValue)]).multiplicities == expected, "\(name) \(construction)")
      }
    }
    #expect(try Small.plan("recurring", ["rounds": .number(3)]).multiplicities == expected.mapValues { _ in 3 })
  }

  @Test func gradualSeverities() throws {
    let rise = [1, 2, 3, 4, 5, 4, 3, 2, 1]
    for (variant, first) in [("cotta", [5, 4, 3, 2, 1]), ("rmt", rise)] {
      let expected = ["fog", "contrast", "gaussian-noise"].enumerated().flatMap { number, name in
        (number == 0 ? first : rise).map { Domain(name, severity: $0) }
      }
      let plan = try Small.plan("gradual", ["variant": .text(variant)])
      #expect(plan.segments.map(\.domain) == expected)
      #expect(plan.segments.allSatisfy { $0.places == Array(0..<400) })
      for construction in Correlation.allCases {
        let correlated = try Small.plan("gradual-correlated", ["variant": .text(variant), "construction": .text(construction.rawValue)])
        #expect(correlated.segments.map(\.domain) == expected)
        #expect(correlated.segments.allSatisfy { $0.places.sorted() == Array(0..<400) })
      }
    }
    let all = DomainOrder.standard.map { Domain($0, severity: 5) }
    #expect(try Small.plan("gradual", [:], Small.contents(domains: all)).segments.count == 131)
    #expect(try Small.plan("gradual", ["variant": .text("rmt")], Small.contents(domains: all)).segments.count == 135)
  }

  @Test func resets() throws {
    func resets(_ name: String) throws -> StreamPlan.Reset { try Small.plan(name, [:], Small.contents(unknown: 9)).resets }
    for name in ["reset-each-shift", "label-shift", "online-grid"] { #expect(try resets(name) == .eachDomain, "\(name)") }
    #expect(try resets("episodic-oracle") == .eachBatch)
    for name in SettingKind.all.map(\.name)
    where !["reset-each-shift", "label-shift", "online-grid", "episodic-oracle", "ccc"].contains(name) {
      #expect(try resets(name) == .never, "\(name)")
    }
  }

  /// Same seed, same plan; a plan is what its JSON says.
  @Test func plansAreReproducible() throws {
    let (first, again) = (try Small.everyPlan(), try Small.everyPlan())
    #expect(first.map(\.plan) == again.map(\.plan))
    #expect(Set(first.map(\.plan.setting)) == Set(SettingKind.all.map(\.name)))
    for (plan, contents) in first {
      #expect(try JSONDecoder().decode(StreamPlan.self, from: Data(plan.json.utf8)) == plan, "\(plan.setting)")
      try plan.check(contents)
    }
  }

  /// Plans are part of the product: these fingerprints hold on every machine.
  @Test func publishedFingerprints() throws {
    let fingerprints = try Small.everyPlan().map { item in
      let text = item.plan.options["construction"] ?? item.plan.options["variant"] ?? item.plan.options["pictures"]
      return "\(item.plan.setting) \(text?.description ?? "-") \(String(crc32(try item.plan.json.utf8), radix: 16))"
    }
    #expect(fingerprints == Self.fingerprints)
  }

  @Test func seedsMatterWhereThereIsChance() throws {
    for ((first, _), (second, _)) in zip(try Small.everyPlan(seed: 1), try Small.everyPlan(seed: 2)) {
      let fileOrder = first.options["pictures"] == .text("file") || ["gradual"].contains(first.setting)
      let fixed = fileOrder || first.options["construction"] == .text("paired") || first.options["construction"] == .text("class-split")
      #expect((first.segments == second.segments) == fixed, "\(first.setting) \(first.options)")
    }
  }

  /// A stream's pictures and their order do not depend on how they are cut into batches.
  @Test func batchesAreCutsOfThePlan() throws {
    let images = ShapesDataset(0..<120)
    let domains = [Domain("contrast", severity: 3), Domain.clean]
    for name in ["continual", "mixed-domains", "correlated", "label-shift"] {
      let plan = try StreamPlan(Small.setting(name), for: StreamContents(images, domains: domains), seed: 3)
      for batchSize in [1, 7, 64, 1000] {
        let stream = try DomainStream(images, plan: plan, batchSize: batchSize)
        var (seen, tensors) = ([StreamItem](), [Float]())
        for index in 0..<stream.count {
          let batch = try stream.batch(at: index)
          let domains = batch.domains.isEmpty ? Array(repeating: batch.domain, count: batch.count) : batch.domains
          seen += zip(batch.places, domains).map { StreamItem(place: $0, domain: $1) }
          #expect(batch.labels == batch.places.map { images.label(at: $0) })
          if name == "mixed-domains" { tensors += (0..<batch.count).map { batch.images.values[$0 * 3072 + 5] } }
        }
        #expect(seen == plan.items, "\(name)")
        if name == "mixed-domains" { #expect(tensors == (try Self.samples(plan, images))) }
      }
    }
  }
  private static func samples(_ plan: StreamPlan, _ images: ShapesDataset) throws -> [Float] {
    try plan.items.map { item in
      let stream = try DomainStream(images, segments: [StreamSegment(domain: item.domain, places: [item.place])], batchSize: 1)
      return try stream.batch(at: 0).images.values[5]
    }
  }

  @Test func arrivalsFollowTheRate() throws {
    let images = ShapesDataset(0..<10)
    let contents = StreamContents(images, domains: [.clean, Domain("contrast", severity: 1)])
    let setting = try Small.setting("time-constrained", ["rate": .number(4), "unit": .text("seconds")])
    let plan = try StreamPlan(setting, for: contents, seed: 1)
    #expect(plan.arrival == StreamPlan.Arrival(unit: .seconds, interval: 0.25))
    let stream = try DomainStream(images, plan: plan, batchSize: 4)
    #expect(try (0..<6).flatMap { try stream.batch(at: $0).arrivals } == (0..<20).map { Double($0) / 4 })
    #expect(try DomainStream(images, domains: [.clean], batchSize: 4).batch(at: 0).arrivals.isEmpty)
  }
}

extension SettingLawTests {
  static let fingerprints: [String] = [
    "reset-each-shift file bb3b4b6",
    "recurring file 5d12748b",
    "mixed-domains - ca0f415",
    "time-constrained file 98ab2906",
    "episodic-oracle - fc0f24eb",
    "online-grid - 8b2655d2",
    "continual file a68a88a1",
    "continual shuffled 22693ff4",
    "continual same-shuffle 160c62",
    "gradual cotta 99a0400f",
    "gradual rmt 6263dac8",
    "correlated dirichlet-slots e2d121f4",
    "correlated note c98ab48",
    "correlated class-sorted abe91abc",
    "correlated lame-groups 6df7e40c",
    "gradual-correlated dirichlet-slots 41385d2a",
    "gradual-correlated note 3cf028d8",
    "gradual-correlated class-sorted 516f9483",
    "gradual-correlated lame-groups 2a34b988",
    "mixed-domains-correlated dirichlet-slots 13097369",
    "mixed-domains-correlated note 716d906f",
    "mixed-domains-correlated class-sorted d4602092",
    "mixed-domains-correlated lame-groups 395d76b6",
    "label-shift online 40649257",
    "label-shift monotone d8ecabf7",
    "label-shift zipf 5b7e11f7",
    "label-shift dirichlet f07aef09",
    "long-tail tribe 96adac7c",
    "long-tail delta 3dca4d33",
    "long-tail target 16e05756",
    "open-set paired 7aebfd90",
    "open-set pooled edb4dfc2",
    "open-set class-split ba5e18f7",
    "ccc - f6b14b87",
  ]
}
