// The cases of the onnx package: operators, small graphs, whole networks.

import Engine
import Foundation
import ModelIO
import Onnx
import Safetensors
import Testing

/// A folder of cases that scripts/onnx-cases wrote.
private let folder = ProcessInfo.processInfo.environment["TTA_ONNX_CASES"].map { URL(fileURLWithPath: $0) }

@Suite(.enabled(if: folder != nil, "cases of the onnx package: scripts/onnx-cases writes them and sets TTA_ONNX_CASES"))
struct OnnxCaseTests {
  private enum Outcome {
    case passed
    case failed(String)
    case notClaimed(operators: [String], reason: String)
  }

  @Test func everyCaseThatIsReadGivesTheExpectedValues() throws {
    let folder = try #require(folder)
    var (lines, unread) = (["| cases | passed | failed | not read |", "|---|--:|--:|--:|"], [String: [String]]())
    for kind in ["node", "pytorch-operator", "pytorch-converted", "simple", "light"] {
      let cases = try FileManager.default.contentsOfDirectory(atPath: folder.appending(path: kind).path).sorted()
      var (passed, failed, left) = (0, 0, 0)
      for name in cases {
        let outcome = Self.run(folder.appending(path: "\(kind)/\(name)"))
        switch outcome {
        case .passed: passed += 1
        case .failed(let text):
          failed += 1
          Issue.record("\(kind)/\(name): \(text)")
        case .notClaimed(let operators, let reason):
          left += 1
          let unknown = operators.filter { !OnnxSupport.operators.contains($0) }
          unread[unknown.isEmpty ? "claimed operators, other forms" : "other operators", default: []].append("\(kind)/\(name): \(reason)")
        }
      }
      lines.append("| \(kind) | \(passed) | \(failed) | \(left) |")
    }
    for (why, cases) in unread.sorted(by: { $0.key < $1.key }) { lines.append("\nNot read, \(why): \(cases.count)") }
    try (lines.joined(separator: "\n") + "\n").write(to: folder.appending(path: "table.md"), atomically: true, encoding: .utf8)
    let details = unread.sorted { $0.key < $1.key }.flatMap { ["# \($0.key)"] + $0.value }
    try (details.joined(separator: "\n") + "\n").write(to: folder.appending(path: "unread.txt"), atomically: true, encoding: .utf8)
  }

  private static func run(_ folder: URL) -> Outcome {
    var operators: [String] = []
    do {
      let file = try OnnxFile(path: folder.appending(path: "model.onnx").path)
      operators = Set(file.nodes.map(\.operation)).sorted()
      let data = try SafetensorsFile(path: folder.appending(path: "data.safetensors").path)
      func values(_ kind: String) throws -> [OnnxProbe.Value] {
        try (0..<data.names.count { $0.hasPrefix(kind + ".") }).map { i in
          let (name, entry) = ("\(kind).\(i)", try data.entry("\(kind).\(i)"))
          return entry.type.isInteger ? .integers(try data.integers(name), entry.shape) : .numbers(try data.tensor(name))
        }
      }
      let (inputs, expected) = (try values("input"), try values("output"))
      let got = try OnnxProbe.run(file, Array(zip(file.inputs.map(\.name), inputs)).map { (name: $0.0, value: $0.1) })
      let isHalf = data.entries.values.contains { $0.type == .f16 || $0.type == .bf16 }
      for (k, pair) in zip(expected, got).enumerated() {
        if let text = difference(pair.0, pair.1, tolerance: isHalf ? 5e-3 : 1e-3) { return .failed("output \(k): \(text)") }
      }
      return .passed
    } catch {
      return .notClaimed(operators: operators, reason: "\((error as? TTAError)?.message ?? "\(error)")")
    }
  }
  /// The package's own tolerance is 1e-3; some of its expected values have four digits.
  private static func difference(_ expected: OnnxProbe.Value, _ got: OnnxProbe.Value, tolerance: Float) -> String? {
    switch (expected, got) {
    case (.integers(let a, let shape), .integers(let b, let other)):
      return a == b && shape == other ? nil : "\(b) \(other), expected \(a) \(shape)"
    case (.numbers(let a), .numbers(let b)):
      // A softmax at the end of a network stays in a probe; shapes may differ by axes of length 1.
      guard a.shape.dimensions.filter({ $0 != 1 }) == b.shape.dimensions.filter({ $0 != 1 }) else {
        return "shape \(b.shape), expected \(a.shape)"
      }
      for (i, (x, y)) in zip(a.values, b.values).enumerated()
      where !(abs(x - y) <= 1e-6 + tolerance * abs(x)) && !(x.isNaN && y.isNaN) && x != y {
        return "value \(i) is \(y), expected \(x)"
      }
      return nil
    case (.integers(let a, _), .numbers(let b)): return a.map { Float($0) } == b.values ? nil : "numbers, expected integers"
    case (.numbers, .integers): return "integers, expected numbers"
    }
  }
}
