// What a steady-state step allocates: the small tensors it hands out and nothing that grows with the network's activations.

import CAllocationCounter
import Engine
import TTA
import Testing

@Suite struct AllocationTests {
  /// Bytes that one step of a warm stream allocates on the calling thread.
  private func bytesPerStep(_ strategy: any AdaptationStrategy, _ model: Model, batch: Int, lowering: Lowering, mostPartBytes: Int? = nil)
    throws -> Int
  {
    let executor = Executor(threads: 1, lowering: lowering)
    if let mostPartBytes { executor.mostPartBytes = mostPartBytes }
    var stream = try AdaptationRuntime(model, strategy)
    let images = Batch(Fixtures.images(batch, model))
    for _ in 0..<3 { _ = try stream.process(images, on: executor) }
    let before = allocated_bytes()
    for _ in 0..<4 { _ = try stream.process(images, on: executor) }
    return (Int(allocated_bytes()) - Int(before)) / 4
  }

  @Test func aStepAllocatesOnlyWhatItHandsOut() throws {
    let model = try Fixtures.model()
    for strategy in [Source() as any AdaptationStrategy, BatchNormAdaptation(), Tent()] {
      let small = try bytesPerStep(strategy, model, batch: 4, lowering: .fast)
      let large = try bytesPerStep(strategy, model, batch: 36, lowering: .fast)
      // 32 more images: rows of 10 logits in a few tensors and arrays. One image's activations take 1.5 MB.
      let perImage = Double(large - small) / 32
      #expect(perImage < 1_200, "\(type(of: strategy)): \(perImage) bytes per image")
      #expect(small < 150_000, "\(type(of: strategy)): \(small) bytes per step")
    }
  }

  /// Gradients of all weights take the memory of those of the step before.
  @Test func aStepOverAllWeightsAllocatesNoGradients() throws {
    let model = try Fixtures.model()
    var strategy = Tent()
    strategy.learner.selection = .all
    let bytes = try bytesPerStep(strategy, model, batch: 4, lowering: .fast)
    let weights = model.graph.parameters.reduce(0) { $0 + $1.shape.elementCount * 4 }
    #expect(bytes < weights / 4, "\(bytes) bytes per step, \(weights) of weights")
  }

  /// In parts: the rows of each part, and the same joined.
  @Test func partsAllocateOnlyWhatTheyHandOut() throws {
    let model = try Fixtures.model("vit-post-norm-cifar")
    let small = try bytesPerStep(Tent(), model, batch: 4, lowering: .fast, mostPartBytes: 1)
    let large = try bytesPerStep(Tent(), model, batch: 36, lowering: .fast, mostPartBytes: 1)
    #expect(Double(large - small) / 32 < 30_000, "\(small) and \(large) bytes per step")
  }

  @Test func memoryStaysFlat() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let executor = Executor(threads: 1)
    var stream = try AdaptationRuntime(model, Tent())
    let images = Batch(Fixtures.images(4, model))
    for _ in 0..<50 { _ = try stream.process(images, on: executor) }
    let (arena, before) = (executor.arenaBytes, live_bytes())
    for _ in 0..<1_000 { _ = try stream.process(images, on: executor) }
    #expect(executor.arenaBytes == arena)
    // One step hands out about 30 kB.
    #expect(abs(live_bytes() - before) < 10_000, "\(live_bytes() - before) bytes more after 1,000 steps")
  }
}
