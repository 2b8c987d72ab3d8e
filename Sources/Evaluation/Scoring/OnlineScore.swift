// The score of one strategy over a stream: the only place where predictions meet labels.

import Foundation
public import Streams

/// The score of one strategy over a stream, kept batch by batch.
public struct OnlineScore: Codable, Hashable, Sendable {
  /// The score within one domain.
  public struct Part: Codable, Hashable, Sendable {
    /// The domain.
    public var domain: Domain
    /// Its number within the stream.
    public var index: Int
    /// What was counted in it.
    public var tally: Tally
  }
  /// One batch of the online curve.
  public struct Point: Codable, Hashable, Sendable {
    /// Images of the stream answered so far, this batch included.
    public var images: Int
    /// Number of the domain within the stream.
    public var domainIndex: Int
    /// Wrong answers in this batch, in per cent.
    public var batchErrorPercent: Double
    /// Wrong answers since the domain began, in per cent.
    public var domainErrorPercent: Double
    /// Wrong answers since the stream began, in per cent.
    public var overallErrorPercent: Double
  }

  /// What was counted over the whole stream.
  public private(set) var overall: Tally
  /// The domains that have begun, in the order of the stream.
  public private(set) var parts: [Part] = []
  /// One point per batch.
  public private(set) var curve: [Point] = []
  /// How each picture of the data set fared, whatever domains it was seen in.
  public private(set) var pictures = PictureErrors()
  private let classes: Int

  /// Nothing scored yet.
  public init(classes: Int) {
    self.classes = classes
    overall = Tally(classes: classes)
  }

  /// Scores the answers to one batch; `seconds` is the time they took.
  public mutating func add(predicted: [Int], to batch: LabeledBatch, seconds: Double) {
    precondition(predicted.count == batch.count, "\(predicted.count) answers to \(batch.count) images")
    let labels = batch.labels.isEmpty ? Array(repeating: -1, count: batch.count) : batch.labels
    if parts.last?.index != batch.domainIndex {
      parts.append(Part(domain: batch.domain, index: batch.domainIndex, tally: Tally(classes: classes)))
    }
    overall.add(predicted: predicted, labels: labels, seconds: seconds)
    parts[parts.count - 1].tally.add(predicted: predicted, labels: labels, seconds: seconds)
    var tally = Tally(classes: classes)
    tally.add(predicted: predicted, labels: labels, seconds: seconds)
    for (position, place) in batch.places.enumerated() where (0..<classes).contains(labels[position]) {
      pictures.add(place: place, isWrong: predicted[position] != labels[position])
    }
    curve.append(
      Point(
        images: overall.answered, domainIndex: batch.domainIndex, batchErrorPercent: tally.errorPercent,
        domainErrorPercent: parts[parts.count - 1].tally.errorPercent, overallErrorPercent: overall.errorPercent))
  }

  /// Mean of the domains' errors in per cent, every domain with the same weight: what benchmark tables call the mean.
  public var meanErrorPercent: Double {
    parts.isEmpty ? 0 : parts.reduce(0) { $0 + $1.tally.errorPercent } / Double(parts.count)
  }
  /// Standard error of the error over the whole stream, in percentage points. Pictures are the independent draws: one that was seen under
  /// several corruptions counts once.
  public var standardErrorPercent: Double { pictures.standardErrorPercent }
}
