// Every family of architectures against PyTorch, with weights from a formula (Tests/Goldens/architectures/generate.py has the same one).

import Engine
import Foundation
import ModelIO
import TTA
import Testing

@Suite struct ArchitectureTests {
  struct Case: Decodable {
    var input_size: Int, images: Int
    var source: [Double], batch: [Double], tent: [Double]
    var source_drift: Double, batch_drift: Double, tent_drift: Double
  }
  static let cases: [String: Case] = {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/architectures/expected.json")
    return (try? JSONDecoder().decode([String: Case].self, from: Data(contentsOf: url))) ?? [:]
  }()

  /// From 24 bits of splitmix64 over the name's FNV-1a hash and the index: u in 0 ..< 1, then low + (high − low) u.
  private static func uniform(_ name: String, _ shape: Shape, _ low: Double, _ high: Double) -> Tensor {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    var tensor = Tensor(zeros: shape)
    tensor.update { span in
      var state = hash
      for i in span.indices {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        z ^= z >> 31
        span[i] = Float(low + (high - low) * (Double(z >> 40) * 0x1p-24))
      }
    }
    return tensor
  }
  static func value(_ info: ParameterInfo) -> Tensor {
    switch info.role {
    case .token: return uniform(info.name, info.shape, -0.05, 0.05)
    case .normScale, .runningVariance: return uniform(info.name, info.shape, 0.5, 1.5)
    case .normShift, .runningMean, .bias: return uniform(info.name, info.shape, -0.1, 0.1)
    case .weight where info.name.hasSuffix("layer_scale") || info.name.hasSuffix("gamma"): return uniform(info.name, info.shape, 0.5, 1.5)
    case .weight, .adapter:
      let bound = (3 / Double(info.shape.dimensions.dropFirst().reduce(1, *))).squareRoot()
      return uniform(info.name, info.shape, -bound, bound)
    }
  }

  @Test func casesNameArchitectures() {
    #expect(Self.cases.count >= 20)
    let tested = Set(Self.cases.keys.compactMap { try? Architecture.named($0).name })
    #expect(tested.count == Self.cases.count)
  }

  /// TENT with a step that PyTorch's references use.
  static let tent = OptionTree.keys([
    "name": .text("tent"), "optimizer": .text("sgd"), "learning_rate": .number(1e-4), "momentum": .number(0),
  ])
  static func images(_ expected: Case) -> Tensor {
    uniform("images", [expected.images, 3, expected.input_size, expected.input_size], 0, 1)
  }

  @Test(arguments: cases.keys.sorted()) func agreesWithPyTorch(_ name: String) throws {
    let expected = try #require(Self.cases[name])
    let graph = try Architecture.named(name).graph(.init(classes: 10, inputSize: expected.input_size))
    try Self.compare(Model(graph: graph, parameters: Parameters(graph.parameters.map(Self.value))), named: name, with: expected)
  }
  /// Source, batch statistics, and one step of TENT against PyTorch in float64.
  static func compare(_ model: Model, named name: String, with expected: Case) throws {
    let images = images(expected)
    // Winograd convolutions round more often: six times PyTorch's drift instead of four.
    for (lowering, allowed) in [(Lowering.exact, 4.0), (.fast, 6)] {
      let executor = Executor(threads: 2, lowering: lowering)
      func check(_ what: String, _ got: Tensor, _ wanted: [Double], _ drift: Double) {
        let worst = zip(got.values, wanted).map { abs(Double($0) - $1) }.max() ?? .infinity
        let largest = wanted.map(abs).max() ?? 0
        #expect(
          got.elementCount == wanted.count && worst <= allowed * drift + 2e-7 * largest,
          "\(name) \(what) [\(lowering)]: off by \(worst), PyTorch's float32 by \(drift)")
      }
      var source = try AdaptationRuntime(model, Registry.current.compose(.keys(["name": .text("source")])))
      check("source", try source.process(Batch(images), on: executor).scores.tensor, expected.source, expected.source_drift)
      guard !model.graph.normNodes.isEmpty else { continue }
      var adapted = try AdaptationRuntime(model, Registry.current.compose(tent))
      check("batch statistics", try adapted.process(Batch(images), on: executor).scores.tensor, expected.batch, expected.batch_drift)
      check(
        "after one step", try adapted.predict(Batch(images), on: executor).scores.tensor, expected.tent,
        max(expected.batch_drift, expected.tent_drift))
    }
  }
}
