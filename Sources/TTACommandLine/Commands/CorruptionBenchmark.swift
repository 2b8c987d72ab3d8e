// tta bench --corruptions

import Engine
import Foundation
import Vision

/// Measures how long every corruption takes for one picture of either published size, on one thread.
enum CorruptionBenchmark {
  struct Row: Encodable {
    var corruption: String, standard: Bool
    var milliseconds_32: Double, milliseconds_224: Double
  }
  struct Result: Encodable {
    var severity: Double
    var rows: [Row]
    var standard_sum_milliseconds_32: Double, standard_sum_milliseconds_224: Double
  }

  static func run(severity: Double, json: Bool) throws {
    let rows = try CorruptionKind.all.map { kind in
      Row(
        corruption: kind.label(), standard: kind.isStandard, milliseconds_32: try milliseconds(kind, severity, .cifar),
        milliseconds_224: try milliseconds(kind, severity, .imagenet))
    }
    let standard = rows.filter(\.standard)
    let result = Result(
      severity: severity, rows: rows, standard_sum_milliseconds_32: standard.reduce(0) { $0 + $1.milliseconds_32 },
      standard_sum_milliseconds_224: standard.reduce(0) { $0 + $1.milliseconds_224 })
    if json { return try Console.json(result) }
    var table = TextTable(["corruption", "32×32 in ms", "224×224 in ms"])
    for row in rows {
      table.add([row.corruption, Numbers.decimals(row.milliseconds_32, 4), Numbers.decimals(row.milliseconds_224, 3)])
    }
    table.add([
      "the 15 standard ones", Numbers.decimals(result.standard_sum_milliseconds_32, 3),
      Numbers.decimals(result.standard_sum_milliseconds_224, 2),
    ])
    table.lines.forEach(Console.result)
  }

  /// The median of eleven rounds of at least 20 ms, after a warm-up.
  private static func milliseconds(_ kind: CorruptionKind, _ severity: Double, _ table: CorruptionTable) throws -> Double {
    let corruptor = try Corruptor(kind, severity: severity, table: table, seed: 1)
    let picture = pattern(side: table.side)
    func seconds(_ count: Int) -> Double {
      let start = ContinuousClock.now
      for index in 0..<count { _ = corruptor.apply(to: picture, index: UInt64(index)) }
      return (ContinuousClock.now - start).seconds
    }
    let once = max(seconds(3) / 3, 1e-7)
    let count = max(1, Int(0.02 / once))
    let rounds = (0..<11).map { _ in seconds(count) / Double(count) }.sorted()
    return rounds[rounds.count / 2] * 1e3
  }

  /// Slow waves with fine grain, the same as in `Benchmarks/corruptions.py`.
  static func pattern(side: Int) -> Image {
    Image(width: side, height: side) { samples in
      for y in 0..<side {
        for x in 0..<side {
          for c in 0..<3 {
            let wave = (x * (3 + c) + y * (5 - c)) * 64 / side
            let fold = wave & 511
            let grain = (x * 7 + y * 13 + c * 5 + x * y) & 31
            samples[(y * side + x) * 3 + c] = UInt8((fold < 256 ? fold : 511 - fold) * 7 / 8 + grain)
          }
        }
      }
    }
  }
}
