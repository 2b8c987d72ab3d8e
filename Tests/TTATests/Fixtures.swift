// Small models and streams for tests.

import Engine
import ModelIO
import TTA
import TTATestKit
import Testing

/// Small models and streams for tests: fresh weights, images of noise.
enum Fixtures {
  static func model(_ architecture: String = "cifar-resnet14", inputSize: Int? = nil, classes: Int = 10, seed: UInt64 = 3) throws -> Model {
    let known = try Architecture.named(architecture)
    let configuration = ArchitectureConfiguration(
      classes: classes, inputSize: inputSize ?? known.defaultInputSize, mean: [0.45, 0.5, 0.4], deviation: [0.25, 0.2, 0.3])
    let fresh = try RandomWeights.model(known.graph(configuration), seed: seed)
    // Norm layers that do something, and running statistics that are not those of any batch.
    var parameters = fresh.parameters
    var random = RandomSource(seed: seed &+ 100)
    for info in fresh.graph.parameters {
      let bounds: (Float, Float)? =
        switch info.role {
        case .normScale: (0.7, 1.3)
        case .normShift, .runningMean: (-0.3, 0.3)
        case .runningVariance: (0.5, 2)
        default: nil
        }
      guard let (low, high) = bounds else { continue }
      parameters.update(info.id) { tensor in
        tensor = Tensor((0..<info.shape.elementCount).map { _ in random.uniform(low, high) }, shape: info.shape)
      }
    }
    return try Model(graph: fresh.graph, parameters: parameters)
  }
  static func images(_ count: Int, _ model: Model, seed: UInt64 = 9) -> Tensor {
    var random = RandomSource(seed: seed)
    let shape = Shape([count] + model.graph.inputShape.dimensions)
    return Tensor((0..<shape.elementCount).map { _ in random.uniform() }, shape: shape)
  }
  /// What a pass of entropy minimisation computes before anything learns.
  struct Gradient { var logits: Tensor, gradients: [ParameterID: Tensor] }
  static func gradient(_ model: Model, _ images: Tensor, _ set: ParameterSet, _ executor: Executor) throws -> Gradient {
    let pass = try executor.record(images, Program(model.graph), at: model.parameters, differentiating: set, ForwardOptions())
    let logits = pass.output.logits
    let seed = OutputGradient([.logits: Entropy().losses(of: pass.output).logitGradients])
    var gradients = Gradients()
    try executor.backpropagate(pass, from: seed, into: &gradients)
    return Gradient(logits: logits, gradients: gradients.tensors)
  }
  /// One step of plain SGD: a parameter's element that moved most moved along the numeric derivative of `loss`.
  static func expectStep(
    from model: Model, to stream: AdaptationRuntime, of name: String, rate: Double, step: Float, tolerance: Double,
    loss: (Parameters) throws -> Double
  ) throws {
    let info = try #require(model.graph.parameter(named: name))
    let moved = zip(stream.state.parameters[info.id].values, model.parameters[info.id].values).map { Double($0 - $1) / -rate }
    let steepest = moved.indices.max { abs(moved[$0]) < abs(moved[$1]) } ?? 0
    let numeric = try NumericGradient.of(
      { value in
        var parameters = model.parameters
        parameters.update(info.id) { $0 = value }
        return try loss(parameters)
      }, at: model.parameters[info.id], elements: [steepest], step: step)[0]
    #expect(abs(moved[steepest] - numeric) < tolerance * abs(numeric) + 1e-4, "\(name): moved by \(moved[steepest]), derivative \(numeric)")
  }
  static func batches(_ count: Int, of size: Int, _ model: Model) -> [Batch] {
    (0..<count).map { Batch(images(size, model, seed: UInt64(20 + $0)), index: $0 * size) }
  }
}
