// Fused plans equal their readable plans, on every architecture.

import Engine
import Foundation
import ModelIO
import Safetensors
import TTA
import TTATestKit
import Testing

@Suite(.serialized) struct PlanTests {
  private struct Result { var logits: Tensor, features: Tensor, gradients: [ParameterID: Tensor] }

  private func run(
    _ model: Model, _ images: Tensor, _ statistics: NormStatistics, _ set: ParameterSet, _ executor: Executor, program: Program? = nil
  ) throws -> Result {
    var options = ForwardOptions().with(statistics)
    options.taps = [.logits, .features]
    let pass = try executor.record(images, program ?? Program(model.graph), at: model.parameters, differentiating: set, options)
    let output = pass.output
    let losses = LossFunctions.conjugatePolynomial(output.logits, epsilon: 1)
    var gradients = Gradients()
    try executor.backpropagate(pass, from: OutputGradient([.logits: losses.logitGradients]), into: &gradients)
    return Result(
      logits: output.logits, features: try #require(output.features), gradients: gradients.tensors)
  }
  /// Differences relative to the largest value.
  private func relative(_ got: Tensor, _ expected: Tensor) -> Float {
    largestDifference(got, expected) / max(1e-6, expected.values.reduce(0) { max($0, abs($1)) })
  }

  /// Over all parameters together: near 0 an activation may flip with the last bit, which moves single gradients.
  private func relativeDistance(_ got: [ParameterID: Tensor], _ expected: [ParameterID: Tensor]) -> Double {
    var (difference, size) = (0.0, 0.0)
    for (id, gradient) in expected {
      guard let other = got[id] else { return .infinity }
      for (a, b) in zip(other.values, gradient.values) {
        difference += Double(a - b) * Double(a - b)
        size += Double(b) * Double(b)
      }
    }
    return (difference / size).squareRoot()
  }

  static let architectures: [(name: String, size: Int, batch: Int)] = [
    ("cifar-resnet14", 32, 5), ("cifar-resnet20", 20, 3), ("wide-resnet-40-2", 16, 3), ("resnet18", 64, 2), ("resnet50", 96, 2),
    ("resnet26", 32, 3),
    ("mobilenet-v1-025", 128, 6), ("efficientnet-b0", 64, 3), ("vit-post-norm-cifar", 32, 2), ("vit-tiny-patch16-224", 224, 1),
  ]
  static let statistics: [NormStatistics] = [
    .stored, .batch, .blended(batchWeight: 0.3, variance: .unbiased, constant: true),
    .blended(batchWeight: 0.3, variance: .biased, constant: false), .renormalized,
  ]

  @Test(arguments: architectures) func fusedEqualsReadable(_ architecture: (name: String, size: Int, batch: Int)) throws {
    let model = try Fixtures.model(architecture.name, inputSize: architecture.size)
    let images = Fixtures.images(architecture.batch, model)
    let set = try model.graph.resolve(.normAffine)
    for statistics in Self.statistics {
      let readable = Executor(threads: 2, lowering: .reference)
      let expected = try run(model, images, statistics, set, readable)
      // What a change of the images' last bits does to the gradients: some networks with fresh weights amplify it.
      var moved = images
      moved.update { span in for i in span.indices { span[i] *= 1 + 2e-7 } }
      let noise = relativeDistance(try run(model, moved, statistics, set, readable).gradients, expected.gradients)
      for (lowering, bound) in [(Lowering.exact, Float(4e-4)), (.fast, 2e-3)] {
        let got = try run(model, images, statistics, set, Executor(threads: 2, lowering: lowering))
        let label = "\(architecture.name) \(statistics) \(lowering.rawValue)"
        #expect(relative(got.logits, expected.logits) < bound, "\(label) logits: \(relative(got.logits, expected.logits))")
        #expect(relative(got.features, expected.features) < bound, "\(label) features")
        #expect(Set(got.gradients.keys) == Set(expected.gradients.keys), "\(label): other parameters have gradients")
        let error = relativeDistance(got.gradients, expected.gradients)
        #expect(error < 50 * Double(bound) + 10 * noise, "\(label) gradients: \(error), by their nature \(noise)")
      }
    }
  }

  /// Convolution networks stay in blocked layout from the stem to the pooling; only the gates of EfficientNet's 16 blocks, one value per
  /// channel, go there and back in both directions.
  @Test(arguments: [
    ("cifar-resnet20", 0), ("wide-resnet-28-10", 0), ("resnet18", 0), ("resnet50", 0), ("mobilenet-v2", 0), ("efficientnet-b0", 64),
  ])
  func convolutionsKeepTheirLayout(_ architecture: String, _ changes: Int) throws {
    let model = try Fixtures.model(architecture, inputSize: 64)
    let summary = try Program(model.graph).summary(
      ForwardOptions().with(.batch), at: model.parameters, differentiating: try model.graph.resolve(.normAffine), images: 4, lowering: .fast
    )
    #expect(summary.forward.count > 20 && summary.backward.count > 20)
    let found = (summary.forward + summary.backward).count { $0.contains("blocked layout") }
    #expect(found == changes, "\(architecture)")
  }

  /// Behind a frozen stem only the sums over a gradient are wanted: it is not written. With the stem's weights it is.
  @Test(arguments: [("cifar-resnet20", "layer1.0.conv1: winograd backward"), ("resnet18", "maxpool: pooling backward")])
  func gradientsThatNobodyReadsAreNotWritten(_ architecture: String, _ last: String) throws {
    let model = try Fixtures.model(architecture, inputSize: 64)
    for (set, expected) in [(ParameterSelection.normAffine, [last + ", sums only"]), (.all, [])] {
      let summary = try Program(model.graph).summary(
        ForwardOptions().with(.batch), at: model.parameters, differentiating: try model.graph.resolve(set), images: 4, lowering: .fast)
      #expect(summary.backward.filter { $0.contains("sums only") } == expected)
    }
  }

  @Test(arguments: architectures) func oneThreadEqualsMany(_ architecture: (name: String, size: Int, batch: Int)) throws {
    let model = try Fixtures.model(architecture.name, inputSize: architecture.size)
    let images = Fixtures.images(architecture.batch, model)
    let set = try model.graph.resolve(.normAffine)
    for lowering in Lowering.allCases {
      for set in [set, try model.graph.resolve(.all)] {
        let one = try run(model, images, .batch, set, Executor(threads: 1, lowering: lowering))
        for threads in [2, 3] {
          let many = try run(model, images, .batch, set, Executor(threads: threads, lowering: lowering))
          #expect(
            one.logits == many.logits && one.gradients == many.gradients, "\(architecture.name) \(lowering.rawValue), \(threads) threads")
        }
      }
    }
  }

