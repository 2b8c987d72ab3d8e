// What is counted in one cell: the only place where a replay's predictions meet labels.

public import Streams
public import TTA

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
  /// Largest resident size while each domain ran, in bytes.
  public internal(set) var peakMemoryBytes: [Int] = []
  /// Why batches were not learnt from; the first 100.
  public private(set) var incidents: [String] = []
  /// How many there were, and pictures that could not be read.
  public private(set) var incidentCount = 0, unreadable = 0
  private var known: [Float] = [], isCorrect: [Bool] = [], unknown: [Float] = []

  /// Nothing counted yet.
  public init(classes: Int) { online = OnlineScore(classes: classes) }

  /// Scores the answers to one batch; `seconds` is the time they took.
  public mutating func add(_ prediction: Prediction, to batch: LabeledBatch, seconds: Double, adapted isAdapted: Bool) {
    let answers = prediction.labels
    online.add(predicted: answers, to: batch, seconds: seconds)
    if calibration.count < online.parts.count { calibration.append(Calibration()) }
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
        isCorrect.append(answers[row] == label)
      }
    }
  }
  /// Counts what could not be read.
  mutating func add(failures: Int) { unreadable += failures }
  /// Keeps why batches were not learnt from.
  mutating func add(incidents new: some Collection<String>) {
    incidentCount += new.count
    incidents.append(contentsOf: new.prefix(max(0, 100 - incidents.count)))
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
