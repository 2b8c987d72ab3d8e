// The shipped weights do what the demo shows. Exact numbers stay out: the weights may be trained again.

import CBuiltinModel
import Engine
import Evaluation
import ModelIO
import Safetensors
import Streams
import Synchronization
import TTA
import Testing
import Vision

@Suite struct BuiltinModelTests {
  private func model() throws -> LoadedModel {
    let bytes = UnsafeRawBufferPointer(start: builtin_model_bytes(), count: builtin_model_byte_count())
    return try ModelLoader.load(SafetensorsFile(bytes: bytes, name: "shapes"))
  }
  private func error(_ strategy: any AdaptationStrategy, _ model: Model, _ stream: DomainStream) throws -> Double {
    var runtime = try AdaptationRuntime(model, strategy)
    let executor = Executor()
    var (errors, images) = (0, 0)
    for index in 0..<stream.count {
      let batch = try stream.batch(at: index)
      let labels = try runtime.process(Batch(batch.images), on: executor).labels
      errors += zip(labels, batch.labels).count { $0 != $1 }
      images += batch.count
    }
    return 100 * Double(errors) / Double(images)
  }

  @Test func cleanPicturesAndCorruptedOnes() throws {
    let loaded = try model()
    #expect(loaded.description.classes == ShapesDataset.classes && loaded.architecture == "cifar-resnet14")
    let pictures = try ImageRange(ShapesDataset.test, 0..<1_000)
    let clean = try DomainStream(pictures, domains: [.clean], batchSize: 100)
    #expect(try error(Source(), loaded.model, clean) < 3)
    let domains = CorruptionKind.all.map { Domain($0.name, severity: 5) }
    let corrupted = try DomainStream(pictures, domains: domains, batchSize: 100)
    let (source, norm, tent) = (
      try error(Source(), loaded.model, corrupted), try error(BatchNormAdaptation(), loaded.model, corrupted),
      try error(Tent(), loaded.model, corrupted)
    )
    #expect((25.0...60).contains(source), "source \(source) %")
    #expect(norm < 0.75 * source, "source \(source) %, batch norm \(norm) %")
    #expect(tent < norm, "batch norm \(norm) %, TENT \(tent) %")
  }
  @Test func theFileSaysHowItWasMade() throws {
    let bytes = UnsafeRawBufferPointer(start: builtin_model_bytes(), count: builtin_model_byte_count())
    let metadata = try SafetensorsFile(bytes: bytes, name: "shapes").metadata
    #expect(metadata["tta.dataset"] == "shapes" && metadata["tta.version"] != nil)
    #expect(metadata["tta.recipe"]?.contains("\"steps\":3500") == true)
  }
}

@Suite struct TrainerTests {
  @Test func theScheduleWarmsUpAndEndsNearZero() {
    var recipe = TrainingRecipe()
    (recipe.steps, recipe.warmUpSteps, recipe.learningRate) = (1_000, 100, 0.1)
    #expect(abs(recipe.learningRate(at: 0) - 0.001) < 1e-6)
    #expect(recipe.learningRate(at: 99) > 0.09 && recipe.learningRate(at: 999) < 1e-4)
  }
  @Test func crossEntropyOfKnownRows() {
    let logits = Tensor([2, 1, 0, 0, 0, 0], shape: [2, 3])
    let (loss, gradient) = crossEntropy(logits, labels: [0, 2])
    #expect(abs(loss - (0.407606 + 1.098612) / 2) < 1e-5)
    for (got, expected) in zip(gradient.values, [-0.167380, 0.122364, 0.045016, 0.166667, 0.166667, -0.333333] as [Float]) {
      #expect(abs(got - expected) < 1e-5)
    }
  }
  /// Pictures that note in which order they are asked for.
  private final class WatchedImages: LabeledImages {
    let base: ImageRange
    let asked = Mutex<[Int]>([])
    init() throws { base = try ImageRange(ShapesDataset.training(seed: 0), 0..<8) }
    var count: Int { base.count }
    func image(at index: Int) throws(TTAError) -> Image {
      asked.withLock { $0.append(index) }
      return try base.image(at: index)
    }
    func label(at index: Int) -> Int? { base.label(at: index) }
    func name(at index: Int) -> String { base.name(at: index) }
  }
  /// A folder holds one class after the other: taken in that order, a batch would be of one class.
  @Test func eachRoundIsShuffled() throws {
    let graph = try Architecture.named("cifar-resnet14").graph(
      .init(classes: 10, inputSize: 32, mean: [0.5, 0.5, 0.5], deviation: [0.25, 0.25, 0.25]))
    func rounds(shuffles: Bool, seed: UInt64) throws -> [[Int]] {
      var recipe = TrainingRecipe()
      (recipe.steps, recipe.batchSize, recipe.shuffles, recipe.augments, recipe.seed) = (6, 4, shuffles, shuffles, seed)
      let images = try WatchedImages()
      var trainer = try Trainer(graph, recipe: recipe, executor: Executor())
      _ = try trainer.train(on: images, preprocessing: .exactly(32)) { _ in }
      return images.asked.withLock { asked in stride(from: 0, to: asked.count, by: 8).map { Array(asked[$0..<$0 + 8]) } }
    }
    #expect(try rounds(shuffles: false, seed: 0) == Array(repeating: Array(0..<8), count: 3))
    let shuffled = try rounds(shuffles: true, seed: 0)
    #expect(shuffled.count == 3 && shuffled.allSatisfy { $0.sorted() == Array(0..<8) } && Set(shuffled + [Array(0..<8)]).count == 4)
    #expect(try rounds(shuffles: true, seed: 0) == shuffled)
    #expect(try rounds(shuffles: true, seed: 1) != shuffled)
  }
  @Test func aFewStepsLowerTheLoss() throws {
    let graph = try Architecture.named("cifar-resnet14").graph(
      .init(classes: 10, inputSize: 32, mean: [0.5, 0.5, 0.5], deviation: [0.25, 0.25, 0.25]))
    var recipe = TrainingRecipe()
    (recipe.steps, recipe.warmUpSteps, recipe.batchSize) = (40, 5, 16)
    var losses: [Float] = []
    var trainer = try Trainer(graph, recipe: recipe, executor: Executor())
    // The same 32 pictures over and over: a network that learns remembers them.
    let trained = try trainer.train(on: ImageRange(ShapesDataset.training(seed: 0), 0..<32), preprocessing: .exactly(32), reportEvery: 10) {
      losses.append($0.loss)
    }
    #expect(losses.count == 4 && losses[3] < 0.8 * losses[0], "\(losses)")
    #expect(trained.parameters != (try RandomWeights.model(graph, seed: recipe.seed)).parameters)
  }
}
