// Fresh parameters.

public import Engine
import Foundation
import Safetensors

/// Parameters before training: for `tta train`, and for benchmarks of architectures without a checkpoint.
public enum RandomWeights {
  /// He's initialisation as PyTorch networks of this family use it: convolutions normal with deviation √(2 / (rows · columns · filters)), linear
  /// layers uniform within ±1/√inputs, tokens normal with deviation 0.02, norms at identity. A rotation head starts as the stage it was copied from.
  public static func model(_ graph: Graph, seed: UInt64) throws(TTAError) -> Model {
    try filled([], graph, seed: seed)
  }
  /// The same in a temporary file, mapped as the file of a trained model is. Throws `cannotWrite`.
  public static func modelInFile(_ graph: Graph, seed: UInt64) throws(TTAError) -> Model {
    let path = FileManager.default.temporaryDirectory.appending(path: "tta-weights-\(UUID().uuidString).safetensors").path
    // The mapping keeps the contents.
    defer { try? FileManager.default.removeItem(atPath: path) }
    let source = RandomSource(seed: seed), all = graph.parameters
    try SafetensorsWriter.write(all.map { ($0.name, $0.shape) }, to: path) { values(of: all[$0], among: all, from: source) }
    let file = try SafetensorsFile(path: path)
    var tensors: [Tensor] = []
    for info in all { tensors.append(try file.tensor(info.name)) }
    return try Model(graph: graph, parameters: Parameters(tensors))
  }
  /// The model with an untrained rotation head, for tests and benchmarks: `tta train --rotation-head` makes one that knows its task.
  public static func addRotationHead(to model: Model, seed: UInt64) throws(TTAError) -> Model {
    try filled(model.graph.parameters.map { model.parameters[$0.id] }, RotationHead.add(to: model.graph), seed: seed)
  }
  private static func filled(_ given: [Tensor], _ graph: Graph, seed: UInt64) throws(TTAError) -> Model {
    let source = RandomSource(seed: seed)
    var tensors = given
    for info in graph.parameters.dropFirst(given.count) {
      if let twin = RotationHead.twin(of: info, in: graph) {
        tensors.append(tensors[Int(twin.id.rawValue)])
      } else {
        tensors.append(values(of: info, among: graph.parameters, from: source))
      }
    }
    return try Model(graph: graph, parameters: Parameters(tensors))
  }

  private static func values(of info: ParameterInfo, among all: [ParameterInfo], from source: RandomSource) -> Tensor {
    var random = source.stream(UInt64(info.id.rawValue))
    let isHead = info.role == RotationHead.role
    switch isHead ? (info.shape.rank > 1 ? .weight : .bias) : info.role {
    case .normScale, .runningVariance: return Tensor(repeating: 1, shape: info.shape)
    case .normShift, .runningMean, .adapter: return Tensor(zeros: info.shape)
    case .token: return random.normals(info.shape, deviation: 0.02)
    case .weight where info.shape.rank == 4:
      let fan = Double(info.shape[0] * info.shape[2] * info.shape[3])
      return random.normals(info.shape, deviation: Float((2 / fan).squareRoot()))
    case .weight, .bias:
      let weight = info.shape.rank > 1 ? info : all.first { $0.name == String(info.name.dropLast("bias".count)) + "weight" } ?? info
      let inputs = weight.shape.dimensions.dropFirst().reduce(1, *)
      let bound = 1 / Float(inputs).squareRoot()
      return Tensor((0..<info.shape.elementCount).map { _ in random.uniform(-bound, bound) }, shape: info.shape)
    }
  }
}
