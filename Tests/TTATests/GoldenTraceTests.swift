// Replays every trace of the golden folder: logits, losses, adapted parameters.

import Engine
import Foundation
import Safetensors
import TTA
import TTATestKit
import Testing

@Suite(.serialized) struct GoldenTraceTests {
  @Test func traces() throws {
    guard let (manifest, folder) = try GoldenManifest.load(), let weights = SharedFolders.shared?.appendingPathComponent("data") else {
      return print("skipped: no golden folder or weights (TTA_GOLDEN, TTA_SHARED)")
    }
    var (done, missing): (Int, [String]) = (0, [])
    for trace in manifest.traces {
      let (model, batches, labels) = try trace.load(golden: folder, weights: weights)
      for lowering in Lowering.allCases {
        let executor = Executor(threads: 2, lowering: lowering)
        for method in trace.methods {
          guard let strategy = method.strategy() else {
            if lowering == .reference { missing.append("\(trace.trace)/\(method.method)") }
            continue
          }
          let file = try SafetensorsFile(path: folder.appendingPathComponent(method.file).path)
          try replay(trace, method, strategy, model, batches, labels, file, executor)
          done += 1
        }
      }
    }
    print("golden traces: \(done) replays agree or are reported above; without an implementation: \(missing.count)")
    for name in missing { print("  not implemented: \(name)") }
    #expect(done > 0)
  }

  private func replay(
    _ trace: GoldenManifest.Trace, _ method: GoldenManifest.Method, _ strategy: any AdaptationStrategy, _ model: Model, _ batches: [Batch],
    _ labels: [Int], _ file: SafetensorsFile, _ executor: Executor
  ) throws {
    let name = "\(trace.trace)/\(method.method) [\(executor.lowering.rawValue)]"
    var stream = try AdaptationRuntime(model, strategy)
    let expected = try file.tensor("logits")
    let losses = try file.tensor("loss").values
    var (row, errors, flips) = (0, 0, 0)
    for (index, batch) in batches.enumerated() {
      let prediction = try stream.process(batch, on: executor)
      let rows = Array(row..<row + batch.count)
      let wanted = expected[rows]
      let comparison = Comparison(
        prediction.scores.tensor, wanted, Tolerance(absolute: method.tolerance.logits_abs_per_batch[index]))
      #expect(comparison.isWithin, "\(name) batch \(index) logits: \(comparison)")
      if let loss = prediction.loss {
        #expect(
          abs(loss - losses[index]) <= method.tolerance.loss_abs,
          "\(name) batch \(index) loss \(loss), \(losses[index])")
      }
      let (got, reference) = (prediction.labels, largestColumns(of: wanted))
      for i in 0..<batch.count {
        errors += got[i] == labels[row + i] ? 0 : 1
        flips += got[i] == reference[i] ? 0 : 1
      }
      if index == 0 { try compare("first", method.tolerance.parameters_first_abs, stream, method, file, name) }
      row += batch.count
    }
    try compare("last", method.tolerance.parameters_last_abs, stream, method, file, name)
    #expect(flips <= method.tolerance.prediction_flips_allowed, "\(name): \(flips) predictions differ")
    let error = 100 * Double(errors) / Double(row)
    let allowed = 100 * Double(method.tolerance.prediction_flips_allowed) / Double(row) + 1e-3
    #expect(abs(error - method.error_percent) <= allowed, "\(name): error \(error) %, expected \(method.error_percent) %")
  }

  private func compare(
    _ when: String, _ bound: Float, _ stream: AdaptationRuntime, _ method: GoldenManifest.Method, _ file: SafetensorsFile, _ name: String
  ) throws {
    #expect(stream.adapted.ids.count == method.adapted.count || method.adapted.isEmpty, "\(name): another number of adapted parameters")
    for parameter in method.adapted {
      guard file.entries["\(when).\(parameter)"] != nil else { continue }
      let info = try #require(stream.graph.parameter(named: parameter), "\(name): no parameter \(parameter)")
      let comparison = Comparison(
        stream.state.parameters[info.id], try file.tensor("\(when).\(parameter)"), Tolerance(absolute: bound))
      #expect(comparison.isWithin, "\(name) \(when) \(parameter): \(comparison)")
    }
  }
}
