// What every setting of a stream answers.

public import Engine
public import Vision

/// A setting: the rule by which pictures and domains follow each other.
///
/// A conformance is one file with the constructions of one setting; a row of `SettingKind.all` gives it its name. All its stored
/// properties are options, coded by their names. Random numbers come from the given source only, so that a plan is a function of
/// the setting, the contents and the seed.
public protocol StreamSetting: Codable, Sendable {
  /// The setting with its default options.
  init()
  /// When a method starts again from the source model.
  var resets: StreamPlan.Reset { get }
  /// When pictures arrive, where the stream does not wait for its consumer.
  var arrival: StreamPlan.Arrival? { get }
  /// How pictures are cut at random, where they are not taken whole.
  var crop: RandomResizedCrop? { get }
  /// The parts of the stream in order. Throws where an option or the contents cannot work.
  func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment]
}

extension StreamSetting {
  /// Never.
  public var resets: StreamPlan.Reset { .never }
  /// The stream waits.
  public var arrival: StreamPlan.Arrival? { nil }
  /// Whole.
  public var crop: RandomResizedCrop? { nil }
}

/// The value of an option of a setting.
public enum SettingOption: Hashable, Codable, Sendable, CustomStringConvertible {
  /// True or false.
  case flag(Bool)
  /// A number.
  case number(Double)
  /// A word.
  case text(String)

  /// Told by the form of the value.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let flag = try? container.decode(Bool.self) {
      self = .flag(flag)
    } else if let number = try? container.decode(Double.self) {
      self = .number(number)
    } else {
      self = .text(try container.decode(String.self))
    }
  }
  /// The plain value.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .flag(let flag): try container.encode(flag)
    case .number(let number): try container.encode(number)
    case .text(let text): try container.encode(text)
    }
  }
  /// The value as a user types it.
  public init(typed text: String) {
    if let flag = Bool(text) {
      self = .flag(flag)
    } else if let number = Double(text), number.isFinite {
      self = .number(number)
    } else {
      self = .text(text)
    }
  }
  /// The value as a user types it.
  public var description: String {
    switch self {
    case .flag(let flag): "\(flag)"
    case .number(let number): number == number.rounded() && abs(number) < 1e15 ? "\(Int(number))" : "\(number)"
    case .text(let text): text
    }
  }
}
