// Who answers the batches of a cell, under which protocol.

import Engine
import Streams
import TTA

/// Who answers the batches of a cell: one runtime, or the runtimes among which the oracle chooses.
struct CellAnswerer: Sendable {
  /// How predictions come about.
  enum Mode: Sendable {
    /// The strategy's answer to each batch; nil learns from every batch.
    case online(TimeConstraint?)
    /// The best of up to so many steps of every runtime by the batch's labels.
    case oracle(steps: Int)
  }
  let mode: Mode
  let reset: ResetRule
  var runtimes: [AdaptationRuntime]

  /// Starts again where the rule says so before a batch.
  mutating func prepare(for batch: LabeledBatch) {
    switch reset {
    case .eachDomain where batch.startsDomain, .eachBatch: for i in runtimes.indices { runtimes[i].resetKeepingPosition() }
    case .every(let period) where batch.index > 0 && batch.index % period == 0:
      for i in runtimes.indices { runtimes[i].resetKeepingPosition() }
    default: break
    }
  }
  /// Counts a batch without a readable picture.
  mutating func skip() { for i in runtimes.indices { runtimes[i].skipBatch() } }

  /// Learns from a whole domain before its batches are answered.
  mutating func study(_ images: [Tensor], on executor: Executor) throws {
    for i in runtimes.indices { try runtimes[i].study(images.joined(), on: executor) }
  }

  /// The answer to a batch, and whether it was learnt from.
  mutating func answer(_ batch: LabeledBatch, on executor: Executor) throws -> (prediction: Prediction, adapted: Bool) {
    let input = Batch(batch.images, index: runtimes[0].state.images)
    switch mode {
    case .online(let constraint):
      if let constraint, batch.index % constraint.period != 0 { return (try runtimes[0].predict(input, on: executor), false) }
      return (try runtimes[0].process(input, on: executor), true)
    case .oracle(let steps):
      return (try oracle(input, labels: batch.labels, steps: steps, on: executor), true)
    }
  }

  /// Highest accuracy, then lowest cross entropy: an upper bound that no method without labels can promise.
  private mutating func oracle(_ batch: Batch, labels: [Int], steps: Int, on executor: Executor) throws -> Prediction {
    var best: (prediction: Prediction, errors: Int, loss: Double)?
    for number in runtimes.indices {
      runtimes[number].resetKeepingPosition()
      for _ in 0..<(runtimes[number].adapted.isEmpty ? 1 : steps) {
        let answer = try runtimes[number].process(batch, on: executor)
        let prediction = runtimes[number].adapted.isEmpty ? answer : try runtimes[number].predict(batch, on: executor)
        var calibration = Calibration()
        calibration.add(prediction, labels: labels)
        let errors = zip(prediction.labels, labels).reduce(0) { $0 + ($1.1 >= 0 && $1.0 != $1.1 ? 1 : 0) }
        let loss = calibration.negativeLogLikelihood
        if let known = best, (known.errors, known.loss) <= (errors, loss) { continue }
        best = (prediction, errors, loss)
      }
    }
    guard let best else { throw TTAError(.internal, "an oracle without a runtime") }
    return best.prediction
  }
}
