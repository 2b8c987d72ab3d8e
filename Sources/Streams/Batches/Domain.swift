// What the pictures of a part of a stream have in common.

import Vision

/// What the pictures of a part of a stream have in common: where they come from and what is done to them.
public struct Domain: Hashable, Sendable, CustomStringConvertible {
  /// One corruption of a sequence.
  public struct Step: Hashable, Sendable, CustomStringConvertible {
    /// The corruption's name.
    public var corruption: String
    /// 0...5, in steps of a quarter; 0 leaves the picture as it is.
    public var severity: Double

    /// A corruption at a severity.
    public init(_ corruption: String, severity: Double) { (self.corruption, self.severity) = (corruption, severity) }
    /// `5`, `2.25`.
    public var severityText: String { severity == severity.rounded() ? "\(Int(severity))" : "\(severity)" }
    /// `fog 5`, `fog 2.25`.
    public var description: String { "\(corruption) \(severityText)" }
  }

  /// The data set's own name of the domain, such as `sketch`; `nil` where it has none.
  public var name: String?
  /// The corruptions in the order in which they are applied; none for pictures as they are.
  public var steps: [Step]
  /// Whether frost is made from the published photographs; results say where it is not.
  public var hasFrostPhotographs = false

  /// A domain of a data set, under some corruptions.
  public init(name: String?, steps: [Step] = []) { (self.name, self.steps) = (name, steps) }
  /// A corruption at a severity.
  public init(_ corruption: String, severity: Double) { self.init(name: nil, steps: [Step(corruption, severity: severity)]) }
  /// A corruption at a whole severity.
  public init(_ corruption: String, severity: Int) { self.init(corruption, severity: Double(severity)) }
  /// Pictures as they are.
  public static let clean = Domain(name: nil)

  /// The first corruption's name; `nil` for pictures as they are.
  public var corruption: String? { steps.first?.corruption }
  /// The first corruption's severity; 0 for pictures as they are.
  public var severity: Double { steps.first?.severity ?? 0 }

  /// Whether frost is among the corruptions.
  var hasFrost: Bool { steps.contains { DomainOrder.hyphenated($0.corruption) == "frost" } }
  /// The corruptions where results are shown, without severities: `fog`, `frost (procedural)`, `clean`.
  public var label: String { text { labels[$0] } }
  /// `fog 5`, `clean`, `sketch`, `fog 1.5 + snow 2`, `frost (procedural) 5`.
  public var description: String { text { "\(labels[$0]) \(steps[$0].severityText)" } }

  private var labels: [String] {
    steps.map { step in
      let kind = try? CorruptionKind.named(step.corruption)
      return kind?.label(hasPhotographs: hasFrostPhotographs) ?? step.corruption
    }
  }
  private func text(_ step: (Int) -> String) -> String {
    let corruptions = steps.isEmpty ? nil : steps.indices.map(step).joined(separator: " + ")
    return [name, corruptions].compactMap { $0 }.joined(separator: ", ").nonEmpty ?? "clean"
  }
}

extension Domain: Codable {
  private enum Key: String, CodingKey { case name, corruption, severity, then, photographs }

  /// `{"corruption": "fog", "severity": 5}`; further corruptions stand under `then`, the data set's own name under `name`.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    let corruption = try container.decodeIfPresent(String.self, forKey: .corruption)
    let severity = try container.decodeIfPresent(Double.self, forKey: .severity) ?? 0
    let first = corruption.map { [Step($0, severity: severity)] } ?? []
    self.init(
      name: try container.decodeIfPresent(String.self, forKey: .name),
      steps: first + (try container.decodeIfPresent([Step].self, forKey: .then) ?? []))
    hasFrostPhotographs = try container.decodeIfPresent(Bool.self, forKey: .photographs) ?? false
  }
  /// The same form; whole severities are written without a point.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encodeIfPresent(name, forKey: .name)
    try container.encodeIfPresent(corruption, forKey: .corruption)
    try container.encode(severity, forKey: .severity)
    if hasFrostPhotographs { try container.encode(true, forKey: .photographs) }
    if steps.count > 1 { try container.encode(Array(steps.dropFirst()), forKey: .then) }
  }
}

extension Domain.Step: Codable {}

extension String {
  /// Itself, or `nil` when it has no characters.
  var nonEmpty: String? { isEmpty ? nil : self }
}
