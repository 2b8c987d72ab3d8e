// The table of corruptions: a new one is a row here and a file beside this one.

public import Engine

/// A corruption by name.
public struct CorruptionKind: Sendable, Hashable {
  /// Families of corruptions.
  public enum Family: String, Codable, Sendable, CaseIterable {
    /// Added noise.
    case noise
    /// Lenses and motion.
    case blur
    /// Snow, frost, fog, light, drops.
    case weather
    /// Contrast, distortion, resampling, compression.
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
  /// What makes the pictures.
  let type: any TabulatedCorruption.Type

  private init(_ id: UInt8, _ name: String, _ family: Family, _ type: any TabulatedCorruption.Type) {
    self.id = id
    self.name = name
    self.family = family
    isStandard = id <= 15
    self.type = type
  }

  /// All corruptions, the standard ones first and in the standard order.
  public static let all: [CorruptionKind] = [
    CorruptionKind(1, "gaussian-noise", .noise, GaussianNoise.self),
    CorruptionKind(2, "shot-noise", .noise, ShotNoise.self),
    CorruptionKind(3, "impulse-noise", .noise, ImpulseNoise.self),
    CorruptionKind(4, "defocus-blur", .blur, DefocusBlur.self),
    CorruptionKind(5, "glass-blur", .blur, GlassBlur.self),
    CorruptionKind(6, "motion-blur", .blur, MotionBlur.self),
    CorruptionKind(7, "zoom-blur", .blur, ZoomBlur.self),
    CorruptionKind(8, "snow", .weather, Snow.self),
    CorruptionKind(9, "frost", .weather, Frost.self),
    CorruptionKind(10, "fog", .weather, Fog.self),
    CorruptionKind(11, "brightness", .weather, Brightness.self),
    CorruptionKind(12, "contrast", .digital, Contrast.self),
    CorruptionKind(13, "elastic-transform", .digital, ElasticTransform.self),
    CorruptionKind(14, "pixelate", .digital, Pixelate.self),
    CorruptionKind(15, "jpeg-compression", .digital, JPEGCompression.self),
    CorruptionKind(16, "speckle-noise", .noise, SpeckleNoise.self),
    CorruptionKind(17, "gaussian-blur", .blur, GaussianBlur.self),
    CorruptionKind(18, "spatter", .weather, Spatter.self),
    CorruptionKind(19, "saturate", .digital, Saturate.self),
  ]

  /// The published parameters and those between them.
  public var parameters: SeverityTable { type.parameters }

  /// The name where results are shown: `frost (procedural)` where frost is made without the published photographs.
  public func label(hasPhotographs: Bool = false) -> String { type == Frost.self && !hasPhotographs ? "\(name) (procedural)" : name }

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