  static let withWeights: [(name: String, size: Int, batch: Int)] = [
    ("cifar-resnet20", 32, 5), ("resnet26", 32, 5), ("wide-resnet-28-10", 16, 2), ("mobilenet-v1-025", 96, 4),
    ("efficientnet-b0", 64, 3),
  ]
  /// Every parameter is differentiated: the fused path has the gradients of the readable one, weights and biases included.
  @Test(arguments: withWeights) func gradientsOfAllParametersEqualReadableOnes(_ architecture: (name: String, size: Int, batch: Int)) throws
  {
    let model = try Fixtures.model(architecture.name, inputSize: architecture.size)
    let images = Fixtures.images(architecture.batch, model)
    let set = try model.graph.resolve(.all)
    let readable = Executor(threads: 2, lowering: .reference)
    let expected = try run(model, images, .batch, set, readable)
    var moved = images
    moved.update { span in for i in span.indices { span[i] *= 1 + 2e-7 } }
    let noise = relativeDistance(try run(model, moved, .batch, set, readable).gradients, expected.gradients)
    for (lowering, bound) in [(Lowering.exact, 4e-4), (.fast, 2e-3)] {
      let executor = Executor(threads: 2, lowering: lowering)
      let got = try run(model, images, .batch, set, executor)
      #expect(Set(got.gradients.keys) == Set(expected.gradients.keys), "\(architecture.name): other parameters have gradients")
      let error = relativeDistance(got.gradients, expected.gradients)
      #expect(error < 50 * bound + 10 * noise, "\(architecture.name) \(lowering.rawValue): \(error), by their nature \(noise)")
      let options = ForwardOptions().with(.batch)
      let summary = try Program(model.graph).summary(
        options, at: model.parameters, differentiating: set, images: architecture.batch, lowering: lowering)
      #expect(!summary.forward.contains { $0.hasSuffix(": convolution") }, "a convolution left the fused path: \(summary.forward)")
    }
  }

  @Test func aPlanRunsSmallerBatches() throws {
    let model = try Fixtures.model()
    let images = Fixtures.images(6, model)
    let set = try model.graph.resolve(.normAffine)
    let (executor, program) = (Executor(threads: 2), Program(model.graph))
    _ = try run(model, images, .batch, set, executor, program: program)
    let part = images[[0, 1, 2]]
    let (shared, fresh) = (
      try run(model, part, .batch, set, executor, program: program), try run(model, part, .batch, set, Executor(threads: 2))
    )
    #expect(shared.logits == fresh.logits && shared.gradients == fresh.gradients)
  }

