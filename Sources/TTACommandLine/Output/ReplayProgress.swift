// What a replay shows while it runs.

import Engine
import Evaluation
import Foundation

/// One line on a terminal, a plain line per finished domain elsewhere.
struct ReplayProgress {
  private let quiet: Bool, total: Int
  private var done: Int, line: ProgressLine
  private let start = ContinuousClock.now
  private var cellStart = ContinuousClock.now, firstBatch: Int?, ranCells = 0

  /// Of so many cells, some of which are done.
  init(quiet: Bool, total: Int, done: Int) {
    (self.quiet, self.total, self.done) = (quiet, total, done)
    line = ProgressLine(quiet: quiet)
  }
  /// After a batch.
  mutating func show(_ cell: ReplayCell, _ step: CellRunner.Progress) {
    let first = firstBatch ?? step.batch - 1
    firstBatch = first
    let error = Numbers.decimals(step.score.parts.last?.tally.errorPercent ?? 0, 1) + " %"
    let rate = Numbers.grouped(step.score.overall.imagesPerSecond) + " img/s"
    if !Console.isTerminal {
      guard step.endsDomain, !quiet else { return }
      let waiting = Numbers.decimals(step.waitingPercent ?? 0, 1)
      return Console.error("[\(done + 1)/\(total)] \(cell.key)  \(step.domain)  error \(error)  \(rate)  waited \(waiting) %")
    }
    let elapsed = (ContinuousClock.now - cellStart).seconds
    let share = Double(step.batch) / Double(max(1, step.batches))
    let left = elapsed / Double(max(1, step.batch - first)) * Double(step.batches - step.batch)
    let perCell = ranCells > 0 ? (cellStart - start).seconds / Double(ranCells) : elapsed + left
    let eta = Numbers.clock(seconds: left + perCell * Double(max(0, total - done - 1)))
    line.draw(
      "\(done + 1)/\(total) \(cell.strategy.label) \(cell.setting.label)  \(step.domain)", done: share,
      "\(rate)  error \(error)  ETA \(eta)")
  }
  /// After a cell.
  mutating func endCell() {
    done += 1
    ranCells += 1
    (firstBatch, cellStart) = (nil, ContinuousClock.now)
  }
  mutating func end() { line.clear() }
}

/// The results of a replay on a terminal.
enum ReplayTable {
  static func print(_ results: ReplayResults) {
    for group in ReplayGroup.groups(of: results.results) {
      Console.result(group.title)
      var table = TextTable(["error in %"] + group.standings.map { $0.strategy + ($0.usesLabels ? " *" : "") })
      for domain in group.domains {
        table.add([domain] + group.standings.map { $0.error(ofDomain: domain).map { Numbers.decimals($0, 1) } ?? "–" })
      }
      table.add(["mean"] + group.standings.map { Numbers.decimals($0.error.mean, 1) })
      table.add(["images/s"] + group.standings.map { Numbers.grouped($0.imagesPerSecond) })
      table.add(["waited %"] + group.standings.map { Numbers.decimals($0.waitingPercent, 1) })
      table.lines.forEach(Console.result)
      if group.standings.contains(where: \.usesLabels) { Console.result("* chooses by labels: an upper bound") }
      Console.result("")
    }
    Console.result(results.summary.finding)
    for note in results.manifest.notes { Console.result("note: \(note)") }
  }
}
