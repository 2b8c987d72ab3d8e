// What is counted in one cell: the only place where a replay's predictions meet labels.

import Engine
import Streams
import TTA

/// What is counted in one cell, batch by batch.
public struct CellScore: Codable, Hashable, Sendable {
  /// Errors.
  public private(set) var online: OnlineScore
  /// Likelihood and calibration of each domain, in the order of `online.parts`.
  public private(set) var calibration: [Calibration] = []
  /// Scores on unknown pictures of each finished domain; nil where it had none.
  public private(set) var openSet: [OpenSetScores?] = []
  /// Mean entropy of each batch of `online.curve`, in nats.
  public private(set) var entropies: [Double] = []
  /// Whether each batch of `online.curve` was learnt from, where time allowed it.
  public private(set) var adapted: [Bool] = []
  /// Distance of what learns from the source model after each batch of `online.curve`, in per cent of its length there.
  public private(set) var driftPercents: [Double] = []
  /// What was answered in each domain, in the order of `online.parts`.
  public private(set) var answers: [AnswerCounts] = []
  /// Largest resident size while each domain ran, in bytes.
  public internal(set) var peakMemoryBytes: [Int] = []
  /// Something that kept a batch from being learnt from, or a verdict of a guard.
  public struct Incident: Codable, Hashable, Sendable {
    /// Pictures of the stream answered so far, this batch included.
    public var images: Int
    /// What happened.
    public var text: String
  }
  /// The first 100 incidents.
  public private(set) var incidents: [Incident] = []
  /// How many there were, and pictures that could not be read.
  public private(set) var incidentCount = 0, unreadable = 0
  private var known: [Float] = [], isCorrect: [Bool] = [], unknown: [Float] = []

  /// Nothing counted yet.
  public init(classes: Int) { online = OnlineScore(classes: classes) }

  /// Scores the answers to one batch; `seconds` is the time they took, `drift` the distance from the source model after it as a share.
  mutating func add(
    _ prediction: Prediction, to batch: LabeledBatch, seconds: Double, adapted isAdapted: Bool, drift: Double
  ) {
    let predicted = prediction.labels
    online.add(predicted: predicted, to: batch, seconds: seconds)
    if calibration.count < online.parts.count {
      calibration.append(Calibration())
      answers.append(AnswerCounts(classes: prediction.scores.tensor.rowElementCount))
    }
    answers[answers.count - 1].add(predicted: predicted, labels: batch.labels)
    driftPercents.append(100 * drift)
    var single = Calibration()
    let certainty = single.score(prediction, labels: batch.labels)
    calibration[calibration.count - 1].add(single)
    entropies.append(single.meanEntropy)
    adapted.append(isAdapted)
    for (row, label) in batch.labels.enumerated() {
      if label < 0 {
        unknown.append(certainty.energy[row])
      } else {
        known.append(certainty.energy[row])
        isCorrect.append(predicted[row] == label)
      }
    }
  }
  /// Counts what could not be read.
  mutating func add(failures: Int) { unreadable += failures }
  /// Keeps why batches were not learnt from.
  mutating func add(incidents new: some Collection<String>) {
    incidentCount += new.count
    incidents += new.prefix(max(0, 100 - incidents.count)).map { Incident(images: online.overall.answered, text: $0) }
  }
  /// Ends a domain: what was kept of single pictures becomes four numbers.
  mutating func endDomain(peakMemoryBytes peak: Int) {
    openSet.append(OpenSetScores(known: known, isCorrect: isCorrect, unknown: unknown))
    (known, isCorrect, unknown) = ([], [], [])
    peakMemoryBytes.append(peak)
  }

  /// Calibration over the whole stream.
  public var overallCalibration: Calibration {
    var sum = Calibration()
    for part in calibration { sum.add(part) }
    return sum
  }
  /// Mean over the domains of the class-balanced errors, in per cent.
  public var meanClassBalancedErrorPercent: Double { Spread(online.parts.map(\.tally.classBalancedErrorPercent)).mean }
}
