// The table of settings: a new one is a row here and a file beside this one.

public import Engine
import Foundation

/// A setting by name.
public struct SettingKind: Sendable {
  /// The name on the command line.
  public let name: String
  /// What it does, in one line.
  public let summary: String
  /// Where it comes from.
  public let source: String
  private let type: any StreamSetting.Type

  private init(_ name: String, _ type: any StreamSetting.Type, _ summary: String, source: String) {
    self.name = name
    self.summary = summary
    self.source = source
    self.type = type
  }

  /// All settings.
  public static let all: [SettingKind] = [
    SettingKind(
      "reset-each-shift", ResetEachShift.self, "domains one by one, the model starts again before each", source: "TENT, ICLR 2021"),
    SettingKind("continual", Continual.self, "domains one after the other, no reset", source: "CoTTA, CVPR 2022"),
    SettingKind("recurring", Recurring.self, "the same domains again and again, no reset", source: "CoTTA, CVPR 2022"),
    SettingKind("gradual", Gradual.self, "severities rise and fall, no reset", source: "CoTTA, CVPR 2022; RMT, CVPR 2023"),
    SettingKind("mixed-domains", MixedDomains.self, "all domains pooled and shuffled", source: "SAR, ICLR 2023"),
    SettingKind(
      "correlated", Correlated.self, "neighbours tend to have the same class",
      source: "RoTTA, CVPR 2023; NOTE, NeurIPS 2022; LAME, CVPR 2022"),
    SettingKind(
      "gradual-correlated", GradualCorrelated.self, "severities rise and fall, neighbours of one class",
      source: "RMT, CVPR 2023; TRIBE, AAAI 2024"),
    SettingKind(
      "mixed-domains-correlated", MixedDomainsCorrelated.self, "all domains pooled, neighbours of one class", source: "ROID, WACV 2024"),
    SettingKind(
      "label-shift", LabelShift.self, "class frequencies change or differ from the source's",
      source: "SAR, ICLR 2023; LAME, CVPR 2022; TTAB, ICML 2023"),
    SettingKind(
      "long-tail", LongTail.self, "a few classes have most pictures", source: "TRIBE, AAAI 2024; DELTA, ICLR 2023; LSA, ICCV 2023"),
    SettingKind(
      "open-set", OpenSet.self, "known classes among unknown ones", source: "OSTTA and OWTTT, ICCV 2023; UniEnt, CVPR 2024"),
    SettingKind("ccc", ContinuouslyChanging.self, "corruptions fade into each other at constant difficulty", source: "RDumb, NeurIPS 2023"),
    SettingKind(
      "time-constrained", TimeConstrained.self, "pictures arrive at a constant rate and do not wait", source: "Alfarra et al., ICML 2024"),
    SettingKind("episodic-oracle", EpisodicOracle.self, "the model starts again before each batch", source: "TTAB, ICML 2023"),
    SettingKind("online-grid", OnlineGrid.self, "shuffled domains, the model starts again before each", source: "TTAB, ICML 2023"),
  ]

  /// The setting of a name; an unknown one is an error that lists the three nearest.
  public static func named(_ name: String) throws(TTAError) -> SettingKind {
    guard let kind = all.first(where: { $0.name == name }) else { throw NearestNames.unknown("setting", name, in: all.map(\.name)) }
    return kind
  }
  /// The kind of a setting.
  static func kind(of setting: any StreamSetting) throws(TTAError) -> SettingKind {
    guard let kind = all.first(where: { ObjectIdentifier($0.type) == ObjectIdentifier(Swift.type(of: setting)) }) else {
      throw TTAError(.internal, "\(Swift.type(of: setting)) is in no row of SettingKind.all")
    }
    return kind
  }

  /// All options with their default values, by name.
  public var options: [String: SettingOption] { Self.options(of: type.init()) }
  /// All options of a setting.
  static func options(of setting: any StreamSetting) -> [String: SettingOption] {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    guard let data = try? encoder.encode(setting) else { return [:] }
    return (try? JSONDecoder().decode([String: SettingOption].self, from: data)) ?? [:]
  }

  /// The setting with some options changed. Throws for an unknown option, with the nearest names, and for a value of the wrong kind.
  public func make(_ changes: [String: SettingOption] = [:]) throws(TTAError) -> any StreamSetting {
    var options = self.options
    for (key, value) in changes.sorted(by: { $0.key < $1.key }) {
      guard let standard = options[key] else {
        throw NearestNames.unknown("option of \(name)", key, in: options.keys.sorted())
      }
      guard Self.haveOneForm(standard, value) else { throw wrong(key, value, standard) }
      options[key] = value
    }
    do {
      return try type.decoded(options)
    } catch {
      for (key, value) in changes.sorted(by: { $0.key < $1.key }) {
        var single = self.options
        let standard = single[key]
        single[key] = value
        if (try? type.decoded(single)) == nil { throw wrong(key, value, standard) }
      }
      throw TTAError(.usage, "options of \(name) do not fit together", hint: "leave some out", cause: error)
    }
  }
  private static func haveOneForm(_ left: SettingOption, _ right: SettingOption) -> Bool {
    switch (left, right) {
    case (.flag, .flag), (.number, .number), (.text, .text): true
    default: false
    }
  }
  private func wrong(_ key: String, _ value: SettingOption, _ standard: SettingOption?) -> TTAError {
    TTAError(
      .usage, "option \(key) of \(name): \"\(value)\" cannot be its value",
      hint: "its default is \(standard?.description ?? "none"); tta list settings \(name) shows all options")
  }
}

extension StreamSetting {
  /// A setting from all of its options.
  fileprivate static func decoded(_ options: [String: SettingOption]) throws -> any StreamSetting {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Self.self, from: JSONEncoder().encode(options))
  }
}
