// One independent run of a replay.

/// One independent run of a replay: a strategy in a setting, at a severity, with a seed.
public struct ReplayCell: Codable, Hashable, Sendable {
  /// The setting.
  public var setting: ReplayConfiguration.Setting
  /// The severity of all corruptions; nil where the setting or the data set decides.
  public var severity: Double?
  /// The strategy.
  public var strategy: ReplayConfiguration.Strategy
  /// Key of all random numbers.
  public var seed: UInt64

  /// A run.
  public init(setting: ReplayConfiguration.Setting, severity: Double?, strategy: ReplayConfiguration.Strategy, seed: UInt64) {
    (self.setting, self.severity, self.strategy, self.seed) = (setting, severity, strategy, seed)
  }
  /// Names the run in a configuration; fit for file names.
  public var key: String {
    let level = severity.map { ".severity-\($0 == $0.rounded() ? "\(Int($0))" : "\($0)")" } ?? ""
    return Self.plain(setting.label) + level + "." + Self.plain(strategy.label) + ".seed-\(seed)"
  }
  private static func plain(_ text: String) -> String {
    var result = ""
    for character in text {
      let isPlain =
        character.isASCII && (character.isLetter || character.isNumber || character == "-" || character == "_" || character == "+")
      if isPlain { result.append(character) } else if result.last != "-", character != ")" { result.append("-") }
    }
    return result
  }
}
