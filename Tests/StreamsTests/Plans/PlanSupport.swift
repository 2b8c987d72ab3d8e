// Small data sets that plans are made for.

import Engine
import Streams
import Testing

enum Small {
  static let domains = [Domain("fog", severity: 5), Domain("contrast", severity: 5), Domain("gaussian-noise", severity: 5)]

  /// `perClass` pictures of each class, in a fixed mixed order.
  static func contents(classes: Int = 10, perClass: Int = 40, domains: [Domain] = domains, unknown: Int = 0) -> StreamContents {
    let known = (0..<classes * perClass).map { $0 * 7 % classes }
    return StreamContents(labels: known + Array(repeating: -1, count: unknown), classCount: classes, domains: domains)
  }
  /// A setting with options, by name.
  static func setting(_ name: String, _ options: [String: SettingOption] = [:]) throws -> any StreamSetting {
    try SettingKind.named(name).make(options)
  }
  static func plan(
    _ name: String, _ options: [String: SettingOption] = [:], _ contents: StreamContents = contents(), seed: UInt64 = 1
  ) throws -> StreamPlan {
    try StreamPlan(setting(name, options), for: contents, seed: seed)
  }
  /// Accuracies by a formula, falling with both severities, for all pairs.
  static func matrix(_ names: [String] = ["gaussian-noise", "contrast", "fog", "snow"]) throws -> CalibrationMatrix {
    var matrix = CalibrationMatrix(subject: "a formula")
    try matrix.measure(names, coarseStep: 0.25) { _, first, _, second in
      let (i, j) = (first * 4, second * 4)
      return max(0, 90 - i * i * 7 / 40 - j * j * 5 / 32 - i * j / 8)
    }
    return matrix
  }
  static func ccc(target: Double = 40, speed: Int = 50, length: Int = 6_000) throws -> ContinuouslyChanging {
    var setting = ContinuouslyChanging()
    (setting.matrix, setting.target, setting.speed, setting.length) = (try matrix(), target, speed, length)
    return setting
  }
  /// A plan of every setting and construction, with the contents it was made for.
  static func everyPlan(seed: UInt64 = 1) throws -> [(plan: StreamPlan, contents: StreamContents)] {
    var plans = [(plan: StreamPlan, contents: StreamContents)]()
    func add(_ name: String, _ key: String? = nil, _ values: [String] = [], _ contents: StreamContents = contents()) throws {
      for options in key.map({ key in values.map { [key: SettingOption.text($0)] } }) ?? [[:]] {
        plans.append((try plan(name, options, contents, seed: seed), contents))
      }
    }
    let correlations = Correlation.allCases.map(\.rawValue)
    for name in ["reset-each-shift", "recurring", "mixed-domains", "time-constrained", "episodic-oracle", "online-grid"] { try add(name) }
    try add("continual", "pictures", PictureOrder.allCases.map(\.rawValue))
    try add("gradual", "variant", ["cotta", "rmt"])
    for name in ["correlated", "gradual-correlated", "mixed-domains-correlated"] { try add(name, "construction", correlations) }
    try add("label-shift", "construction", LabelShift.Construction.allCases.map(\.rawValue))
    try add("long-tail", "construction", LongTail.Construction.allCases.map(\.rawValue))
    try add("open-set", "construction", ["paired", "pooled", "class-split"], contents(unknown: 400))
    let small = contents()
    plans.append((try StreamPlan(ccc(), for: small, seed: seed), small))
    return plans
  }
}

extension StreamPlan {
  /// All pictures in order.
  var items: [StreamItem] {
    segments.flatMap { segment in
      segment.places.indices.map { StreamItem(place: segment.places[$0], domain: segment.domain(at: $0)) }
    }
  }
  /// How often each picture is seen under each domain.
  var multiplicities: [StreamItem: Int] { items.reduce(into: [:]) { $0[$1, default: 0] += 1 } }
}

/// Whether a share of draws is within four standard deviations of its probability.
func isWithinFourSigma(_ hits: Int, of draws: Int, probability: Double) -> Bool {
  let sigma = (Double(draws) * probability * (1 - probability)).squareRoot()
  return abs(Double(hits) - Double(draws) * probability) <= 4 * sigma + 1e-9
}
