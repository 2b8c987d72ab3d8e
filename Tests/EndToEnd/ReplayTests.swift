// tta replay and tta report from outside.

import Foundation
import Testing

@Suite(.enabled(if: Tool.hasModel, "\(Tool.untrained)"), .serialized) struct ReplayTests {
  static let small = [
    "replay", "--model", "shapes", "--data", "shapes", "--limit", "60", "--batch", "20", "--corruptions", "fog,contrast", "--threads", "1",
    "--quiet",
  ]
  private func replay(_ output: String, _ more: [String] = []) throws -> ToolResult {
    try runTTA(Self.small + ["--output", output] + more)
  }
  private func lines(_ path: String) throws -> [String] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  @Test func leavesEveryFile() throws {
    let folder = try TemporaryFolder()
    let output = folder.path("out")
    let result = try replay(output, ["--seeds", "1,2", "--predictions", "--tensorboard", "--json"])
    #expect(result.code == 0, "\(result.stderr)")
    for name in [
      "manifest.json", "results.csv", "curves.csv", "summary.json", "table.md", "table.tex", "report.html", "configuration.yaml",
    ] {
      #expect(FileManager.default.fileExists(atPath: output + "/" + name), "\(name)")
    }
    let rows = try lines(output + "/results.csv")
    #expect(rows.count == 1 + 3 * 2 * 2 && rows[0].hasSuffix(",uses_labels,waiting_percent"))
    for row in rows.dropFirst() { #expect((0...100).contains(try #require(Double(row.split(separator: ",").last ?? "")))) }
    #expect(
      rows[0].hasPrefix(
        "run,dataset,setting,position,corruption,severity,strategy,seed,images,errors,error_percent,class_balanced_error_percent,ece_percent,nll,"
          + "images_per_second,seconds,peak_memory_bytes"))
    let curves = try lines(output + "/curves.csv")
    #expect(curves.count == 1 + 3 * 2 * 6)
    for row in curves.dropFirst() {
      let drift = try #require(Double(row.split(separator: ",").last ?? ""))
      #expect(row.contains(",tent,") ? drift > 0 && drift < 50 : drift == 0, "\(row)")
    }
    let tree = try #require(JSONSerialization.jsonObject(with: Data(result.stdout.utf8)) as? [String: Any])
    #expect(Set(tree.keys) == ["run", "finding", "groups", "corruption_errors"])
    let group = try #require((tree["groups"] as? [[String: Any]])?.first)
    let tent = try #require((group["strategies"] as? [[String: Any]])?.first { $0["name"] as? String == "tent" })
    #expect(tent["seeds"] as? Int == 2)
    for name in [
      "standard_error_percent", "standard_error_over_seeds_percent", "class_balanced_error_percent", "ece_percent", "nll", "brier",
    ] {
      #expect(try #require(tent[name] as? Double, "\(name)") > 0)
    }
    #expect((0...1).contains(try #require((tent["versus_source"] as? [String: Any])?["pValue"] as? Double)))
    let key = "continual.severity-5.tent.seed-2"
    #expect(FileManager.default.fileExists(atPath: "\(output)/predictions/\(key).npy"))
    let events = try Data(contentsOf: URL(fileURLWithPath: "\(output)/tensorboard/\(key)/events.out.tfevents.0.replay"))
    #expect(
      events.count > 100 && events.range(of: Data("brain.Event:2".utf8)) != nil && events.range(of: Data("error/overall".utf8)) != nil)
  }
  @Test func pageLoadsNothingAndHasItsPoints() throws {
    let folder = try TemporaryFolder()
    #expect(try replay(folder.path("out")).code == 0)
    let report = try runTTA(["report", folder.path("out"), "--output", folder.path("compared.html")])
    #expect(report.code == 0, "\(report.stderr)")
    for page in [folder.path("out/report.html"), folder.path("compared.html")] {
      let html = try String(contentsOfFile: page, encoding: .utf8)
      #expect(!html.contains("http") && !html.contains("<script") && !html.contains("url("))
      let polylines = html.matches(of: /<polyline[^>]* points="([^"]*)"/)
      // Error, entropy and drift of three strategies.
      #expect(polylines.count == 9)
      for line in polylines { #expect(line.output.1.split(separator: " ").count == 6) }
      #expect(html.matches(of: #/class="bubble /#).count == 3)
      let strategies = 3, classes = 10, domains = 2
      #expect(html.matches(of: /class="heat-value"/).count == strategies * (domains + classes + classes * domains))
      #expect(html.contains("<th scope=\"row\">heart</th>"))
    }
  }
  @Test func replaysOfOtherPicturesStandApart() throws {
    let folder = try TemporaryFolder()
    #expect(try replay(folder.path("one"), ["--strategies", "source"]).code == 0)
    #expect(try replay(folder.path("same"), ["--strategies", "source,tent"]).code == 0)
    #expect(try replay(folder.path("other"), ["--strategies", "source", "--limit", "40"]).code == 0)
    func headings(_ runs: [String]) throws -> [String] {
      let report = try runTTA(["report"] + runs.map { folder.path($0) } + ["--output", folder.path("page.html")])
      #expect(report.code == 0, "\(report.stderr)")
      let html = try String(contentsOfFile: folder.path("page.html"), encoding: .utf8)
      #expect(
        html.contains("</span></caption>") && html.contains("one: source") && html.contains("same: source") && !html.contains(": tent</th>")
      )
      return html.matches(of: /<h2>([^<]*severity 5)</).map { String($0.output.1) }
    }
    #expect(try headings(["one", "same"]).first == "continual, severity 5")
    let apart = try headings(["one", "same", "other"])
    #expect(apart.contains("one, same: continual, severity 5") && apart.contains("other: continual, severity 5"))
  }
  @Test func workersAndMergedMachinesGiveTheSame() throws {
    let folder = try TemporaryFolder()
    let options = ["--setting", "continual,mixed-domains", "--strategies", "source,tent"]
    #expect(try replay(folder.path("one"), options).code == 0)
    #expect(try replay(folder.path("two"), options + ["--workers", "2"]).code == 0)
    let cells = try runTTA(Self.small + options + ["--list-cells"]).stdout.split(separator: "\n").map(String.init)
    #expect(cells.count == 4)
    for (number, cell) in cells.enumerated() {
      let run = try replay(folder.path("machine-\(number % 2)"), options + ["--cell", cell])
      #expect(run.code == 0, "\(run.stderr)")
    }
    let merged = try replay(folder.path("three"), options + ["--merge", folder.path("machine-0"), folder.path("machine-1")])
    #expect(merged.code == 0, "\(merged.stderr)")
    for name in ["curves.csv", "table.md", "table.tex"] {
      let first = try Data(contentsOf: URL(fileURLWithPath: folder.path("one/\(name)")))
      #expect(try first == Data(contentsOf: URL(fileURLWithPath: folder.path("two/\(name)"))), "\(name)")
      #expect(try first == Data(contentsOf: URL(fileURLWithPath: folder.path("three/\(name)"))), "\(name)")
    }
  }
  @Test func writtenConfigurationRepeatsTheRun() throws {
    let folder = try TemporaryFolder()
    #expect(
      try replay(folder.path("one"), ["--strategies", "tent:learning_rate=0.01", "--setting", "correlated:construction=note"]).code == 0)
    let again = try runTTA([
      "replay", "--config", folder.path("one/configuration.yaml"), "--output", folder.path("two"), "--threads", "1", "--quiet",
    ])
    #expect(again.code == 0, "\(again.stderr)")
    for name in ["curves.csv", "configuration.yaml"] {
      #expect(
        try Data(contentsOf: URL(fileURLWithPath: folder.path("one/\(name)")))
          == Data(contentsOf: URL(fileURLWithPath: folder.path("two/\(name)"))))
    }
  }
  @Test func configurationInYAML() throws {
    let folder = try TemporaryFolder()
    let yaml = """
      model: shapes
      strategies: [source, {name: tent, learning_rate: 0.01, label: fast tent}]
      stream: {data: shapes, limit: 60, batch: 20, setting: continual, corruptions: [fog], severities: [3]}
      """
    try yaml.write(toFile: folder.path("run.yaml"), atomically: true, encoding: .utf8)
    let cells = try runTTA(["replay", "--config", folder.path("run.yaml"), "--list-cells"])
    #expect(cells.stdout == "continual.severity-3.source.seed-1\ncontinual.severity-3.fast-tent.seed-1\n")
    try yaml.replacing("corruptions", with: "coruptions").write(toFile: folder.path("wrong.yaml"), atomically: true, encoding: .utf8)
    let wrong = try runTTA(["replay", "--config", folder.path("wrong.yaml"), "--list-cells"])
    #expect(wrong.code == 64)
    #expect(wrong.errorLines == ["error: stream: unknown key \"coruptions\"", "hint: nearest keys: corruptions, predictions, setting"])
    let none = try runTTA(["replay", "--config", folder.path("run.yaml"), "--limit", "0", "--list-cells"])
    #expect(none.errorLines == ["error: stream.limit: expected at least 1, got 0", "hint: for example limit: 200"])
  }
}

