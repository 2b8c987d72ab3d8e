// A batch of pictures with its labels beside it.

public import Engine

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
  /// The domain of each row where a batch mixes several; empty where all rows are of `domain`.
  public var domains: [Domain] = []
  /// Number of the domain within the stream.
  public var domainIndex: Int
  /// Number of the batch within the stream.
  public var index: Int
  /// Whether the domain begins here: the mark at which settings that reset do so.
  public var startsDomain: Bool
  /// Pictures that were left out.
  public var failures: [ImageFailure]
  /// When each row arrives, in the unit of the plan's arrival; empty where the stream waits for its consumer.
  public var arrivals: [Double] = []

  /// Rows.
  public var count: Int { places.count }
}
