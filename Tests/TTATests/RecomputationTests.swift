// What the backward computes again is the same bits as what the forward would have kept; so is what runs a few images at a time.

import Engine
import Foundation
import ModelIO
import TTA
import TTATestKit
import Testing

@Suite(.serialized) struct RecomputationTests {
  private func step(
    _ model: Model, _ images: Tensor, _ set: ParameterSet, _ recomputation: Recomputation, threads: Int = 2, lowering: Lowering = .fast
  ) throws -> Fixtures.Gradient {
    try Fixtures.gradient(model, images, set, Executor(threads: threads, lowering: lowering, recomputation: recomputation))
  }
  private func summary(_ model: Model, _ set: ParameterSet, _ recomputation: Recomputation, images: Int) throws -> PlanSummary {
    try Program(model.graph).summary(
      ForwardOptions(), at: model.parameters, differentiating: set, images: images, lowering: .fast, recomputation: recomputation)
  }

  /// Post-norm blocks with a ReLU, and pre-norm blocks with GELU; norms' parameters and all weights.
  @Test(arguments: [("vit-post-norm-cifar", 32), ("vit-tiny-patch16-224", 64)], [ParameterSelection.normAffine, .all])
  func sameBits(_ network: (name: String, size: Int), _ selection: ParameterSelection) throws {
    let model = try Fixtures.model(network.name, inputSize: network.size)
    let images = Fixtures.images(5, model)
    let set = try model.graph.resolve(selection)
    let kept = try step(model, images, set, .never)
    for recomputation in [Recomputation.automatic, .always] {
      for threads in [1, 2, 3] {
        let again = try step(model, images, set, recomputation, threads: threads)
        #expect(again.logits == kept.logits && again.gradients == kept.gradients, "\(network) \(recomputation), \(threads) threads")
      }
    }
    expect(kept, isNear: try step(model, images, set, .never, lowering: .reference))
  }
  private func expect(_ fused: Fixtures.Gradient, isNear readable: Fixtures.Gradient) {
    #expect(largestDifference(readable.logits, fused.logits) < 1e-3)
    #expect(Set(readable.gradients.keys) == Set(fused.gradients.keys))
    for (id, gradient) in readable.gradients {
      let size = gradient.values.reduce(1e-3) { max($0, abs($1)) }
      #expect(fused.gradients[id].map { largestDifference($0, gradient) < 2e-3 * size } == true)
    }
  }

  /// Bottlenecks, inverted bottlenecks with squeeze and excitation, basic blocks, pre-activation, norms over groups; norms' parameters and all weights.
  @Test(arguments: [
    ("resnet50", 64), ("mobilenet-v2", 64), ("efficientnet-b0", 64), ("cifar-resnet20", 32), ("resnet18", 64), ("wide-resnet-40-2", 32),
    ("resnet50-gn", 64),
  ])
  func sameBitsOfConvolutions(_ name: String, _ size: Int) throws {
    let model = try Fixtures.model(name, inputSize: size)
    let images = Fixtures.images(3, model)
    for selection in [ParameterSelection.normAffine, .all] {
      let set = try model.graph.resolve(selection)
      for lowering in [Lowering.fast, .exact] {
        let kept = try step(model, images, set, .never, lowering: lowering)
        for recomputation in [Recomputation.automatic, .always] {
          let again = try step(model, images, set, recomputation, threads: 3, lowering: lowering)
          #expect(again.logits == kept.logits && again.gradients == kept.gradients, "\(name) \(selection) \(lowering) \(recomputation)")
        }
      }
    }
  }
  /// Parts of the arena without computing again that are left, at most: automatically, and where memory is all that matters.
  @Test(arguments: [
    ("resnet50", 32, 0.45, 0.4), ("mobilenet-v2", 32, 0.6, 0.55), ("efficientnet-b0", 32, 0.55, 0.5), ("resnet18", 32, 0.6, 0.55),
    ("wide-resnet-28-10", 32, 0.75, 0.65), ("wide-resnet-40-2", 200, 1, 0.65), ("cifar-resnet20", 100, 1, 0.65),
  ])
  func memoryOfConvolutions(_ name: String, _ images: Int, _ automatic: Double, _ always: Double) throws {
    let model = try Fixtures.model(name)
    let set = try model.graph.resolve(.normAffine)
    let never = try summary(model, set, .never, images: images)
    for (recomputation, most) in [(Recomputation.automatic, automatic), (.always, always)] {
      let bytes = try summary(model, set, recomputation, images: images).arenaBytes
      #expect(Double(bytes) <= most * Double(never.arenaBytes), "\(name) \(recomputation): \(bytes) of \(never.arenaBytes) bytes")
    }
  }