@Suite(.enabled(if: Tool.hasModel, "\(Tool.untrained)"), .serialized) struct ReplayProtocolTests {
  private func column(_ name: String, of path: String) throws -> [String] {
    let rows = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false)
    }
    let number = try #require(rows.first?.firstIndex { $0 == name })
    return rows.dropFirst().map { String($0[number]) }
  }
  @Test func timeConstrainedLearnsFromEveryThirdBatch() throws {
    let folder = try TemporaryFolder()
    let result = try runTTA(
      ReplayTests.small + ["--setting", "time-constrained", "--strategies", "tent", "--corruptions", "fog", "--output", folder.path("out")])
    #expect(result.code == 0, "\(result.stderr)")
    // One forward and one backward: three forwards, so one batch of three.
    #expect(try column("adapted", of: folder.path("out/curves.csv")) == ["1", "0", "0"])
    let manifest = try String(contentsOfFile: folder.path("out/manifest.json"), encoding: .utf8)
    #expect(manifest.contains("\"declaredCost\" : 3") && manifest.contains("\"measuredCosts\" : {\n"))
  }
  @Test func oracleIsAnUpperBoundAndSaysSo() throws {
    let folder = try TemporaryFolder()
    let options = ["--strategies", "tent", "--corruptions", "gaussian-noise"]
    #expect(try runTTA(ReplayTests.small + options + ["--setting", "episodic-oracle", "--output", folder.path("oracle")]).code == 0)
    #expect(try column("uses_labels", of: folder.path("oracle/results.csv")) == ["1"])
    let plain = [
      "--strategies", "tent:reset=each-batch", "--corruptions", "gaussian-noise", "--setting", "reset-each-shift:pictures=shuffled",
    ]
    #expect(try runTTA(ReplayTests.small + plain + ["--output", folder.path("plain")]).code == 0)
    let best = try #require(Double(try column("error_percent", of: folder.path("oracle/results.csv"))[0]))
    let own = try #require(Double(try column("error_percent", of: folder.path("plain/results.csv"))[0]))
    #expect(best <= own)
    let table = try String(contentsOfFile: folder.path("oracle/table.md"), encoding: .utf8)
    #expect(table.contains("| tent (uses labels) |") && table.contains("an upper bound, not a method"))
  }
  /// TRIBE's counts: all pictures of the first class, a tenth as many of the last. Where all classes have as many, both errors are one number.
  @Test func longTailCountsClassesAlike() throws {
    let folder = try TemporaryFolder()
    func errors(_ name: String, _ setting: String) throws -> (plain: Double, balanced: Double, images: String) {
      let output = folder.path(name)
      let result = try runTTA(
        ReplayTests.small + [
          "--limit", "200", "--strategies", "source", "--corruptions", "fog", "--setting", setting, "--output", output,
        ])
      #expect(result.code == 0, "\(result.stderr)")
      let path = output + "/results.csv"
      return (
        try #require(Double(column("error_percent", of: path)[0])),
        try #require(Double(column("class_balanced_error_percent", of: path)[0])),
        try column("images", of: path)[0]
      )
    }
    #expect(
      try runTTA(["corrupt", "shapes", "--images", "200", "--corruption", "fog", "--severity", "5", "--output", folder.path("data")]).code
        == 0
    )
    let labels = try Data(contentsOf: URL(fileURLWithPath: folder.path("data/labels.npy"))).suffix(200)
    let most = Double(labels.count { $0 == 0 })
    let decline = (0..<10).map { Int(most * pow(10, -Double($0) / 9)) }
    let tail = try errors("tail", "long-tail")
    #expect(tail.images == String(decline.reduce(0, +)) && tail.plain != tail.balanced)
    let same = try errors("uniform", "long-tail:distribution=uniform")
    #expect(same.images == String(decline.reduce(0, +) / 10 * 10) && same.plain == same.balanced)
    let table = try String(contentsOfFile: folder.path("tail/table.md"), encoding: .utf8)
    #expect(table.contains("class-balanced"), "\(table)")
  }
  @Test func openSetScoresAreThere() throws {
    let folder = try TemporaryFolder()
    let noise = folder.path("unknown")
    #expect(
      try runTTA(["corrupt", "shapes", "--images", "60", "--corruption", "gaussian-noise", "--severity", "5", "--output", noise]).code == 0)
    let result = try runTTA(
      ReplayTests.small + [
        "--setting", "open-set:block=10", "--strategies", "source", "--corruptions", "clean", "--unknown", noise + "/gaussian_noise.npy",
        "--output", folder.path("out"),
      ])
    #expect(result.code == 0, "\(result.stderr)")
    let area = try #require(Double(try column("auroc_percent", of: folder.path("out/results.csv"))[0]))
    #expect((0...100).contains(area))
    #expect(try column("images", of: folder.path("out/results.csv")) == ["60"])
  }
}
