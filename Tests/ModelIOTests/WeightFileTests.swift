// Shards, older names, and options that do not fit a file.

import Engine
import Foundation
import ModelIO
import Safetensors
import Testing

@Suite struct WeightFileTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tta-weights-\(UUID().uuidString)")
  private func path(_ name: String) throws -> String {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder.appendingPathComponent(name).path
  }
  private func error(_ body: () throws -> Any) -> TTAError? {
    do { _ = try body() } catch { return error as? TTAError }
    return nil
  }
  private func write(index: [String: String]) throws -> String {
    let path = try path("model.safetensors.index.json")
    try JSONEncoder().encode(["weight_map": index]).write(to: URL(fileURLWithPath: path))
    return path
  }

  @Test func shards() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let graph = try Architecture.named("cifar-resnet14").graph(.init(classes: 10, inputSize: 32))
    let model = try RandomWeights.model(graph, seed: 1)
    let tensors = graph.parameters.map { (name: $0.name, tensor: model.parameters[$0.id]) }
    try SafetensorsWriter.write(Array(tensors.prefix(30)), to: path("a.safetensors"))
    try SafetensorsWriter.write(Array(tensors.dropFirst(30)), to: path("b.safetensors"))
    let map = Dictionary(uniqueKeysWithValues: tensors.enumerated().map { ($1.name, $0 < 30 ? "a.safetensors" : "b.safetensors") })
    var description = ModelDescription()
    (description.architecture, description.mean, description.deviation) = ("cifar-resnet14", [0, 0, 0], [1, 1, 1])
    let loaded = try ModelLoader.load(path: write(index: map), overrides: description)
    #expect(loaded.model.parameters == model.parameters && loaded.notes == ["2 shards"])

    let outside = error { try WeightFile(path: write(index: ["conv1.weight": "../a.safetensors"])) }
    #expect(outside?.message.hasSuffix("the shard \"../a.safetensors\" is no safetensors file of the same folder") == true)
    let gone = error { try WeightFile(path: write(index: ["conv1.weight": "c.safetensors"])) }
    #expect(gone?.code == .missingInput)
    let elsewhere = error { try WeightFile(path: write(index: ["conv1.weight": "b.safetensors"])) }
    #expect(elsewhere?.message.hasSuffix("there is no tensor \"conv1.weight\"") == true)
  }

  /// Checkpoints from before torchvision renamed layers load as the newer ones do.
  @Test(arguments: [
    ("densenet121", 64, [(".norm1.", ".norm.1."), (".conv1.", ".conv.1."), (".norm2.", ".norm.2."), (".conv2.", ".conv.2.")]),
    ("vit-b-16", 32, [(".mlp.0.", ".mlp.linear_1."), (".mlp.3.", ".mlp.linear_2.")]),
  ]) func olderNames(_ architecture: String, _ size: Int, _ older: [(String, String)]) throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let graph = try Architecture.named(architecture).graph(.init(classes: 3, inputSize: size))
    let model = try RandomWeights.model(graph, seed: 1)
    let tensors = graph.parameters.map { info in
      (name: older.reduce(info.name) { $0.replacingOccurrences(of: $1.0, with: $1.1) }, tensor: model.parameters[info.id])
    }
    #expect(tensors.map(\.name) != graph.parameters.map(\.name))
    let file = try path("old.safetensors")
    try SafetensorsWriter.write(tensors, to: file)
    var description = ModelDescription()
    (description.mean, description.deviation, description.inputSize) = ([0, 0, 0], [1, 1, 1], size)
    #expect(
      error { try ModelLoader.load(path: file, overrides: description) }?.hint
        == "it looks like \(architecture); say --architecture \(architecture)")
    description.architecture = architecture
    #expect(try ModelLoader.load(path: file, overrides: description).model.parameters == model.parameters)
  }

  @Test func keysAreForCheckpoints() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = try path("x.safetensors")
    try SafetensorsWriter.write([("a", Tensor(zeros: [1]))], to: file)
    #expect(error { try WeightFile(path: file, checkpointKey: "ema") }?.message == "\(file): a checkpoint key is for PyTorch checkpoints")
    #expect(error { try WeightFile(path: "model.onnx") }?.code == .unsupported)
  }
}