  /// Where many tiles go through a layer its weights are packed for each run instead of being kept: to the same bits, in less memory.
  @Test func weightsPackedForEachRun() throws {
    let model = try Fixtures.model("resnet18", inputSize: 96)
    let images = Fixtures.images(60, model)
    let whole = try Executor(threads: 2).forward(images, Program(model.graph), at: model.parameters, ForwardOptions()).logits
    let (executor, program) = (Executor(threads: 2), Program(model.graph))
    for first in stride(from: 0, to: 60, by: 20) {
      let part = Array(first..<first + 20)
      #expect(try executor.forward(images[part], program, at: model.parameters, ForwardOptions()).logits == whole[part])
    }
    let set = try model.graph.resolve(.normAffine)
    let (few, many) = (try summary(model, set, .never, images: 20).packedBytes, try summary(model, set, .never, images: 60).packedBytes)
    // Three 3×3 convolutions of 128 channels, in both directions.
    #expect(few - many == 2 * 3 * 36 * 128 * 128 * 4)
  }

  /// One image has a plan with other algorithms: its answer is the same bits whatever ran before, and near what it gets among others.
  @Test func oneImageDoesNotDependOnHistory() throws {
    let model = try Fixtures.model("resnet18", inputSize: 224)
    let images = Fixtures.images(2, model)
    let (executor, program) = (Executor(threads: 2), Program(model.graph))
    func answer(_ images: Tensor) throws -> Tensor { try executor.forward(images, program, at: model.parameters, ForwardOptions()).logits }
    let before = try answer(images[[0]])
    let both = try answer(images)
    #expect(try answer(images[[0]]) == before)
    #expect(before != both[[0]] && largestDifference(before, both[[0]]) < 1e-3)
  }

  @Test func whatIsComputedAgain() throws {
    let model = try Fixtures.model("vit-tiny-patch16-224", inputSize: 224)
    let set = try model.graph.resolve(.normAffine)
    let (never, some, all) = (
      try summary(model, set, .never, images: 4), try summary(model, set, .automatic, images: 4),
      try summary(model, set, .always, images: 4)
    )
    func count(_ summary: PlanSummary, _ layer: String) -> Int {
      let steps = summary.backward.joined(separator: "; ").components(separatedBy: "; ")
      return steps.count { $0.contains(layer) && $0.contains("linear, computed again") }
    }
    #expect(count(never, "") == 0 && count(some, ".mlp.fc1") == 11 && count(all, ".mlp.fc1") == 11)
    #expect((1..<12).contains(count(some, ".attn.qkv")) && count(all, ".attn.qkv") == 12)
    #expect(all.arenaBytes < some.arenaBytes && Double(some.arenaBytes) < 0.75 * Double(never.arenaBytes))
  }
  /// Weights that learn need their inputs: results of norms and activations, a pass each, are always computed again for them, wide layers where that is wanted.
  @Test func whatIsComputedAgainForWeights() throws {
    let model = try Fixtures.model("vit-tiny-patch16-224", inputSize: 224)
    let set = try model.graph.resolve(.all)
    let (never, some) = (try summary(model, set, .never, images: 16), try summary(model, set, .automatic, images: 16))
    func again(_ summary: PlanSummary) -> [String] {
      summary.backward.joined(separator: "; ").components(separatedBy: "; ").filter { $0.contains("computed again") }
    }
    // The last block's perceptron sees one token.
    let parts = [".norm1: layer norm": 12, ".norm2: layer norm": 12, ".mlp.fc1: linear": 11, ".act: activation": 12]
    for (layer, times) in parts {
      #expect(again(some).count { $0.contains(layer) } == times, "\(layer)")
      #expect(again(never).count { $0.contains(layer) } == (layer.hasSuffix("linear") ? 0 : times), "\(layer)")
    }
    #expect(again(some).count > again(never).count && some.arenaBytes < never.arenaBytes)
  }
  /// A gradient leaves the arena as soon as it is complete: there is room for the largest of them, not for all.
  @Test func gradientsLeaveTheArena() throws {
    let model = try Fixtures.model("vit-tiny-patch16-224", inputSize: 32)
    let set = try model.graph.resolve(.all)
    let gradients = set.ids.reduce(0) { $0 + model.graph.parameters[$1.index].shape.elementCount * 4 }
    #expect(try summary(model, set, .automatic, images: 1).arenaBytes < gradients / 4)
  }

  /// More images than go through a group of steps at a time.
  @Test func partsOfABatch() throws {
    let model = try Fixtures.model("vit-post-norm-cifar", inputSize: 32)
    let images = Fixtures.images(270, model)
    let set = try model.graph.resolve(.normAffine)
    #expect(try summary(model, set, .automatic, images: 270).forward.contains { $0.contains("; ") })
    let kept = try step(model, images, set, .never)
    let again = try step(model, images, set, .always, threads: 1)
    #expect(again.logits == kept.logits && again.gradients == kept.gradients)
    let few = try step(model, images[[0, 1, 268, 269]], set, .automatic)
    #expect(few.logits == kept.logits[[0, 1, 268, 269]])
    expect(kept, isNear: try step(model, images, set, .automatic, lowering: .reference))
  }
}
