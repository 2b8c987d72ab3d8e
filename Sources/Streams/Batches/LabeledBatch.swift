// A batch of pictures with its labels beside it.

public import Engine
import Vision

/// What the pictures of a part of a stream have in common.
public struct Domain: Hashable, Codable, Sendable, CustomStringConvertible {
  /// The corruption's name; `nil` for pictures as they are.
  public var corruption: String?
  /// 1...5; 0 for pictures as they are.
  public var severity: Int
  /// Whether frost is made from the published photographs; results say where it is not.
  public var hasFrostPhotographs = false

  /// A corruption at a severity.
  public init(_ corruption: String, severity: Int) {
    self.corruption = corruption
    self.severity = severity
  }
  /// Pictures as they are.
  public static let clean = Domain()
  private init() { severity = 0 }

  /// The corruption where results are shown: `fog`, `frost (procedural)`, `clean`.
  public var label: String {
    guard let corruption else { return "clean" }
    let kind = try? CorruptionKind.named(corruption)
    return kind?.label(hasPhotographs: hasFrostPhotographs) ?? corruption
  }
  /// `fog 5`, or `clean`.
  public var description: String { corruption == nil ? "clean" : "\(label) \(severity)" }
}

/// A picture that could not be read.
public struct ImageFailure: Sendable {
  /// Its place in the data set.
  public var place: Int
  /// Its path or name.
  public var name: String
  /// Why.
  public var error: TTAError

  /// A failure at a place.
  public init(place: Int, name: String, error: TTAError) { (self.place, self.name, self.error) = (place, name, error) }
}

/// Some pictures of a stream. Strategies are handed `images` only; labels meet predictions in the evaluation.
public struct LabeledBatch: Sendable {
  /// `[n, 3, height, width]` in 0...1; zero rows where no picture of the batch could be read.
  public var images: Tensor
  /// One class per row; -1 is a class that the model does not know. Empty where the data set has no labels.
  public var labels: [Int]
  /// Place of each row in the data set.
  public var places: [Int]
  /// What the pictures have in common.
  public var domain: Domain
  /// Number of the domain within the stream.
  public var domainIndex: Int
  /// Number of the batch within the stream.
  public var index: Int
  /// Whether the domain begins here: the mark at which settings that reset do so.
  public var startsDomain: Bool
  /// Pictures that were left out.
  public var failures: [ImageFailure]

  /// Rows.
  public var count: Int { places.count }
}
