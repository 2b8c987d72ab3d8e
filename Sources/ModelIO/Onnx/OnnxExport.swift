// An adapted network as the ONNX file that it came from.

public import Engine
import Onnx

extension OnnxOrigin {
  /// Writes the file again with the weights of `model` where they differ from those of `source`; `foldsNorms` makes every batch norm part of the convolution
  /// before it, so that the norm hands its input on. The number of tensors that changed. Throws `unsupported` where a changed parameter has no place in the
  /// file, and what `OnnxFile.write` throws.
  public func write(_ model: Model, source: Model, foldsNorms: Bool, to path: String) throws(TTAError) -> Int {
    var changes = OnnxChanges()
    let infos = model.graph.parameters
    if foldsNorms { try fold(model, &changes) }
    let folded = Set(changes.tensors.keys)
    for info in infos where model.parameters[info.id] != source.parameters[info.id] {
      guard let place = sources[info.name] else {
        throw TTAError(
          .unsupported, "\(path): \(info.name) changed, but the file has no tensor of that form (it was computed when the file was read)",
          hint: "export safetensors instead, or adapt parameters that the file holds, such as those of norm layers")
      }
      if folded.contains(place.tensor) { continue }
      let values = stored(model.parameters[info.id], place)
      guard changes.tensors[place.tensor].map({ $0 == values }) ?? true else {
        throw TTAError(
          .unsupported, "\(path): layers that share the tensor \(place.tensor) changed in different ways",
          hint: "export safetensors instead, or export the source from PyTorch with weights of its own for each layer")
      }
      changes.tensors[place.tensor] = values
    }
    try file.write(changes, to: path)
    return changes.tensors.count
  }
  /// A parameter as the file stores it.
  private func stored(_ tensor: Tensor, _ place: ParameterSource) -> Tensor {
    guard place.isTransposed else { return tensor.reshaped(to: place.shape) }
    let (rows, columns, values) = (tensor.shape[0], tensor.shape[1], tensor.values)
    return Tensor((0..<columns * rows).map { values[$0 % rows * columns + $0 / rows] }, shape: [columns, rows])
  }
  /// Convolutions with their norms in them, and norms that hand their input on.
  private func fold(_ model: Model, _ changes: inout OnnxChanges) throws(TTAError) {
    let folded = try model.foldingNorms()
    let known = Dictionary(uniqueKeysWithValues: model.graph.parameters.map { ($0.name, $0) })
    let weights = Dictionary(known.keys.map { (Model.biasName(beside: $0), $0) }) { first, _ in first }
    let kept = Set(folded.map(\.name))
    let gone = Set(known.values.filter { $0.role == .normScale && !kept.contains($0.name) }.map(\.name))
    for (name, tensor) in folded {
      guard let info = known[name] else {
        // The offset of a convolution that had none: beside its weight.
        let weight = weights[name] ?? name
        guard let source = sources[weight]?.tensor,
          let place = file.nodes.firstIndex(where: { $0.operation == "Conv" && $0.inputs[1] == source })
        else {
          throw TTAError(
            .unsupported, "\(name): the file has no convolution with the weight \(weight)", hint: "export without --fold-norms")
        }
        let bias = source + ".folded_bias"
        changes.tensors[bias] = tensor
        changes.inputs[place] = [file.nodes[place].inputs[0], source, bias]
        continue
      }
      if tensor != model.parameters[info.id], let source = sources[name] {
        changes.tensors[source.tensor] = tensor.reshaped(to: source.shape)
      }
    }
    for (place, node) in file.nodes.enumerated() where node.operation == "BatchNormalization" && gone.contains(node.inputs[1]) {
      changes.bypassed.insert(place)
    }
    guard changes.bypassed.count == gone.count else {
      throw TTAError(
        .unsupported, "\(file.path): \(gone.count - changes.bypassed.count) batch norms are written as arithmetic, not as layers",
        hint: "export without --fold-norms")
    }
  }
}
