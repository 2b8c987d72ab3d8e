// Models from ONNX files.

public import Engine
public import Onnx

/// The file that an imported graph comes from, and where its parameters lie in it.
public struct OnnxOrigin: Sendable {
  let file: OnnxFile
  let sources: [String: ParameterSource]
}

extension ModelLoader {
  /// The ending of ONNX files.
  public static let onnxEnding = ".onnx"

  /// Imports an ONNX graph (`OnnxImporter`). The preprocessing has to be said, as for any file that does not hold it; there is no architecture to say.
  public static func load(_ file: OnnxFile, overrides: ModelDescription) throws(TTAError) -> LoadedModel {
    let path = file.path
    guard overrides.architecture == nil else {
      throw TTAError(.usage, "\(path): an ONNX file is a whole network, --architecture names another", hint: "leave --architecture out")
    }
    let (mean, deviation) = try preprocessing(of: overrides, path)
    let result = try OnnxImporter.load(file, inputSize: overrides.inputSize, preprocessing: .init(mean: mean, deviation: deviation))
    let model = try Model(graph: result.graph, parameters: result.parameters)
    for info in model.graph.parameters where !model.parameters[info.id].isFinite {
      throw TTAError(
        .nonFinite, "\(path): \(info.name) holds values that are not finite", hint: "the file is broken; export the model again")
    }
    var description = overrides
    description.inputSize = result.graph.inputShape[1]
    if let names = description.classes, names.count != model.graph.classCount {
      throw TTAError(
        .invalidData, "\(path): expected \(model.graph.classCount) class names, got \(names.count)",
        hint: "give one name per class, in order")
    }
    var notes = ["opset \(file.opset)" + (file.producer.isEmpty ? "" : ", written by \(file.producer)")] + result.notes
    if model.graph.normNodes.isEmpty, model.graph.nodes.contains(where: { $0.operation is Convolution }) { notes.append(foldedNorms) }
    return LoadedModel(
      model: model, description: description, architecture: "onnx", source: path, notes: notes,
      origin: OnnxOrigin(file: file, sources: result.sources))
  }
  /// What to do about a network without norm layers.
  public static let foldedNorms =
    "no norm layers: if the network has batch norms, the export made them part of the convolutions, and methods that adapt norms cannot work; "
    + "export with torch.onnx.export(model, images, \"model.onnx\", dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, opset_version=17) "
    + "or datasets-scripts/export_onnx.py; where that is impossible, tta calibrate puts norms back"
}
