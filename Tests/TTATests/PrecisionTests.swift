// Products of bfloat16 factors: near the single ones, the same bits whatever the threads and what is computed again, and only where they are asked for.

import Engine
import Foundation
import ModelIO
import TTA
import TTATestKit
import Testing

@Suite(.serialized) struct PrecisionTests {
  private struct Step { var logits: Tensor, gradients: [ParameterID: Tensor] }

  private func step(
    _ model: Model, _ images: Tensor, _ precision: Precision, threads: Int = 2, recomputation: Recomputation = .automatic
  ) throws -> Step {
    let executor = Executor(threads: threads, recomputation: recomputation, precision: precision)
    let set = try model.graph.resolve(.normAffine)
    let pass = try executor.record(images, Program(model.graph), at: model.parameters, differentiating: set, ForwardOptions())
    let logits = pass.output.logits
    let seed = OutputGradient([.logits: Entropy().losses(of: pass.output).logitGradients])
    var gradients = Gradients()
    try executor.backpropagate(pass, from: seed, into: &gradients)
    return Step(logits: logits, gradients: gradients.tensors)
  }
  private func distance(_ got: Tensor, _ expected: Tensor) -> Double {
    let squares = zip(got.values, expected.values).map { (Double($0 - $1) * Double($0 - $1), Double($1) * Double($1)) }
    return (squares.reduce(0) { $0 + $1.0 } / max(1e-30, squares.reduce(0) { $0 + $1.1 })).squareRoot()
  }

  @Test(arguments: [("vit-post-norm-cifar", 32), ("vit-tiny-patch16-224", 64)])
  func transformersStayNear(_ name: String, _ size: Int) throws {
    let model = try Fixtures.model(name, inputSize: size)
    let images = Fixtures.images(5, model)
    let (single, rounded) = (try step(model, images, .single), try step(model, images, .bfloat16))
    let logits = distance(rounded.logits, single.logits)
    #expect(logits > 1e-5 && logits < 0.02, "\(name): \(logits)")
    for (id, gradient) in single.gradients {
      let error = distance(try #require(rounded.gradients[id]), gradient)
      #expect(error < 0.06, "\(name), parameter \(id.index): \(error)")
    }
    for threads in [1, 3] {
      let again = try step(model, images, .bfloat16, threads: threads)
      #expect(again.logits == rounded.logits && again.gradients == rounded.gradients, "\(name), \(threads) threads")
    }
    let kept = try step(model, images, .bfloat16, recomputation: .never)
    #expect(kept.logits == rounded.logits && kept.gradients == rounded.gradients, "\(name), nothing computed again")
  }

  @Test func convolutionsAreAsBefore() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 32)
    let images = Fixtures.images(3, model)
    let (single, rounded) = (try step(model, images, .single), try step(model, images, .bfloat16))
    #expect(single.logits == rounded.logits && single.gradients == rounded.gradients)
  }

  @Test func plansSayIt() throws {
    let model = try Fixtures.model("vit-tiny-patch16-224", inputSize: 64)
    func count(_ precision: Precision) throws -> Int {
      let summary = try Program(model.graph).summary(
        ForwardOptions(), differentiating: try model.graph.resolve(.normAffine), images: 4, lowering: .fast, precision: precision)
      let steps = (summary.forward + summary.backward).joined(separator: "; ").components(separatedBy: "; ")
      return steps.count { $0.contains("bfloat16 linear") }
    }
    // Four layers a block, in both directions.
    #expect(try count(.single) == 0 && (try count(.bfloat16)) >= 2 * 4 * 12 - 1)
  }
}
