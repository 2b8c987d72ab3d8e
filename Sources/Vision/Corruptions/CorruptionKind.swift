// The table of corruptions: a new one is a row here and a file beside this one.

public import Engine

/// A corruption by name.
public struct CorruptionKind: Sendable, Hashable {
  /// Families of corruptions.
  public enum Family: String, Codable, Sendable, CaseIterable {
    /// Added noise.
    case noise
    /// Defocus and motion.
    case blur
    /// Snow, frost, fog, brightness.
    case weather
    /// Contrast, resampling, compression.
    case digital
  }

  /// The name on the command line: `gaussian-noise`.
  public let name: String
  /// The family.
  public let family: Family
  /// Whether it belongs to the fifteen of the benchmarks, not to the four extra ones.
  public let isStandard: Bool
  /// Its place in the published order, from 1 on; part of the key of its random numbers.
  package let id: UInt8
  /// The corruption at a severity 1...5.
  let make: @Sendable (CorruptionTable, Int) -> any Corruption

  private init(
    _ id: UInt8, _ name: String, _ family: Family, standard: Bool = true, make: @escaping @Sendable (CorruptionTable, Int) -> any Corruption
  ) {
    self.id = id
    self.name = name
    self.family = family
    isStandard = standard
    self.make = make
  }

  /// All corruptions, the standard ones first and in the standard order.
  public static let all: [CorruptionKind] = [
    CorruptionKind(1, "gaussian-noise", .noise) { GaussianNoise($0, $1) },
    CorruptionKind(3, "impulse-noise", .noise) { ImpulseNoise($0, $1) },
    CorruptionKind(4, "defocus-blur", .blur) { DefocusBlur($0, $1) },
    CorruptionKind(11, "brightness", .weather) { Brightness($0, $1) },
    CorruptionKind(12, "contrast", .digital) { Contrast($0, $1) },
    CorruptionKind(14, "pixelate", .digital) { Pixelate($0, $1) },
  ]

  /// The name of the published files: `gaussian_noise`.
  public var fileName: String { String(name.map { $0 == "-" ? "_" : $0 }) }

  /// The corruption of a name, in either spelling; an unknown one is an error that lists the three nearest.
  public static func named(_ name: String) throws(TTAError) -> CorruptionKind {
    guard let kind = all.first(where: { $0.name == name || $0.fileName == name }) else {
      throw NearestNames.unknown("corruption", name, in: all.map(\.name))
    }
    return kind
  }

  /// The corruptions of a name or of a group: `standard`, `extra`, `all`, or a family.
  public static func group(_ name: String) throws(TTAError) -> [CorruptionKind] {
    switch name {
    case "standard": return all.filter(\.isStandard)
    case "extra": return all.filter { !$0.isStandard }
    case "all": return all
    default:
      if let family = Family(rawValue: name) { return all.filter { $0.family == family } }
      guard let kind = try? named(name) else {
        throw NearestNames.unknown(
          "corruption", name, in: all.map(\.name) + ["standard", "extra", "all"] + Family.allCases.map(\.rawValue))
      }
      return [kind]
    }
  }

  /// Same corruption.
  public static func == (left: CorruptionKind, right: CorruptionKind) -> Bool { left.id == right.id }
  /// Hashes the identity.
  public func hash(into hasher: inout Hasher) { hasher.combine(id) }
}
