// From a weight file to a model.

public import Engine
import Foundation
import Onnx
public import Safetensors

/// A model, what is known about it, and where it came from.
public struct LoadedModel: Sendable {
  /// The classifier.
  public let model: Model
  /// Complete but for the class names.
  public let description: ModelDescription
  /// The architecture's name.
  public let architecture: String
  /// Path or built-in name.
  public let source: String
  /// What reading the file took and left out, in sentences.
  public let notes: [String]
  /// The ONNX file behind the model, if it is one.
  public let origin: OnnxOrigin?
}

/// Builds models from weight files.
public enum ModelLoader {
  /// Loads an ONNX file, or a weight file (`WeightFile`) with its rotation head where it has one. What `overrides` says wins over what the file says. Throws when the
  /// architecture or the preprocessing is unknown, when tensors are missing, too many or of another shape (first five of each and the counts), and when a
  /// weight is not finite.
  public static func load(
    path: String, checkpointKey: String? = nil, overrides: ModelDescription = ModelDescription()
  ) throws(TTAError) -> LoadedModel {
    if path.hasSuffix(onnxEnding), checkpointKey == nil { return try load(OnnxFile(path: path), overrides: overrides) }
    return try load(WeightFile(path: path, checkpointKey: checkpointKey), overrides: overrides)
  }
  /// Loads from an open safetensors file.
  public static func load(_ file: SafetensorsFile, overrides: ModelDescription = ModelDescription()) throws(TTAError) -> LoadedModel {
    try load(WeightFile(file), overrides: overrides)
  }

  /// Loads from an open file.
  public static func load(_ given: WeightFile, overrides: ModelDescription = ModelDescription()) throws(TTAError) -> LoadedModel {
    var file = given
    var known = try ModelDescription(metadata: file.metadata, path: file.path)
    (known.mean, known.deviation) = (known.mean ?? file.mean, known.deviation ?? file.deviation)
    let description = known.overridden(by: overrides)
    guard let name = description.architecture else {
      let fitting = try candidates(for: file, inputSize: description.inputSize)
      throw TTAError(
        .usage, "\(file.path): the architecture is unknown",
        hint: fitting.isEmpty
          ? "say --architecture NAME; tta list architectures shows all"
          : "it looks like \(fitting[0]); say --architecture \(fitting[0])")
    }
    let architecture = try Architecture.named(name)
    file = file.replacing(architecture.olderNames)
    let (mean, deviation) = try preprocessing(of: description, file.path)
    var complete = description
    complete.architecture = architecture.name
    complete.inputSize = description.inputSize ?? architecture.defaultInputSize
    let size = complete.inputSize ?? architecture.defaultInputSize
    let classes = try classCount(of: architecture, in: file) ?? description.classes?.count ?? architecture.defaultClasses
    if let names = description.classes, names.count != classes {
      throw TTAError(
        .invalidData, "\(file.path): expected \(classes) class names, got \(names.count)", hint: "give one name per class, in order")
    }
    var graph = try architecture.graph(.init(classes: classes, inputSize: size, mean: mean, deviation: deviation))
    if complete.norm == .instanceAware { graph = try graph.withInstanceAwareNorms() }
    if file.names.contains(where: isOfHead) { graph = try RotationHead.add(to: graph) }
    let model = try Model(graph: graph, parameters: try parameters(of: graph, architecture, from: file))
    return LoadedModel(
      model: model, description: complete, architecture: architecture.name, source: file.path, notes: file.notes, origin: nil)
  }
  /// Sides of pictures, in pixels.
  private static let sides = 1...16_384
  /// The constants of the input normalisation; throws where they are unknown, and where sizes are no sizes.
  static func preprocessing(of description: ModelDescription, _ path: String) throws(TTAError) -> (mean: [Float], deviation: [Float]) {
    guard let mean = description.mean, let deviation = description.deviation else {
      throw TTAError(
        .usage, "\(path): the preprocessing is unknown: no mean and standard deviation",
        hint:
          "say --mean R,G,B --std R,G,B (for images in 0…1; --mean 0,0,0 --std 1,1,1 for none), or write them into the file with tta convert"
      )
    }
    guard mean.count == 3, deviation.count == 3, deviation.allSatisfy({ $0 > 0 }) else {
      throw TTAError(.usage, "mean and std: expected three numbers each, std above 0, got \(mean) and \(deviation)")
    }
    for (key, value) in [("resize", description.resize), ("input_size", description.inputSize)] {
      guard let value, !sides.contains(value) else { continue }
      throw TTAError(
        .usage, "\(path): \(key): expected \(sides.lowerBound) to \(sides.upperBound) pixels, got \(value)",
        hint: "for example --resize 256 --input-size 224")
    }
    return (mean, deviation)
  }

