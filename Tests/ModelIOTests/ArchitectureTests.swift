// Every family of architectures against PyTorch, with weights from a formula (Tests/Goldens/architectures/generate.py has the same one).

import Engine
import Foundation
import ModelIO
import TTA
import Testing

@Suite struct ArchitectureTests {
  private struct Case: Decodable {
    var input_size: Int, images: Int
    var source: [Double], batch: [Double], tent: [Double]
    var source_drift: Double, batch_drift: Double, tent_drift: Double
  }
  private static let cases: [String: Case] = {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/architectures/expected.json")
    return (try? JSONDecoder().decode([String: Case].self, from: Data(contentsOf: url))) ?? [:]
  }()

  /// 24 bits of splitmix64 over the name's FNV-1a hash and the index, as numbers in 0 ..< 1.
  private static func uniform(_ name: String, _ count: Int) -> [Double] {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return (1...max(1, count)).prefix(count).map { index in
      var z = hash &+ UInt64(index) &* 0x9E37_79B9_7F4A_7C15
      z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
      z ^= z >> 31
      return Double(z >> 40) / 0x1p24
    }
  }
  private static func value(_ info: ParameterInfo) -> Tensor {
    let u = uniform(info.name, info.shape.elementCount)
    let values: [Double]
    switch info.role {
    case .token: values = u.map { 0.1 * $0 - 0.05 }
    case .normScale, .runningVariance: values = u.map { 0.5 + $0 }
    case .normShift, .runningMean, .bias: values = u.map { 0.2 * $0 - 0.1 }
    case .weight where info.name.hasSuffix("layer_scale") || info.name.hasSuffix("gamma"): values = u.map { 0.5 + $0 }
    case .weight, .adapter:
      let bound = (3 / Double(info.shape.dimensions.dropFirst().reduce(1, *))).squareRoot()
      values = u.map { (2 * $0 - 1) * bound }
    }
    return Tensor(values.map(Float.init), shape: info.shape)
  }

  @Test func everyFamilyHasACase() {
    #expect(Self.cases.count >= 20)
    let tested = Set(Self.cases.keys.compactMap { try? Architecture.named($0).name })
    #expect(tested.count == Self.cases.count)
  }

  @Test(arguments: cases.keys.sorted()) func agreesWithPyTorch(_ name: String) throws {
    let expected = try #require(Self.cases[name])
    let graph = try Architecture.named(name).graph(.init(classes: 10, inputSize: expected.input_size))
    let model = try Model(graph: graph, parameters: Parameters(graph.parameters.map(Self.value)))
    let shape: Shape = [expected.images, 3, expected.input_size, expected.input_size]
    let images = Tensor(Self.uniform("images", shape.elementCount).map(Float.init), shape: shape)
    for lowering in [Lowering.exact, .fast] {
      let executor = Executor(threads: 2, lowering: lowering)
      func check(_ what: String, _ got: Tensor, _ wanted: [Double], _ drift: Double) {
        let worst = zip(got.values, wanted).map { abs(Double($0) - $1) }.max() ?? .infinity
        let largest = wanted.map(abs).max() ?? 0
        #expect(
          got.elementCount == wanted.count && worst <= 4 * drift + 2e-7 * largest,
          "\(name) \(what) [\(lowering)]: off by \(worst), PyTorch's float32 by \(drift)")
      }
      var source = try AdaptationRuntime(model, Registry.current.compose(.keys(["name": .text("source")])))
      check("source", try source.process(Batch(images), on: executor).scores.tensor, expected.source, expected.source_drift)
      guard !graph.normNodes.isEmpty else { continue }
      var tent = try AdaptationRuntime(
        model,
        Registry.current.compose(
          .keys([
            "name": .text("tent"), "optimizer": .text("sgd"), "learning_rate": .number(1e-4), "momentum": .number(0),
          ])))
      check("batch statistics", try tent.process(Batch(images), on: executor).scores.tensor, expected.batch, expected.batch_drift)
      check("after one step", try tent.predict(Batch(images), on: executor).scores.tensor, expected.tent, expected.tent_drift)
    }
  }
}
