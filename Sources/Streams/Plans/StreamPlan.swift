// A stream before any picture is read: which pictures, in which order, under which domains.

public import Engine
import Foundation
public import Vision

/// Which pictures are seen, in which order and under which domains: a setting applied to a data set with a seed.
///
/// A value that is the same on every machine: its random numbers are counter-based and its arithmetic uses nothing but IEEE operations.
public struct StreamPlan: Hashable, Sendable {
  /// When a method starts again from the source model.
  public enum Reset: String, Codable, Sendable, CaseIterable {
    /// Only before the first picture.
    case never
    /// Before every part of the stream.
    case eachDomain = "each-domain"
    /// Before every batch.
    case eachBatch = "each-batch"
  }
  /// Pictures that arrive whether or not somebody waits for them.
  public struct Arrival: Hashable, Codable, Sendable {
    /// What a time is measured in.
    public enum Unit: String, Codable, Sendable, CaseIterable {
      /// Seconds.
      case seconds
      /// The time that one picture's forward pass of the source model takes.
      case sourceForwards = "source-forwards"
    }
    /// The unit of `interval`.
    public var unit: Unit
    /// Time between two pictures.
    public var interval: Double

    /// Pictures at regular times.
    public init(unit: Unit, interval: Double) { (self.unit, self.interval) = (unit, interval) }
    /// When the picture of a position arrives; the first one arrives at 0.
    public func time(at position: Int) -> Double { Double(position) * interval }
  }

  /// The setting's name.
  public let setting: String
  /// The setting's options, all of them.
  public let options: [String: SettingOption]
  /// Names the random numbers.
  public let seed: UInt64
  /// How many pictures the data set has.
  public let pictures: Int
  /// A fingerprint of the data set's labels.
  public let labelDigest: String
  /// When a method starts again.
  public let resets: Reset
  /// When pictures arrive; `nil` where the stream waits.
  public let arrival: Arrival?
  /// How pictures are cut at random; `nil` where they are taken whole.
  public let crop: RandomResizedCrop?
  /// The parts in order.
  public let segments: [StreamSegment]

  /// A setting applied to a data set.
  public init(_ setting: any StreamSetting, for contents: StreamContents, seed: UInt64) throws(TTAError) {
    let kind = try SettingKind.kind(of: setting)
    guard !contents.domains.isEmpty else {
      throw TTAError(.usage, "setting \(kind.name) without a domain", hint: "name corruptions, for example standard, or clean")
    }
    self.setting = kind.name
    options = SettingKind.options(of: setting)
    self.seed = seed
    pictures = contents.count
    labelDigest = contents.labelDigest
    resets = setting.resets
    (arrival, crop) = (setting.arrival, setting.crop)
    segments = try setting.segments(of: contents, random: RandomSource(seed: seed).stream(0x706C_616E))
  }

  /// Pictures of the whole stream.
  public var count: Int { segments.reduce(0) { $0 + $1.places.count } }

  /// Checks that this plan was made for a data set. Throws where the number of pictures or a label differs.
  public func check(_ contents: StreamContents) throws(TTAError) {
    guard contents.count == pictures, contents.labelDigest == labelDigest else {
      throw TTAError(
        .invalidData,
        "the plan was made for \(pictures) pictures with labels \(labelDigest), the data set has \(contents.count) with labels "
          + contents.labelDigest,
        hint: "make a new plan for this data set, or name the data set of the plan")
    }
  }
}

extension StreamPlan: Codable {
  private enum Key: String, CodingKey { case format, setting, options, seed, pictures, labels, resets, arrival, crop, orders, segments }
  private struct Row: Codable {
    var domain: Domain, order: Int
    var mixture: [Domain]?, numbers: String?
  }
  static let format = "tta-stream-plan-1"