  /// Rows of the classifier's weight.
  private static func classCount(of architecture: Architecture, in file: WeightFile) throws(TTAError) -> Int? {
    let graph = try architecture.graph(.init(classes: architecture.defaultClasses, inputSize: architecture.defaultInputSize))
    guard let classifier = graph.classifier, let info = graph.parameters.first(where: { $0.id == classifier.weight }),
      let shape = file.shape(of: info.name), shape.rank == 2, shape[0] > 0
    else { return nil }
    return shape[0]
  }

  /// Architectures whose parameters are the file's tensors.
  private static func candidates(for given: WeightFile, inputSize: Int?) throws(TTAError) -> [String] {
    var fitting: [String] = []
    for architecture in Architecture.all {
      let file = given.replacing(architecture.olderNames)
      guard let classes = try classCount(of: architecture, in: file) else { continue }
      let graph = try architecture.graph(.init(classes: classes, inputSize: inputSize ?? architecture.defaultInputSize))
      let wanted = Set(graph.parameters.map(\.name))
      let complete = graph.parameters.allSatisfy { file.shape(of: $0.name) == $0.shape }
      if complete, file.names.allSatisfy({ wanted.contains($0) || architecture.ignores($0) || isOfHead($0) }) {
        fitting.append(architecture.name)
      }
    }
    return fitting
  }

  /// Tensors of a head that test-time training needs.
  private static func isOfHead(_ name: String) -> Bool { name.hasPrefix(RotationHead.prefix) }
  private static func parameters(
    of graph: Graph, _ architecture: Architecture, from file: WeightFile
  ) throws(TTAError) -> Parameters {
    let wanted = Set(graph.parameters.map(\.name))
    let missing = graph.parameters.filter { file.shape(of: $0.name) == nil }.map(\.name)
    let extra = file.names.filter { !wanted.contains($0) && !architecture.ignores($0) }
    let misshapen = graph.parameters.compactMap { info -> String? in
      guard let shape = file.shape(of: info.name), shape != info.shape else { return nil }
      return "\(info.name) (expected \(info.shape), got \(shape))"
    }
    guard missing.isEmpty, extra.isEmpty, misshapen.isEmpty else {
      func list(_ what: String, _ names: [String]) -> String? {
        guard !names.isEmpty else { return nil }
        let more = names.count > 5 ? ", …" : ""
        return "\(names.count) \(what): \(names.prefix(5).joined(separator: ", "))\(more)"
      }
      let parts = [list("missing", missing), list("unexpected", extra), list("of another shape", misshapen)].compactMap { $0 }
      let fitting = try candidates(for: file, inputSize: nil).first { $0 != architecture.name }
      throw TTAError(
        .invalidData, "\(file.path): the tensors are not those of \(architecture.name): \(parts.joined(separator: "; "))",
        hint: fitting.map { "it looks like \($0); say --architecture \($0)" }
          ?? "check the architecture's name and how the file was exported")
    }
    var tensors: [Tensor] = []
    for info in graph.parameters {
      let tensor = try file.tensor(info.name)
      guard tensor.isFinite else {
        throw TTAError(
          .nonFinite, "\(file.path): \(info.name) holds values that are not finite", hint: "the checkpoint is broken; export it again")
      }
      tensors.append(tensor)
    }
    return Parameters(tensors)
  }

  /// Writes a model with its description.
  public static func save(
    _ model: Model, description: ModelDescription, metadata: [String: String] = [:], precision: SafetensorsWriter.Precision = .float32,
    to path: String
  ) throws(TTAError) {
    let tensors = model.graph.parameters.map { (name: $0.name, tensor: model.parameters[$0.id]) }
    try SafetensorsWriter.write(
      tensors, metadata: description.metadata.merging(metadata) { own, _ in own }, precision: precision, to: path)
  }
}
