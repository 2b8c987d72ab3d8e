// What a replay runs: a value that is the same however it was written down.

import Engine
import Foundation
public import Streams
public import TTA

/// What a replay runs: every strategy in every setting with every severity and seed.
public struct ReplayConfiguration: Codable, Hashable, Sendable {
  /// A strategy with its options.
  public struct Strategy: Codable, Hashable, Sendable {
    /// What it is called in results.
    public var label: String
    /// Its section, as `Registry.compose` reads it.
    public var section: OptionTree
    /// A strategy.
    public init(label: String, section: OptionTree) { (self.label, self.section) = (label, section) }
    /// The registered name.
    public var name: String { section["name"]?.text ?? "" }
  }
  /// A setting with the options that differ from its defaults.
  public struct Setting: Codable, Hashable, Sendable {
    /// The setting's name.
    public var name: String
    /// Changed options.
    public var options: [String: SettingOption]
    /// A setting.
    public init(name: String, options: [String: SettingOption] = [:]) { (self.name, self.options) = (name, options) }
    /// `correlated(construction=note)`.
    public var label: String {
      options.isEmpty ? name : name + "(" + options.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",") + ")"
    }
    /// Whether the setting chooses severities itself, so that there is one run for all.
    public var choosesSeverities: Bool { ["gradual", "gradual-correlated", "ccc"].contains(name) }
  }
  /// Where k of time-constrained evaluation comes from.
  public enum TimeCost: String, Codable, Sendable, CaseIterable {
    /// Declared forwards and backwards; a backward counts as two forwards.
    case declared
    /// The measured time of a step over that of a forward of the source model.
    case measured
  }

  /// The `model:` section, and a digest of the weights.
  public var model: OptionTree, modelDigest: String
  /// Where the pictures come from, and a digest of labels and some pixels.
  public var data: OptionTree, dataDigest: String
  /// The strategies in the order of the tables.
  public var strategies: [Strategy]
  /// The settings in the order of the tables.
  public var settings: [Setting]
  /// Names of corruptions in the order in which they are seen, `clean` among them; empty for the data set's own domains.
  public var corruptions: [String]
  /// Severities, one run each.
  public var severities: [Double]
  /// Seeds, one run each.
  public var seeds: [UInt64]
  /// Pictures per batch.
  public var batch: Int
  /// How preprocessing brings pictures to the model, in words.
  public var preprocessing: String
  /// `exact` or `fast` convolutions; behind them `, bfloat16` where products with frozen linear layers are.
  public var lowering: String
  /// Whether the emitted scores are kept.
  public var keepsPredictions: Bool
  /// Where k of time-constrained evaluation comes from.
  public var timeCost: TimeCost
  /// Learning rates and most steps of `episodic-oracle`.
  public var oracleRates: [Double], oracleSteps: Int
  /// Name of the images' data set in results.
  public var dataset: String
  /// A folder of published frost photographs; nil makes frost procedural.
  public var frostDirectory: String?

  /// A configuration with the defaults of everything that is not named.
  public init(
    model: OptionTree, modelDigest: String, data: OptionTree, dataDigest: String, dataset: String, strategies: [Strategy],
    settings: [Setting], corruptions: [String], severities: [Double] = [5], seeds: [UInt64] = [1], batch: Int = 200,
    preprocessing: String = "as they are", lowering: String = "fast"
  ) {
    (self.model, self.modelDigest, self.data, self.dataDigest) = (model, modelDigest, data, dataDigest)
    (self.dataset, self.strategies, self.settings, self.corruptions) = (dataset, strategies, settings, corruptions)
    (self.severities, self.seeds, self.batch, self.preprocessing) = (severities, seeds, batch, preprocessing)
    (self.lowering, keepsPredictions, timeCost) = (lowering, false, .declared)
    (oracleRates, oracleSteps) = ([1e-3, 5e-4, 1e-4], 10)
  }

  /// The independent runs, in the order of the result files.
  public var cells: [ReplayCell] {
    var cells: [ReplayCell] = []
    for setting in settings {
      let levels: [Double?] = setting.choosesSeverities || !hasSeverities ? [nil] : severities.map { $0 }
      for level in levels {
        for strategy in strategies.flatMap({ Self.variants(of: $0, in: setting) }) {
          for seed in seeds { cells.append(ReplayCell(setting: setting, severity: level, strategy: strategy, seed: seed)) }
        }
      }
    }
    return cells
  }
  private var hasSeverities: Bool { corruptions.contains { $0 != "clean" } }

  /// Learning rates and steps of TTAB's second protocol (Zhao et al., ICML 2023).
  static let gridRates = [5e-3, 1e-3, 5e-4], gridSteps = [1, 2, 3]
  /// The strategy itself or, for `online-grid`, one strategy per learning rate and number of steps, as far as it has them.
  private static func variants(of strategy: Strategy, in setting: Setting) -> [Strategy] {
    guard setting.name == "online-grid" else { return [strategy] }
    let keys = optionKeys(of: strategy)
    return (keys.contains("learning_rate") ? gridRates.map { $0 } : [nil]).flatMap { (rate: Double?) in
      (keys.contains("steps") ? gridSteps.map { $0 } : [nil]).map { (steps: Int?) in
        var variant = strategy
        var parts: [String] = []
        if let rate {
          variant.section["learning_rate"] = .number(rate)
          parts.append("lr=\(rate)")
        }
        if let steps {
          variant.section["steps"] = .number(Double(steps))
          parts.append("steps=\(steps)")
        }
        variant.label += parts.isEmpty ? "" : "(" + parts.joined(separator: ",") + ")"
        return variant
      }
    }
  }
  /// Options that the registry knows of a strategy.
  static func optionKeys(of strategy: Strategy) -> Set<String> {
    let entry = Registry.current.entries(.strategy).first { $0.name == strategy.name }
    return Set(entry?.options.map(\.key) ?? [])
  }

  /// The configuration as JSON with sorted keys; YAML readers read it, too.
  public var json: String {
    get throws(TTAError) {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      do { return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n" } catch {
        throw TTAError(.internal, "the configuration cannot be written as JSON", cause: error)
      }
    }
  }
  /// The first of all settings of which two configurations differ, with both values; nil where they are the same.
  public func difference(from other: ReplayConfiguration) throws -> (key: String, own: String, other: String)? {
    func tree(_ configuration: ReplayConfiguration) throws -> OptionTree {
      try JSONDecoder().decode(OptionTree.self, from: Data(configuration.json.utf8))
    }
    return Self.difference(try tree(self), try tree(other), at: "")
  }
  private static func difference(_ left: OptionTree?, _ right: OptionTree?, at path: String) -> (key: String, own: String, other: String)? {
    if left == right { return nil }
    if case .keys(let own)? = left, case .keys(let others)? = right {
      for key in Set(own.keys).union(others.keys).sorted() {
        if let found = difference(own[key], others[key], at: path.isEmpty ? key : "\(path).\(key)") { return found }
      }
    }
    return (path, left.map { "\($0)" } ?? "nothing", right.map { "\($0)" } ?? "nothing")
  }
}
