// The source stage of ViDA.

public import Engine
import Foundation

/// Trains the branches of `ViDABranches` on labelled source images; the model itself stays as it is.
///
/// Liu et al., ICLR 2024, describe the warm-up; its script was not released. Ours: cross entropy, Adam, stored statistics, both factors 1.
public struct ViDAWarmUp: Sendable {
  private let options: ViDABranches.Options
  private let learningRate: Float
  /// A warm-up of branches with the given ranks.
  public init(_ options: ViDABranches.Options = ViDABranches.Options(), learningRate: Float = 1e-3) {
    (self.options, self.learningRate) = (options, learningRate)
  }
  /// Branches after one pass over the batches, by name as the adapter reads them.
  ///
  /// - Throws: for a model without attention and convolutions, and where a loss is not finite.
  public func train(
    _ model: Model, batches: some Sequence<(images: Tensor, labels: [Int])>, on executor: Executor,
    report: (_ step: Int, _ loss: Float) -> Void = { _, _ in }
  ) throws -> [String: Tensor] {
    var setup = AdaptationSetup(model: model)
    var branches = ViDABranches(options, values: [:])
    try branches.configure(&setup)
    let (graph, program) = (setup.model.graph, Program(setup.model.graph))
    let set = try graph.resolve(.role(ViDABranches.role))
    var parameters = setup.model.parameters
    var optimizer = Adam(learningRate: learningRate)
    for (step, batch) in batches.enumerated() {
      let pass = try executor.record(batch.images, program, at: parameters, differentiating: set, ForwardOptions())
      let losses = LossFunctions.crossEntropy(pass.output.logits, pseudoLabels: batch.labels)
      var gradient = losses.logitGradients
      gradient.update { span in for i in span.indices { span[i] /= Float(batch.labels.count) } }
      let loss = losses.values.reduce(0, +) / Float(max(1, losses.values.count))
      guard loss.isFinite else {
        throw TTAError(.nonFinite, "vida: the loss of step \(step) is not finite", hint: "lower the learning rate")
      }
      var gradients = Gradients()
      try executor.backpropagate(pass, from: OutputGradient([.logits: gradient]), into: &gradients)
      optimizer.step(&parameters, gradients, rates: RateScales())
      report(step + 1, loss)
    }
    var values: [String: Tensor] = [:]
    for id in set.ids {
      let name = graph.parameters[Int(id.rawValue)].name
      values[name.replacingSuffix(of: ".vida.")] = parameters[id]
    }
    return values
  }
  /// Writes branches for the strategy and the adapter `vida`.
  public static func write(_ branches: [String: Tensor], model: Model, to path: String) throws {
    try SourceStageFile.write(
      kind: "vida", model: model.parameters, branches.sorted { $0.key < $1.key }.map { (name: $0.key, tensor: $0.value) }, to: path)
  }
}
extension String {
  /// `layer.vida.low_down` as `layer.low_down`.
  fileprivate func replacingSuffix(of infix: String) -> String {
    guard let range = range(of: infix, options: .backwards) else { return self }
    return replacingCharacters(in: range, with: ".")
  }
}
