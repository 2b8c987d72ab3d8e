// The source stage of EATA: which weights matter.

public import Engine

/// The diagonal of the Fisher information as EATA takes it.
///
/// Niu et al., ICML 2022, after the released code: squared gradients of each *batch's mean* cross entropy to the model's own labels, averaged over
/// batches (not per image), with batch statistics. No label of the data is read.
public enum FisherInformation {
  /// Importances by parameter name, of the selected parameters, over batches of clean images.
  ///
  /// - Throws: where the selection is empty, and for images of another shape than the model's.
  /// - Complexity: one forward and one backward per batch.
  public static func diagonal(
    of model: Model, over selection: ParameterSelection = .normAffine, batches: some Sequence<Tensor>, on executor: Executor
  ) throws -> [String: Tensor] {
    let set = try model.graph.resolve(selection)
    let program = Program(model.graph)
    let options = ForwardOptions().with(.batch)
    var (sums, count): ([ParameterID: Tensor], Float) = ([:], 0)
    for images in batches {
      let pass = try executor.record(images, program, at: model.parameters, differentiating: set, options)
      let output = pass.output
      var gradient = LossFunctions.crossEntropy(output.logits, pseudoLabels: output.labels).logitGradients
      gradient.update { span in for i in span.indices { span[i] /= Float(images.count) } }
      var gradients = Gradients()
      try executor.backpropagate(pass, from: OutputGradient([.logits: gradient]), into: &gradients)
      for id in set.ids {
        guard let gradient = gradients[id] else { continue }
        var sum = sums[id] ?? Tensor(zeros: gradient.shape)
        gradient.withSpan { g in sum.update { span in for i in span.indices { span[i] += g[i] * g[i] } } }
        sums[id] = sum
      }
      count += 1
    }
    guard count > 0 else { throw TTAError(.invalidData, "no images for the importances", hint: "give clean images of the source") }
    var result: [String: Tensor] = [:]
    for (id, sum) in sums {
      var mean = sum
      mean.update { span in for i in span.indices { span[i] /= count } }
      result[model.graph.parameters[Int(id.rawValue)].name] = mean
    }
    return result
  }
  /// Writes importances for `eata`.
  public static func write(_ importance: [String: Tensor], model: Model, to path: String) throws {
    try SourceStageFile.write(
      kind: "fisher", model: model.parameters, importance.sorted { $0.key < $1.key }.map { (name: $0.key, tensor: $0.value) }, to: path)
  }
}
