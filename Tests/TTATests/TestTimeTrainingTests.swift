// Test-time training: turns, the head, one step worked out by differences.

import Engine
import Foundation
import ModelIO
import TTA
import TTATestKit
import Testing
import Vision

@Suite struct TestTimeTrainingTests {
  private let executor = Executor(threads: 1, lowering: .exact)
  private func model(_ architecture: String = "cifar-resnet14", inputSize: Int = 8) throws -> Model {
    try RandomWeights.addRotationHead(to: Fixtures.model(architecture, inputSize: inputSize), seed: 4)
  }

  @Test func quarterTurnsByHand() {
    let image = Tensor([1, 2, 3, 4], shape: [1, 1, 2, 2])
    #expect(image.turned(by: [0]).values == [1, 2, 3, 4])
    #expect(image.turned(by: [1]).values == [2, 4, 1, 3])
    #expect(image.turned(by: [2]).values == [4, 3, 2, 1])
    #expect(image.turned(by: [3]).values == [3, 1, 4, 2])
    var random = RandomSource(seed: 1)
    let images = random.normals([4, 3, 5, 5], deviation: 1)
    let turns = [0, 1, 2, 3]
    #expect(images.turned(by: turns).turned(by: turns.map { (4 - $0) % 4 }) == images)
  }
  @Test func cropsAndMirrorImagesMoveThePicture() {
    let values = (0..<64).map { Float($0 + 1) }
    let image = Tensor(values, shape: [1, 1, 8, 8])
    var random = RandomSource(seed: 3)
    var seen: Set<[Float]> = []
    for _ in 0..<60 {
      let view = CropAndFlip().view(0, of: image, using: &random, on: executor).values
      seen.insert(view)
      // At most a row and a column go black; nothing but pixels of the picture comes in.
      #expect(view.filter { $0 == 0 }.count <= 15 && view.allSatisfy { $0 == 0 || values.contains($0) })
    }
    // Three shifts down, three to the right, mirrored or not.
    #expect(seen.count == 18)
  }

