// The published parameters of a corruption and what lies between them.

import Engine

/// Parameters of a corruption at severities 0...5 of both tables.
///
/// Row 0 changes nothing, or nearly so. Severities in between are interpolated linearly, as in Press et al., "RDumb: A simple approach
/// that questions our progress in continual test-time adaptation", NeurIPS 2023 (its stream CCC).
public struct SeverityTable: Sendable {
  /// What the numbers of a row are.
  public let names: [String]
  /// Five rows for 32×32 pixels.
  public let cifar: [[Double]]
  /// Five rows for 224×224 pixels.
  public let imagenet: [[Double]]
  private let cifarNone: [Double]
  private let imagenetNone: [Double]
  private let areReciprocals: Bool

  /// Rows by severity; `none` is severity 0 of both tables unless CIFAR's differs. `reciprocals` interpolates 1/value.
  init(
    _ names: [String], none: [Double], cifarNone: [Double]? = nil, cifar: [[Double]], imagenet: [[Double]], reciprocals: Bool = false
  ) {
    precondition(cifar.count == 5 && imagenet.count == 5 && (cifar + imagenet + [none]).allSatisfy { $0.count == names.count })
    self.names = names
    self.cifar = cifar
    self.imagenet = imagenet
    imagenetNone = none
    self.cifarNone = cifarNone ?? none
    areReciprocals = reciprocals
  }
  /// The same for a single number.
  init(_ name: String, none: Double, cifar: [Double], imagenet: [Double], reciprocals: Bool = false) {
    self.init([name], none: [none], cifar: cifar.map { [$0] }, imagenet: imagenet.map { [$0] }, reciprocals: reciprocals)
  }

  /// The parameters at a severity 0...5; whole ones are the published numbers themselves.
  public func row(_ table: CorruptionTable, _ severity: Double) -> [Double] {
    let rows = table == .cifar ? [cifarNone] + cifar : [imagenetNone] + imagenet
    let lower = Int(severity)
    let share = severity - Double(lower)
    guard share > 0 else { return rows[lower] }
    return zip(rows[lower], rows[lower + 1]).map { low, high in
      areReciprocals ? 1 / ((1 - share) / low + share / high) : low + share * (high - low)
    }
  }
}

/// What a corruption is made from beside its parameters.
struct CorruptionContext: Sendable {
  /// Whose parameters.
  let table: CorruptionTable
  /// The stream's seed.
  let seed: UInt64
  /// A folder with the photographs of frost.
  let frostDirectory: String?
}

/// A corruption with a table of parameters.
protocol TabulatedCorruption: Corruption {
  /// The published parameters.
  static var parameters: SeverityTable { get }
  /// The corruption with the numbers of one row.
  init(_ row: [Double], _ context: CorruptionContext) throws(TTAError)
}
