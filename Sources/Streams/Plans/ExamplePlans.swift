// Small plans that show what each setting does.

public import Engine

/// A small plan of every setting and construction over the built-in pictures, for drawings and documentation.
public enum ExamplePlans {
  /// A plan and what it was made for.
  public struct Example: Sendable {
    /// `correlated-note`.
    public var name: String
    /// The plan.
    public var plan: StreamPlan
    /// What it was made for.
    public var contents: StreamContents
  }

  /// Two thousand pictures of ten classes under five of the standard corruptions; an open set has as many unknown ones.
  public static func all(seed: UInt64 = 1) throws(TTAError) -> [Example] {
    let pictures = try ImageRange(ShapesDataset.test, 0..<2_000)
    let names = stride(from: 0, to: DomainOrder.standard.count, by: 3).map { DomainOrder.standard[$0] }
    let domains = names.map { Domain($0, severity: 5) }
    let contents = StreamContents(pictures, domains: domains)
    let open = StreamContents(ConcatenatedImages([pictures, UnknownImages(pictures)]), classCount: 10, domains: domains)
    var examples = [Example]()
    for kind in SettingKind.all where kind.name != "ccc" {
      let contents = kind.name == "open-set" ? open : contents
      for (key, value) in variants(of: kind) {
        let setting = try kind.make(key.map { [$0: .text(value)] } ?? [:])
        let name = value.isEmpty ? kind.name : "\(kind.name)-\(value)"
        examples.append(Example(name: name, plan: try StreamPlan(setting, for: contents, seed: seed), contents: contents))
      }
    }
    var changing = ContinuouslyChanging()
    (changing.matrix, changing.speed, changing.length) = (try illustration(), 200, 30_000)
    examples.append(Example(name: "ccc", plan: try StreamPlan(changing, for: contents, seed: seed), contents: contents))
    return examples
  }

  private static func variants(of kind: SettingKind) -> [(key: String?, value: String)] {
    let values: [String] =
      switch kind.name {
      case "correlated", "gradual-correlated", "mixed-domains-correlated": Correlation.allCases.map(\.rawValue)
      case "label-shift": LabelShift.Construction.allCases.map(\.rawValue)
      case "long-tail": LongTail.Construction.allCases.map(\.rawValue)
      case "open-set": OpenSet.Construction.allCases.map(\.rawValue)
      case "gradual": Gradual.Variant.allCases.map(\.rawValue)
      default: []
      }
    return values.isEmpty ? [(nil, "")] : values.map { (kind.name == "gradual" ? "variant" : "construction", $0) }
  }

  /// Accuracies that fall evenly with both severities: no model's, good for a drawing only.
  private static func illustration() throws(TTAError) -> CalibrationMatrix {
    var matrix = CalibrationMatrix(subject: "an illustration, no model")
    do {
      try matrix.measure(Array(DomainOrder.standard.prefix(10)), coarseStep: 5) { _, first, _, second in 90 - 8 * first - 8 * second }
    } catch {
      throw TTAError(.internal, "the illustration of ccc cannot be made", cause: error)
    }
    return matrix
  }
}
