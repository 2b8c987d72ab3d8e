// A corruption ready for a stream of pictures.

public import Engine

/// One corruption at one severity for a whole stream: which picture it makes depends on the seed and the picture's number only.
public struct Corruptor: Sendable {
  /// Which corruption.
  public let kind: CorruptionKind
  /// 0...5 in steps of a quarter; 0 leaves pictures as they are.
  public let severity: Double
  /// Whose parameters.
  public let table: CorruptionTable
  /// The stream's seed.
  public let seed: UInt64
  /// The corruption's name where results are shown: `frost (procedural)` where frost is made without the published photographs.
  public let label: String
  private let corruption: any Corruption

  /// A corruption ready for use.
  ///
  /// `frostDirectory` holds the photographs of `frost`, frost1.png to frost5.jpg; without it frost is procedural. Throws where the
  /// severity is not one of 0, 0.25, … 5, or a photograph is missing, damaged or too small.
  public init(
    _ kind: CorruptionKind, severity: Double, table: CorruptionTable, seed: UInt64, frostDirectory: String? = nil
  ) throws(TTAError) {
    guard (0...5).contains(severity), (severity * 4).rounded() == severity * 4 else {
      let isWhole = severity == severity.rounded() && abs(severity) < 1e9
      throw TTAError(
        .usage, "severity \(isWhole ? "\(Int(severity))" : "\(severity)") of \(kind.name), expected 0...5 in steps of 0.25",
        hint: "5 is the strongest and the benchmarks' default")
    }
    self.kind = kind
    self.severity = severity
    self.table = table
    self.seed = seed
    label = kind.label(hasPhotographs: frostDirectory != nil)
    let context = CorruptionContext(table: table, seed: seed, frostDirectory: frostDirectory)
    corruption = try kind.type.init(kind.parameters.row(table, severity), context)
  }
  /// The same at a whole severity.
  public init(_ kind: CorruptionKind, severity: Int, table: CorruptionTable, seed: UInt64, frostDirectory: String? = nil) throws(TTAError) {
    try self.init(kind, severity: Double(severity), table: table, seed: seed, frostDirectory: frostDirectory)
  }

  /// The corrupted picture number `index`.
  public func apply(to image: Image, index: UInt64) -> Image {
    var draws = CorruptionDraws(seed: seed, corruption: kind.id, severity: severity, picture: index)
    return apply(to: image, draws: &draws)
  }
  /// The corrupted picture with recorded draws.
  package func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    severity == 0 ? image : corruption.apply(to: image, draws: &draws)
  }
}