  @Test func theHeadSharesAllStagesButTheLast() throws {
    let plain = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let headed = try model()
    let head = try #require(RotationHead.find(in: headed.graph))
    #expect(head.scores == "rotation_head.fc" && head.split.hasPrefix("layer3.0."))
    #expect(RotationHead.find(in: plain.graph) == nil)
    let own = headed.graph.parameters.filter { $0.role == RotationHead.role }
    let copied = plain.graph.parameters.filter { $0.name.hasPrefix("layer3.") || $0.name.hasPrefix("fc.") }
    #expect(own.map(\.name) == copied.map { RotationHead.prefix + $0.name })
    #expect(headed.graph.parameter(named: "rotation_head.fc.weight")?.shape == [4, 64])
    // The classifier does not notice.
    let batch = Fixtures.batches(1, of: 3, plain)[0]
    for strategy in [Source(), Tent()] as [any AdaptationStrategy] {
      var (one, other) = (try AdaptationRuntime(plain, strategy), try AdaptationRuntime(headed, strategy))
      for _ in 0..<2 { #expect(try one.process(batch, on: executor).scores.tensor == other.process(batch, on: executor).scores.tensor) }
      #expect(one.adapted == other.adapted)
    }
    for name in ["vit-post-norm-cifar", "mobilenet-v1-025"] {
      let graph = try Architecture.named(name).graph(.init(classes: 10, inputSize: 32))
      #expect {
        _ = try RotationHead.add(to: graph)
      } throws: { error in
        (error as? TTAError)?.message == "rotation head: the network has no stages layer1, layer2 … that the head could share"
      }
    }
  }
  @Test(arguments: ["resnet26", "resnet18", "wide-resnet-40-2"]) func familiesWithStagesGetAHead(_ name: String) throws {
    let graph = try RotationHead.add(to: Architecture.named(name).graph(.init(classes: 10, inputSize: 32)))
    let split = try #require(RotationHead.find(in: graph)?.split)
    #expect(split.hasPrefix(name == "resnet18" ? "layer4." : name == "resnet26" ? "layer3." : "block3."))
  }
  @Test func filesKeepTheHeadAndTheNorm() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("tta-\(UUID().uuidString).safetensors").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let graph = try RotationHead.add(
      to: Architecture.named("cifar-resnet14").graph(.init(classes: 10, inputSize: 8, mean: [0, 0, 0], deviation: [1, 1, 1]))
        .withInstanceAwareNorms())
    let model = try RandomWeights.model(graph, seed: 2)
    var description = ModelDescription()
    (description.architecture, description.mean, description.deviation) = ("cifar-resnet14", [0, 0, 0], [1, 1, 1])
    (description.inputSize, description.norm) = (8, .instanceAware)
    try ModelLoader.save(model, description: description, to: path)
    let loaded = try ModelLoader.load(path: path)
    #expect(loaded.model.parameters == model.parameters && loaded.description.norm == .instanceAware)
    #expect(RotationHead.find(in: loaded.model.graph)?.scores == "rotation_head.fc")
    #expect(loaded.model.graph.nodes.contains { $0.operation is InstanceAwareBatchNorm })
    #expect(!loaded.model.graph.nodes.contains { $0.operation is BatchNorm })
    let images = Batch(Fixtures.images(3, model))
    var (one, other) = (try AdaptationRuntime(model, Source()), try AdaptationRuntime(loaded.model, Source()))
    #expect(try one.process(images, on: executor).scores.tensor == other.process(images, on: executor).scores.tensor)
    #expect {
      _ = try ModelDescription(metadata: ["tta.norm": "odd"], path: "m.safetensors")
    } throws: { error in
      (error as? TTAError)?.message == "m.safetensors: metadata tta.norm: expected instance-aware, got odd"
    }
  }

  /// One step of plain SGD moves every parameter by the numeric derivative of the head's mean cross entropy.
  @Test(arguments: ["cifar-resnet14", "resnet26"]) func oneStepFollowsTheDerivative(_ architecture: String) throws {
    let model = try model(architecture, inputSize: architecture == "resnet26" ? 16 : 8)
    var options = TTT.Options()
    options.update = UpdateOptions(.sgd, learningRate: 0.5, momentum: 0, parameters: "all")
    options.views = 3
    let batch = Batch(Fixtures.images(2, model))
    var stream = try AdaptationRuntime(model, TTT(options, augmentation: NoAugmentation()), seed: 7)
    let reported = try #require(try stream.process(batch, on: executor).loss)
    // The same draws again.
    var random = RandomSource(seed: 7)
    let turns = (0..<2).map { _ in (0..<3).map { _ in Int.random(in: 0..<4, using: &random) } }
    var forward = ForwardOptions().with(.batch)
    forward.scores = "rotation_head.fc"
    let program = Program(model.graph)
    func loss(_ parameters: Parameters) throws -> Double {
      var sum = 0.0
      for (row, turns) in turns.enumerated() {
        let views = Array(repeating: batch.images[[row]], count: 3).joined().turned(by: turns)
        let logits = try executor.forward(views, program, at: parameters, forward).logits
        #expect(logits.shape == [3, 4])
        sum += LossFunctions.crossEntropy(logits, pseudoLabels: turns).values.reduce(0) { $0 + Double($1) }
      }
      return sum / 6
    }
    #expect(abs(try loss(model.parameters) - Double(reported)) < 1e-5)
    for name in ["conv1.weight", "layer2.1.bn1.weight", "rotation_head.layer3.1.conv2.weight", "rotation_head.fc.bias"] {
      try Fixtures.expectStep(from: model, to: stream, of: name, rate: 0.5, step: 1e-3, tolerance: 0.03, loss: loss)
    }
    // The classifier's own stage is not touched, and neither are running statistics.
    for info in model.graph.parameters where info.name.hasPrefix("layer3.") || info.name.hasPrefix("fc.") || info.role == .runningMean {
      #expect(stream.state.parameters[info.id] == model.parameters[info.id], "\(info.name)")
      #expect(!stream.adapted.contains(info.id), "\(info.name)")
    }
  }
  @Test func certainImagesAreLeftAlone() throws {
    let model = try model()
    var options = TTT.Options()
    options.views = 2
    func run(_ threshold: Float) throws -> (weights: [Float]?, unchanged: Bool) {
      options.threshold = threshold
      var stream = try AdaptationRuntime(model, TTT(options))
      let prediction = try stream.process(Batch(Fixtures.images(4, model)), on: executor)
      return (prediction.weights, stream.state.parameters == model.parameters)
    }
    let (none, all) = (try run(0), try run(1))
    #expect(none.weights == [0, 0, 0, 0] && none.unchanged)
    #expect(all.weights == [1, 1, 1, 1] && !all.unchanged)
    // A threshold between the probabilities of two images separates them.
    var forward = ForwardOptions()
    forward.scores = "rotation_head.fc"
    let upright = try executor.forward(Fixtures.images(4, model), Program(model.graph), at: model.parameters, forward).probabilities.values
      .enumerated().filter { $0.offset % 4 == 0 }.map(\.element)
    let sorted = upright.sorted()
    let middle = (sorted[1] + sorted[2]) / 2 - 0.001
    #expect(try run(middle).weights == upright.map { $0 < middle + 0.001 ? 1 : 0 })
  }
  @Test func whatIsMissingIsNamed() throws {
    let plain = try Fixtures.model("cifar-resnet14", inputSize: 8)
    #expect {
      _ = try AdaptationRuntime(plain, TTT())
    } throws: { error in
      (error as? TTAError)?.message == "ttt: the model has no rotation head"
        && (error as? TTAError)?.hint
          == "train the source with its head: tta train --rotation-head; or use a strategy that needs none, such as tent"
    }
    #expect {
      _ = try Registry.builtIn.compose(.keys(["name": .text("ttt"), "filter": .text("diversity")]))
    } throws: { error in
      (error as? TTAError)?.message == "ttt: no filter can judge what it learns from"
    }
    #expect {
      _ = try Registry.builtIn.compose(.keys(["name": .text("ttt"), "threshold": .number(2)]))
    } throws: { error in
      (error as? TTAError)?.message == "threshold: expected a number from 0 to 1, got 2.0"
    }
  }
}
