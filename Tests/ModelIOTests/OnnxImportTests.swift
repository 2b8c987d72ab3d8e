// Networks as PyTorch exports them, against PyTorch and against the architectures of the same name.

import Engine
import Foundation
import ModelIO
import Onnx
import TTA
import Testing

/// Graphs of Tests/Goldens/onnx with a file of weights beside them.
struct ExportedGraph {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/onnx")
  static let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter { $0.hasSuffix(".onnx") }.sorted()
  static let preprocessing: ModelDescription = {
    var description = ModelDescription()
    (description.mean, description.deviation) = ([0, 0, 0], [1, 1, 1])
    return description
  }()

  /// Copies a graph into a folder of its own, with enough zeros for its weights.
  static func copy(_ name: String) throws -> URL {
    let place = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
    let graph = place.appendingPathComponent("model.onnx")
    try FileManager.default.copyItem(at: folder.appendingPathComponent(name), to: graph)
    let floats = try OnnxFile(path: graph.path).initializers.values.reduce(0) { $0 + $1.shape.elementCount }
    let weights = place.appendingPathComponent("weights.bin").path
    #expect(FileManager.default.createFile(atPath: weights, contents: nil))
    let handle = try #require(FileHandle(forWritingAtPath: weights))
    try handle.truncate(atOffset: UInt64(4 * floats))
    try handle.close()
    return graph
  }
}

@Suite struct OnnxImportTests {
  /// EXPORTER.LIBRARY.NAME.onnx.
  private func architecture(_ file: String) -> String {
    let parts = file.split(separator: ".").map(String.init)
    return "\(parts[1])/\(parts[2])"
  }

  @Test func allExportersAreThere() {
    #expect(Set(ExportedGraph.names.map { $0.split(separator: ".")[0] }) == ["dynamo", "script", "shared"])
    #expect(ExportedGraph.names.count == 16)
  }

  @Test(arguments: ExportedGraph.names) func agreesWithPyTorchAndTheArchitecture(_ name: String) throws {
    let file = try ExportedGraph.copy(name)
    defer { try? FileManager.default.removeItem(at: file.deletingLastPathComponent()) }
    let loaded = try ModelLoader.load(path: file.path, overrides: ExportedGraph.preprocessing)
    let reference = try #require(ArchitectureTests.cases[architecture(name)])
    let native = try Architecture.named(architecture(name)).graph(.init(classes: 10, inputSize: reference.input_size))
    // Weights by name; those that the exporter transposed have lost theirs and follow by shape, in order.
    var unnamed = native.parameters.filter { info in
      !loaded.model.graph.parameters.contains { $0.name == info.name && $0.shape == info.shape }
    }
    let tensors = try loaded.model.graph.parameters.map { info in
      if let own = native.parameters.first(where: { $0.name == info.name && $0.shape == info.shape }) {
        return ArchitectureTests.value(own)
      }
      let place = try #require(unnamed.firstIndex { $0.shape == info.shape && $0.role == info.role }, "\(info.name) \(info.shape)")
      return ArchitectureTests.value(unnamed.remove(at: place))
    }
    #expect(unnamed.isEmpty, "not in the file: \(unnamed.map(\.name))")
    let imported = try Model(graph: loaded.model.graph, parameters: Parameters(tensors))
    try ArchitectureTests.compare(imported, named: name, with: reference)

    // The same step as the architecture's.
    let own = try Model(graph: native, parameters: Parameters(native.parameters.map(ArchitectureTests.value)))
    #expect(imported.graph.normNodes.count == own.graph.normNodes.count)
    let images = ArchitectureTests.images(reference)
    let logits = try [imported, own].map { model in
      var tent = try AdaptationRuntime(model, Registry.current.compose(ArchitectureTests.tent))
      let executor = Executor(threads: 2, lowering: .fast)
      _ = try tent.process(Batch(images), on: executor)
      return try tent.predict(Batch(images), on: executor).scores.tensor.values
    }
    let largest = logits[1].map(abs).max() ?? 0
    let difference = zip(logits[0], logits[1]).map { abs($0 - $1) }.max() ?? .infinity
    #expect(difference <= 2e-5 * largest, "after one step: \(difference) of \(largest)")
  }

  @Test func attentionBecomesOneOperator() throws {
    for name in ["dynamo.torchvision.vit_b_16.onnx", "script.torchvision.vit_b_16.onnx", "dynamo.timm.vit_small_patch16_224.onnx"] {
      let file = try ExportedGraph.copy(name)
      defer { try? FileManager.default.removeItem(at: file.deletingLastPathComponent()) }
      let nodes = try ModelLoader.load(path: file.path, overrides: ExportedGraph.preprocessing).model.graph.nodes
      #expect(nodes.count { $0.operation is Attention } == 12, "\(name)")
      #expect(!nodes.contains { $0.operation is StridedView || $0.operation is MatrixProduct || $0.operation is ScalarFunction }, "\(name)")
    }
  }
}
