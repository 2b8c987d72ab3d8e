// From a weight file to a model.

public import Engine
import Foundation
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
}

/// Builds models from weight files.
public enum ModelLoader {
  /// Endings of files that can be read.
  public static let endings = [".safetensors"]

  /// Loads a safetensors file, with its rotation head where it has one. What `overrides` says wins over what the file says. Throws when the architecture or
  /// the preprocessing is unknown, when tensors are missing, too many or of another shape (first five of each and the counts), and when a weight is not
  /// finite.
  public static func load(path: String, overrides: ModelDescription = ModelDescription()) throws(TTAError) -> LoadedModel {
    guard path.hasSuffix(".safetensors") else {
      throw TTAError(
        .unsupported, "\(path): expected a .safetensors file",
        hint: "convert the checkpoint to safetensors, or name a built-in model: shapes")
    }
    return try load(SafetensorsFile(path: path), overrides: overrides)
  }

  /// Loads from an open file.
  public static func load(_ file: SafetensorsFile, overrides: ModelDescription = ModelDescription()) throws(TTAError) -> LoadedModel {
    let description = try ModelDescription(metadata: file.metadata, path: file.path).overridden(by: overrides)
    guard let name = description.architecture else {
      let fitting = try candidates(for: file)
      throw TTAError(
        .usage, "\(file.path): the architecture is unknown",
        hint: fitting.isEmpty
          ? "say --architecture NAME; tta list architectures shows all"
          : "it looks like \(fitting[0]); say --architecture \(fitting[0])")
    }
    let architecture = try Architecture.named(name)
    guard let mean = description.mean, let deviation = description.deviation else {
      throw TTAError(
        .usage, "\(file.path): the preprocessing is unknown: no mean and standard deviation",
        hint:
          "say --mean R,G,B --std R,G,B (for images in 0…1; --mean 0,0,0 --std 1,1,1 for none), or write them into the file with tta convert"
      )
    }
    guard mean.count == 3, deviation.count == 3, deviation.allSatisfy({ $0 > 0 }) else {
      throw TTAError(.usage, "mean and std: expected three numbers each, std above 0, got \(mean) and \(deviation)")
    }
    var complete = description
    complete.architecture = architecture.name
    complete.inputSize = description.inputSize ?? architecture.defaultInputSize
    let classes = try classCount(file) ?? description.classes?.count ?? architecture.defaultClasses
    if let names = description.classes, names.count != classes {
      throw TTAError(
        .invalidData, "\(file.path): expected \(classes) class names, got \(names.count)", hint: "give one name per class, in order")
    }
    let configuration = ArchitectureConfiguration(
      classes: classes, inputSize: complete.inputSize ?? architecture.defaultInputSize, mean: mean, deviation: deviation)
    var graph = try architecture.graph(configuration)
    if complete.norm == .instanceAware { graph = try graph.withInstanceAwareNorms() }
    if file.names.contains(where: isOfHead) { graph = try RotationHead.add(to: graph) }
    let model = try Model(graph: graph, parameters: try parameters(of: graph, architecture: architecture.name, from: file))
    return LoadedModel(model: model, description: complete, architecture: architecture.name, source: file.path)
  }

  /// Rows of the last layer's weight, by its usual names.
  private static func classCount(_ file: SafetensorsFile) throws(TTAError) -> Int? {
    for name in ["fc.weight", "head.weight", "classifier.weight"] {
      if let entry = file.entries[name], entry.shape.rank == 2 { return entry.shape[0] }
    }
    return nil
  }

  /// Architectures whose parameters are the file's tensors.
  private static func candidates(for file: SafetensorsFile) throws(TTAError) -> [String] {
    var fitting: [String] = []
    for architecture in Architecture.all {
      let classes = try classCount(file) ?? architecture.defaultClasses
      let graph = try architecture.graph(.init(classes: classes, inputSize: architecture.defaultInputSize))
      let wanted = Set(graph.parameters.map(\.name))
      let complete = graph.parameters.allSatisfy { file.entries[$0.name]?.shape == $0.shape }
      if complete, file.names.allSatisfy({ wanted.contains($0) || isIgnored($0) || isOfHead($0) }) { fitting.append(architecture.name) }
    }
    return fitting
  }

  /// Tensors of a head that test-time training needs.
  private static func isOfHead(_ name: String) -> Bool { name.hasPrefix(RotationHead.prefix) }
  /// Tensors that state dicts carry and no forward reads.
  private static func isIgnored(_ name: String) -> Bool { name.hasSuffix("num_batches_tracked") }

  private static func parameters(
    of graph: Graph, architecture: String, from file: SafetensorsFile
  ) throws(TTAError) -> Parameters {
    let wanted = Set(graph.parameters.map(\.name))
    let missing = graph.parameters.filter { file.entries[$0.name] == nil }.map(\.name)
    let extra = file.names.filter { !wanted.contains($0) && !isIgnored($0) }
    let misshapen = graph.parameters.compactMap { info -> String? in
      guard let entry = file.entries[info.name], entry.shape != info.shape else { return nil }
      return "\(info.name) (expected \(info.shape), got \(entry.shape))"
    }
    guard missing.isEmpty, extra.isEmpty, misshapen.isEmpty else {
      func list(_ what: String, _ names: [String]) -> String? {
        guard !names.isEmpty else { return nil }
        let more = names.count > 5 ? ", …" : ""
        return "\(names.count) \(what): \(names.prefix(5).joined(separator: ", "))\(more)"
      }
      let parts = [list("missing", missing), list("unexpected", extra), list("of another shape", misshapen)].compactMap { $0 }
      let fitting = try candidates(for: file).first { $0 != architecture }
      throw TTAError(
        .invalidData, "\(file.path): the tensors are not those of \(architecture): \(parts.joined(separator: "; "))",
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
