// Plans as files and as text, and what is refused.

import Engine
import Foundation
import FoundationXML
import Streams
import Testing
import VisionTestSupport

@Suite struct PlanTests {
  private let small = Small.contents(classes: 3, perClass: 4, domains: [Domain("fog", severity: 5), .clean])

  @Test func jsonIsReadable() throws {
    let plan = try Small.plan("continual", [:], small)
    #expect(
      try plan.json == """
        {
          "format" : "tta-stream-plan-1",
          "labels" : "\(plan.labelDigest)",
          "options" : {
            "clean_between" : false,
            "order" : "given",
            "pictures" : "file"
          },
          "orders" : [
            "0-11"
          ],
          "pictures" : 12,
          "resets" : "never",
          "seed" : 1,
          "segments" : [
            {
              "domain" : {
                "corruption" : "fog",
                "severity" : 5
              },
              "order" : 0
            },
            {
              "domain" : {
                "severity" : 0
              },
              "order" : 0
            }
          ],
          "setting" : "continual"
        }

        """)
  }

  @Test func domainsReadBack() throws {
    let domains = [
      Domain.clean, Domain("fog", severity: 5), Domain(name: "sketch"), Domain(name: "photo", steps: [.init("fog", severity: 2.25)]),
      Domain(name: nil, steps: [.init("fog", severity: 0.25), .init("snow", severity: 5)]),
    ]
    #expect(try JSONDecoder().decode([Domain].self, from: JSONEncoder().encode(domains)) == domains)
    #expect(domains.map(\.description) == ["clean", "fog 5", "sketch", "photo, fog 2.25", "fog 0.25 + snow 5"])
  }

  @Test func dryRunsSayWhatComes() throws {
    let plan = try Small.plan("continual", [:], small)
    #expect(
      try plan.summary(of: small, classNames: ["cat", "dog", "owl"]) == [
        "setting     continual: domains one after the other, no reset", "source      CoTTA, CVPR 2022",
        "options     clean_between=false order=given pictures=file", "seed        1", "pictures    24 in 2 parts of a data set of 12",
        "resets      never", "per class   cat 8, dog 8, owl 8", "per domain  fog 5: 12, clean: 12",
        "first       0 (cat), 1 (dog), 2 (owl), 3 (cat), 4 (dog), 5 (owl), 6 (cat), 7 (dog); fog 5",
        "last        4 (dog), 5 (owl), 6 (cat), 7 (dog), 8 (owl), 9 (cat), 10 (dog), 11 (owl); clean",
      ])
    let timed = try Small.plan("time-constrained", [:], small)
    #expect(try timed.summary(of: small).contains("arrival     a picture every 1.0 source-forwards"))
  }

  @Test func filesReadBack() throws {
    try References.withTemporaryFolder { folder in
      let path = folder.appending(path: "plan.json").path
      let plan = try Small.plan("mixed-domains", [:], small)
      try plan.write(to: path)
      #expect(try StreamPlan(path: path) == plan)
      func message(_ text: String) throws -> String? {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return errorThrown { try StreamPlan(path: path) }?.message.replacing("\"\(path)\"", with: "FILE")
      }
      let json = try plan.json
      #expect(try message("{}") == "FILE is not a stream plan")
      #expect(
        try message(json.replacing("plan-1", with: "plan-9"))
          == "FILE: a plan of format \"tta-stream-plan-9\", expected \"tta-stream-plan-1\"")
      #expect(
        try message(json.replacing("\"pictures\" : 12", with: "\"pictures\" : 9"))?.hasPrefix(
          "FILE: the plan is damaged: order 0 has place ")
          == true)
      #expect(
        try message(json.replacing("\"order\" : 0", with: "\"order\" : 4")) == "FILE: the plan is damaged: segment 0 has order 4 of 1")
      let plain = try Small.plan("continual", [:], small).json
      #expect(
        try message(plain.replacing("0-11", with: "0-99999999999"))
          == "FILE: \"0-99999999999\" in a list of places: expected a number, first-last or number x times")
      #expect(
        try message(plain.replacing("0-11", with: "4 x"))
          == "FILE: \"x\" in a list of places: expected a number, first-last or number x times")
    }
  }

  @Test func plansBelongToADataSet() throws {
    let plan = try Small.plan("continual", [:], small)
    var other = small
    other.labels[3] = 1
    let error = errorThrown { try plan.check(other) }
    #expect(
      error?.message
        == "the plan was made for 12 pictures with labels \(plan.labelDigest), the data set has 12 with labels \(try Small.plan("continual", [:], other).labelDigest)"
    )
    #expect(errorThrown { try DomainStream(ShapesDataset(0..<12), plan: plan, batchSize: 4) }?.code == .invalidData)
  }

  @Test func wrongSettingsAreRefused() {
    func refusal(_ name: String, _ options: [String: SettingOption] = [:], _ contents: StreamContents? = nil) -> String? {
      errorThrown { try Small.plan(name, options, contents ?? small) }.map { "\($0.message) / \($0.hint ?? "")" }
    }
    #expect(refusal("contnual") == "unknown setting \"contnual\" / nearest names: continual, gradual, long-tail")
    #expect(
      refusal("continual", ["odrer": .text("given")])
        == "unknown option of continual \"odrer\" / nearest names: order, pictures, clean_between")
    #expect(
      refusal("correlated", ["construction": .text("slots")])
        == "option construction of correlated: \"slots\" cannot be its value / its default is dirichlet-slots; tta list settings correlated shows all options"
    )
    #expect(
      refusal("correlated", ["concentration": .text("much")])
        == "option concentration of correlated: \"much\" cannot be its value / its default is 0.1; tta list settings correlated shows all options"
    )
    #expect(
      refusal("correlated", ["slots": .number(1e12)])
        == "slots 1000000000000: expected at most 100000 / 0 takes as many as there are classes, up to 100")
    #expect(
      refusal("correlated", ["concentration": .number(-1)]) == "concentration -1.0, expected more than 0 / 0.1 is the benchmarks' default")
    #expect(refusal("recurring", ["rounds": .number(0)]) == "rounds 0, expected 1...100000 / 10 is the habit")
    #expect(refusal("recurring", ["rounds": .number(1.5)])?.hasPrefix("option rounds of recurring: \"1.5\" cannot be its value") == true)
    #expect(
      refusal("long-tail", ["factor": .number(0)]) == "factor 0.0, expected 1 or more / it is the most frequent class over the rarest")
    #expect(
      refusal("gradual") == "setting gradual changes severities, but clean has none / name corruptions, for example standard")
    var unlabeled = small
    unlabeled.labels = []
    #expect(
      refusal("correlated", [:], unlabeled) == "setting correlated orders pictures by class, but the data set has no labels / give labels")
    var wide = small
    wide.classCount = 2
    #expect(
      refusal("long-tail", [:], wide)
        == "label 2 at place 2, expected less than 2, the number of classes / check that labels and model belong together")
    var empty = small
    empty.classCount = 4
    #expect(
      refusal("label-shift", [:], empty)
        == "setting label-shift draws from 4 classes, but class 3 has no pictures / give pictures of every class")
    var domainless = small
    domainless.domains = []
    #expect(
      refusal("continual", [:], domainless) == "setting continual without a domain / name corruptions, for example standard, or clean")
    var foreign = small
    foreign.domains = [Domain(name: "sketch")]
    foreign.parts = [.init(name: "photo", places: 0..<12)]
    #expect(refusal("continual", [:], foreign) == "unknown domain \"sketch\" / nearest names: photo")
  }

  @Test func drawingsAreSVG() throws {
    for (plan, contents) in try Small.everyPlan() {
      let svg = PlanDrawing(plan, labels: contents.labels).svg
      #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
      #expect(try XMLDocument(xmlString: svg, options: []).rootElement()?.name == "svg")
      #expect(svg.contains(plan.setting) && svg.contains("class over time") && svg.contains("domain over time"))
    }
    let plan = try Small.plan("continual", [:], small)
    let svg = PlanDrawing(plan, labels: small.labels, classNames: ["a<b", "dog", "owl"]).svg
    #expect(svg.contains("a&lt;b") && svg.contains(">fog</text>") && svg.contains(">clean</text>"))
    // Fog fills the first half at full strength, clean the second one.
    #expect(svg.contains("M118 110h300v11h-300z") && svg.contains("M418 122h300v11h-300z"))
  }
}
