// The protocol of all corruptions, and the two tables of their parameters.

public import Engine

/// A common corruption at one severity of one table.
///
/// Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR 2019. A conformance
/// is one file with the published parameters; a row of `CorruptionKind.all` gives it its name.
public protocol Corruption: Sendable {
  /// The corrupted picture, of the same size. Results are truncated to 8 bits, as the published ones are.
  func apply(to image: Image, draws: inout CorruptionDraws) -> Image
}

/// Which of the two published sets of parameters is used.
public enum CorruptionTable: String, Codable, Sendable, CaseIterable {
  /// CIFAR-10-C and CIFAR-100-C, made for 32×32 pixels.
  case cifar
  /// ImageNet-C, made for 224×224 pixels.
  case imagenet

  /// Side of the pictures that the parameters were made for.
  public var side: Int { self == .cifar ? 32 : 224 }

  /// The table for a size: CIFAR's where the shorter side has less than 96 pixels. Parameters are lengths in pixels and are not scaled,
  /// so a size other than the table's own makes a corruption weaker or stronger than the published one.
  public static func suited(toHeight height: Int, width: Int) -> CorruptionTable { min(height, width) < 96 ? .cifar : .imagenet }
}

/// The published parameters of a corruption, severities 1...5 in order.
struct SeverityRows<Row: Sendable>: Sendable {
  let cifar: [Row]
  let imagenet: [Row]

  subscript(table: CorruptionTable, severity: Int) -> Row { (table == .cifar ? cifar : imagenet)[severity - 1] }
}

/// One corruption at one severity for a whole stream: which picture it makes depends on the seed and the picture's number only.
public struct Corruptor: Sendable {
  /// Which corruption.
  public let kind: CorruptionKind
  /// 1...5.
  public let severity: Int
  /// Whose parameters.
  public let table: CorruptionTable
  /// The stream's seed.
  public let seed: UInt64
  private let corruption: any Corruption

  /// A corruption ready for use; a severity outside 1...5 is an error.
  public init(_ kind: CorruptionKind, severity: Int, table: CorruptionTable, seed: UInt64) throws(TTAError) {
    guard (1...5).contains(severity) else {
      throw TTAError(.usage, "severity \(severity) of \(kind.name), expected 1...5", hint: "5 is the strongest and the benchmarks' default")
    }
    self.kind = kind
    self.severity = severity
    self.table = table
    self.seed = seed
    corruption = kind.make(table, severity)
  }

  /// The corrupted picture number `index`.
  public func apply(to image: Image, index: UInt64) -> Image {
    var draws = CorruptionDraws(seed: seed, corruption: kind.id, severity: severity, picture: index)
    return corruption.apply(to: image, draws: &draws)
  }
  /// The corrupted picture with recorded draws.
  package func apply(to image: Image, draws: inout CorruptionDraws) -> Image { corruption.apply(to: image, draws: &draws) }
}