  @Test func severalPassesMayBeAlive() throws {
    let model = try Fixtures.model()
    let set = try model.graph.resolve(.normAffine)
    let (executor, program) = (Executor(threads: 2), Program(model.graph))
    let (a, b) = (Fixtures.images(4, model, seed: 1), Fixtures.images(4, model, seed: 2))
    let options = ForwardOptions().with(.batch)
    let first = try executor.record(a, program, at: model.parameters, differentiating: set, options)
    let second = try executor.record(b, program, at: model.parameters, differentiating: set, options)
    func seed(_ output: Output) -> OutputGradient { OutputGradient([.logits: output.logits]) }
    let (seedA, seedB) = (seed(first.output), seed(second.output))
    var (together, alone) = (Gradients(), Gradients())
    try executor.backpropagate(first, from: seedA, into: &together)
    try executor.backpropagate(second, from: seedB, into: &together)
    try executor.backpropagate(executor.record(a, program, at: model.parameters, differentiating: set, options), from: seedA, into: &alone)
    try executor.backpropagate(executor.record(b, program, at: model.parameters, differentiating: set, options), from: seedB, into: &alone)
    #expect(together.tensors == alone.tensors)
  }

  @Test func gradientsOfWeightsMatchDifferences() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let images = Fixtures.images(3, model)
    let id = try #require(model.graph.parameter(named: "layer2.0.conv1.weight")).id
    let executor = Executor(threads: 2, lowering: .exact)
    func loss(_ parameters: Parameters) throws -> Double {
      let output = try executor.forward(images, Program(model.graph), at: parameters, ForwardOptions().with(.batch))
      return Entropy().losses(of: output).values.reduce(0.0) { $0 + Double($1) }
    }
    let pass = try executor.record(
      images, Program(model.graph), at: model.parameters, differentiating: ParameterSet([id]), ForwardOptions().with(.batch))
    let seed = OutputGradient([.logits: Entropy().losses(of: pass.output).logitGradients])
    var gradients = Gradients()
    try executor.backpropagate(pass, from: seed, into: &gradients)
    let gradient = try #require(gradients[id]).values
    for element in [0, 17, 301, 4000] {
      let numeric = try NumericGradient.of(
        { tensor in
          var changed = model.parameters
          changed.update(id) { $0 = tensor }
          return try loss(changed)
        }, at: model.parameters[id], elements: [element], step: 3e-3)[0]
      #expect(
        abs(Double(gradient[element]) - numeric) < 0.02 * max(0.05, abs(numeric)), "element \(element): \(gradient[element]), \(numeric)")
    }
  }

  /// Real weights: the default mode stays with the exact one over a stream, on networks for which there is no golden trace.
  @Test(arguments: ["resnet32_cifar10", "resnet56_cifar10"]) func exactAndDefaultAgreeOverAStream(_ name: String) throws {
    guard let shared = SharedFolders.shared, let golden = SharedFolders.golden else { return print("skipped: no TTA_SHARED folder") }
    var description = ModelDescription()
    description.architecture = name
    (description.mean, description.deviation) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    let model = try ModelLoader.load(path: shared.appendingPathComponent("data/weights/\(name).safetensors").path, overrides: description)
      .model
    let file = try SafetensorsFile(path: golden.appendingPathComponent("images/cifar_gaussian_noise_5.safetensors").path)
    let bytes = try file.bytes("images")
    let executors = [Executor(threads: 2, lowering: .exact), Executor(threads: 2, lowering: .fast)]
    for strategy in [Source() as any AdaptationStrategy, BatchNormAdaptation(), Tent()] {
      var streams = try executors.map { _ in try AdaptationRuntime(model, strategy) }
      var flips = 0
      for start in stride(from: 0, to: 600, by: 200) {
        var values: [Float] = []
        for image in start..<start + 200 {
          for c in 0..<3 { for i in 0..<1024 { values.append(Float(bytes[(image * 1024 + i) * 3 + c]) / 255) } }
        }
        let batch = Batch(Tensor(values, shape: [200, 3, 32, 32]))
        let answers = try streams.indices.map { try streams[$0].process(batch, on: executors[$0]) }
        flips += zip(answers[0].labels, answers[1].labels).count { $0 != $1 }
        let difference = largestDifference(answers[0].scores.tensor, answers[1].scores.tensor)
        #expect(difference < (start == 0 ? 0.005 : 0.1), "\(name) \(type(of: strategy)) images from \(start): \(difference)")
      }
      #expect(flips <= 4, "\(name) \(type(of: strategy)): \(flips) of 600 predictions differ")
    }
  }
}
