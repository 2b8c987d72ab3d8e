// Products of bfloat16 factors: near the single ones, the same bits whatever the threads and what is computed again, and only where they are asked for.

import Engine
import Foundation
import ModelIO
import TTA
import TTATestKit
import Testing

@Suite(.serialized) struct PrecisionTests {
  private func step(
    _ model: Model, _ images: Tensor, _ precision: Precision, learning: ParameterSelection = .normAffine, threads: Int = 2,
    recomputation: Recomputation = .automatic
  ) throws -> Fixtures.Gradient {
    let executor = Executor(threads: threads, recomputation: recomputation, precision: precision)
    return try Fixtures.gradient(model, images, model.graph.resolve(learning), executor)
  }
  private func distance(_ got: Tensor, _ expected: Tensor) -> Double {
    let squares = zip(got.values, expected.values).map { (Double($0 - $1) * Double($0 - $1), Double($1) * Double($1)) }
    return (squares.reduce(0) { $0 + $1.0 } / max(1e-30, squares.reduce(0) { $0 + $1.1 })).squareRoot()
  }

  @Test(arguments: [("vit-post-norm-cifar", 32), ("vit-tiny-patch16-224", 64), ("cifar-resnet14", 32), ("resnet26", 32)])
  func staysNear(_ name: String, _ size: Int) throws {
    let model = try Fixtures.model(name, inputSize: size)
    let images = Fixtures.images(5, model)
    let (single, rounded) = (try step(model, images, .single), try step(model, images, .bfloat16))
    let logits = distance(rounded.logits, single.logits)
    #expect(logits > 1e-5 && logits < 0.02, "\(name): \(logits)")
    // Activations near 0 take the other side here and there: over all parameters together.
    let ids = single.gradients.keys.sorted { $0.index < $1.index }
    let all = { (step: Fixtures.Gradient) throws in
      let values = try ids.flatMap { try #require(step.gradients[$0]).values }
      return Tensor(values, shape: [values.count])
    }
    let error = distance(try all(rounded), try all(single))
    #expect(error < 0.06, "\(name), gradients: \(error)")
    for threads in [1, 3] {
      let again = try step(model, images, .bfloat16, threads: threads)
      #expect(again.logits == rounded.logits && again.gradients == rounded.gradients, "\(name), \(threads) threads")
    }
    let kept = try step(model, images, .bfloat16, recomputation: .never)
    #expect(kept.logits == rounded.logits && kept.gradients == rounded.gradients, "\(name), nothing computed again")
  }

  /// Layers that learn are not rounded: with all weights learning nothing is.
  @Test(arguments: [("vit-post-norm-cifar", 32), ("cifar-resnet14", 32)]) func whatLearnsIsNotRounded(_ name: String, _ size: Int) throws {
    let model = try Fixtures.model(name, inputSize: size)
    let images = Fixtures.images(3, model)
    let single = try step(model, images, .single, learning: .all)
    let rounded = try step(model, images, .bfloat16, learning: .all)
    #expect(single.logits == rounded.logits && single.gradients == rounded.gradients)
  }

  /// Two executors share a program: each packs weights its own way.
  @Test func precisionsShareAProgram() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 32)
    let (images, program) = (Fixtures.images(3, model), Program(model.graph))
    func logits(_ precision: Precision, _ program: Program) throws -> Tensor {
      try Executor(threads: 1, precision: precision).forward(images, program, at: model.parameters, ForwardOptions()).logits
    }
    let alone = (try logits(.single, Program(model.graph)), try logits(.bfloat16, Program(model.graph)))
    #expect(alone.0 != alone.1)
    for precision in [Precision.single, .bfloat16, .single] {
      #expect(try logits(precision, program) == (precision == .single ? alone.0 : alone.1))
    }
  }

  @Test func plansSayIt() throws {
    let model = try Fixtures.model("vit-tiny-patch16-224", inputSize: 64)
    func count(_ precision: Precision) throws -> Int {
      let summary = try Program(model.graph).summary(
        ForwardOptions(), at: model.parameters, differentiating: try model.graph.resolve(.normAffine), images: 4, lowering: .fast,
        precision: precision)
      let steps = (summary.forward + summary.backward).joined(separator: "; ").components(separatedBy: "; ")
      return steps.count { $0.contains("bfloat16 linear") }
    }
    // Four layers a block, in both directions.
    #expect(try count(.single) == 0 && (try count(.bfloat16)) >= 2 * 4 * 12 - 1)
    let network = try Fixtures.model("resnet50", inputSize: 224)
    let summary = try Program(network.graph).summary(
      ForwardOptions(), at: network.parameters, differentiating: try network.graph.resolve(.normAffine), images: 4, lowering: .fast,
      precision: .bfloat16)
    let rounded = (summary.forward + summary.backward).filter { $0.contains("bfloat16") && !$0.contains("computed again") }
    #expect(rounded.count { $0.contains("pointwise") } == 2 * 36 && rounded.count { $0.contains("direct") } == 2 * 3)
  }
}