  /// Lists of places that occur several times are written once.
  public func encode(to encoder: any Encoder) throws {
    var numbers = [[Int]: Int]()
    var orders = [String]()
    let rows = segments.map { segment in
      let number = numbers[segment.places] ?? orders.count
      if number == orders.count {
        numbers[segment.places] = number
        orders.append(NumberRuns.text(segment.places))
      }
      return Row(
        domain: segment.domain, order: number, mixture: segment.mixture.isEmpty ? nil : segment.mixture,
        numbers: segment.mixture.isEmpty ? nil : NumberRuns.text(segment.mixtureNumbers))
    }
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(Self.format, forKey: .format)
    try container.encode(setting, forKey: .setting)
    try container.encode(options, forKey: .options)
    try container.encode(seed, forKey: .seed)
    try container.encode(pictures, forKey: .pictures)
    try container.encode(labelDigest, forKey: .labels)
    try container.encode(resets, forKey: .resets)
    try container.encodeIfPresent(arrival, forKey: .arrival)
    try container.encodeIfPresent(crop, forKey: .crop)
    try container.encode(orders, forKey: .orders)
    try container.encode(rows, forKey: .segments)
  }

  /// Reads what `encode` writes; every place is checked against the number of pictures.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    let format = try container.decode(String.self, forKey: .format)
    guard format == Self.format else {
      throw TTAError(.unsupported, "a plan of format \"\(format)\", expected \"\(Self.format)\"", hint: "make the plan again")
    }
    setting = try container.decode(String.self, forKey: .setting)
    options = try container.decode([String: SettingOption].self, forKey: .options)
    seed = try container.decode(UInt64.self, forKey: .seed)
    pictures = try container.decode(Int.self, forKey: .pictures)
    labelDigest = try container.decode(String.self, forKey: .labels)
    resets = try container.decode(Reset.self, forKey: .resets)
    arrival = try container.decodeIfPresent(Arrival.self, forKey: .arrival)
    crop = try container.decodeIfPresent(RandomResizedCrop.self, forKey: .crop)
    var orders = [[Int]]()
    for text in try container.decode([String].self, forKey: .orders) { orders.append(try NumberRuns.numbers(text)) }
    segments = try Self.segments(container.decode([Row].self, forKey: .segments), orders, pictures: pictures)
  }

  private static func segments(_ rows: [Row], _ orders: [[Int]], pictures: Int) throws -> [StreamSegment] {
    for (number, order) in orders.enumerated() {
      if let place = order.first(where: { $0 >= pictures }) { throw damaged("order \(number) has place \(place) of \(pictures) pictures") }
    }
    return try rows.enumerated().map { number, row in
      guard orders.indices.contains(row.order) else { throw damaged("segment \(number) has order \(row.order) of \(orders.count)") }
      var segment = StreamSegment(domain: row.domain, places: orders[row.order])
      segment.mixture = row.mixture ?? []
      segment.mixtureNumbers = try NumberRuns.numbers(row.numbers ?? "")
      let expected = segment.mixture.isEmpty ? 0 : segment.places.count
      guard segment.mixtureNumbers.count == expected, segment.mixtureNumbers.allSatisfy({ $0 < segment.mixture.count }) else {
        throw damaged("segment \(number) has \(segment.mixtureNumbers.count) domain numbers for \(expected) mixed pictures")
      }
      return segment
    }
  }
  private static func damaged(_ what: String) -> TTAError {
    TTAError(.invalidData, "the plan is damaged: \(what)", hint: "make the plan again; it is reproducible from its seed")
  }

  /// The plan as JSON with sorted keys.
  public var json: String {
    get throws(TTAError) {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
      do { return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n" } catch {
        throw TTAError(.internal, "the plan cannot be written as JSON", cause: error)
      }
    }
  }
  /// Writes the plan to a file.
  public func write(to path: String) throws(TTAError) { try AtomicFile.write(json, to: path) }
  /// The plan of a file.
  public init(path: String) throws(TTAError) {
    let file = try MappedFile(path: path)
    let data = withExtendedLifetime(file) { Data(file.bytes) }
    do { self = try JSONDecoder().decode(StreamPlan.self, from: data) } catch let error as TTAError {
      throw TTAError(error.code, "\"\(path)\": \(error.message)", hint: error.hint)
    } catch {
      throw TTAError(
        .invalidData, "\"\(path)\" is not a stream plan", hint: "a plan is JSON with \"format\": \"\(Self.format)\"", cause: error)
    }
  }
}
