// Training small source models from scratch.

public import Engine
import ModelIO
public import Streams
public import Vision

/// How a source model is trained.
public struct TrainingRecipe: Codable, Hashable, Sendable {
  /// Steps, images per step, largest learning rate.
  public var steps = 3_500, batchSize = 64, learningRate: Float = 0.05
  /// Steps in which the learning rate rises from 0.
  public var warmUpSteps = 200
  /// Of SGD.
  public var momentum: Float = 0.9, weightDecay: Float = 1e-4
  /// Share of each batch in the running statistics.
  public var statisticsMomentum: Float = 0.1
  /// Of weights and data.
  public var seed: UInt64 = 0
  /// Whether each round takes the pictures in a new random order: what a data set needs that is sorted, by class for example.
  public var shuffles = false
  /// Whether pictures are shifted by up to an eighth of their side and mirrored in half of the cases.
  public var augments = false
  /// The recipe of the built-in model: SGD with momentum 0.9, cosine schedule with warm-up, no augmentation.
  public init() {}
  /// The learning rate of a step: linear warm-up times half a cosine.
  public func learningRate(at step: Int) -> Float {
    let warmUp = min(1, Float(step + 1) / Float(max(1, warmUpSteps)))
    return learningRate * warmUp * (1 + cosine(Float.pi * Float(step) / Float(steps))) / 2
  }
}

/// Trains a classifier on labelled images: cross entropy, SGD with momentum, running statistics of batch norm layers tracked.
///
/// A network with a rotation head learns both tasks jointly: to the loss of a batch comes the cross entropy of the head on the same images, each rotated by a
/// random number of quarter turns (Sun et al., "Test-Time Training", ICML 2020, equation 1).
public struct Trainer {
  /// Where training is.
  public struct Progress: Sendable {
    /// Steps done, and all of them.
    public let step: Int, steps: Int
    /// Mean loss since the last report.
    public let loss: Float
  }
  private let graph: Graph
  private let program: Program
  private let recipe: TrainingRecipe
  private let executor: Executor
  private let head: Tap?
  private(set) var parameters: Parameters
  /// The order of the pictures in a round, and which round that is.
  private var order: (round: Int, places: [Int]) = (-1, [])

  /// A trainer with fresh weights.
  public init(_ graph: Graph, recipe: TrainingRecipe, executor: Executor) throws(TTAError) {
    (self.graph, self.recipe, self.executor) = (graph, recipe, executor)
    program = Program(graph)
    head = RotationHead.find(in: graph)?.scores
    parameters = try RandomWeights.model(graph, seed: recipe.seed).parameters
  }

  /// Runs all steps over the data set, each image once per round, in order or shuffled; reports every `reportEvery` steps.
  public mutating func train(
    on images: any LabeledImages, preprocessing: Preprocessing, reportEvery: Int = 50, _ report: (Progress) -> Void
  ) throws -> Model {
    guard images.count > 0 else { throw TTAError(.invalidData, "the training set is empty", hint: "name a data set with labelled images") }
    let set = try graph.resolve(head == nil ? .all : .all || .role(RotationHead.role))
    var turns = RandomSource(seed: recipe.seed).stream(1)
    var views = RandomSource(seed: recipe.seed).stream(2)
    var optimizer = SGD(learningRate: 0, momentum: recipe.momentum, weightDecay: recipe.weightDecay)
    var (sum, count) = (0.0, 0)
    for step in 0..<recipe.steps {
      var (batch, labels) = try load(images, preprocessing, at: step)
      if recipe.augments { batch = CropAndFlip().view(0, of: batch, using: &views, on: executor) }
      var gradients = Gradients()
      var moments: [NormMoments] = []
      var loss = try learn(.logits, batch, labels, set, &gradients, &moments)
      if let head {
        let numbers = labels.map { _ in Int.random(in: 0..<RotationHead.turns, using: &turns) }
        loss += try learn(head, batch.turned(by: numbers), numbers, set, &gradients, &moments)
      }
      guard loss.isFinite else {
        throw TTAError(.nonFinite, "training: the loss of step \(step) is not finite", hint: "lower the learning rate")
      }
      optimizer.learningRate = recipe.learningRate(at: step)
      optimizer.step(&parameters, gradients, rates: RateScales())
      for each in moments { parameters.track(each, momentum: recipe.statisticsMomentum) }
      (sum, count) = (sum + Double(loss), count + 1)
      if (step + 1) % reportEvery == 0 || step + 1 == recipe.steps {
        report(Progress(step: step + 1, steps: recipe.steps, loss: Float(sum / Double(count))))
        (sum, count) = (0, 0)
      }
    }
    return try Model(graph: graph, parameters: parameters)
  }

  /// Forward and backward of one task: the loss, its gradients added to others, the statistics that it saw.
  private func learn(
    _ scores: Tap, _ images: Tensor, _ labels: [Int], _ set: ParameterSet, _ gradients: inout Gradients, _ moments: inout [NormMoments]
  ) throws -> Float {
    var options = ForwardOptions().with(.batch)
    (options.reportsMoments, options.scores) = (true, scores)
    let pass = try executor.record(images, program, at: parameters, differentiating: set, options)
    moments.append(pass.output.moments)
    let (loss, gradient) = crossEntropy(pass.output.logits, labels: labels)
    guard loss.isFinite else { return loss }
    try executor.backpropagate(pass, from: OutputGradient([scores: gradient]), into: &gradients)
    return loss
  }
  /// Which picture comes at a place of the whole run.
  private mutating func place(_ number: Int, of count: Int) -> Int {
    guard recipe.shuffles else { return number % count }
    if order.round != number / count {
      var random = RandomSource(seed: recipe.seed).stream(3 + UInt64(number / count))
      order = (number / count, Array(0..<count).shuffled(using: &random))
    }
    return order.places[number % count]
  }
  private mutating func load(_ images: any LabeledImages, _ preprocessing: Preprocessing, at step: Int) throws -> (Tensor, [Int]) {
    var (pictures, labels): ([Image], [Int]) = ([], [])
    for i in 0..<recipe.batchSize {
      let index = place(step * recipe.batchSize + i, of: images.count)
      guard let label = images.label(at: index), label >= 0, label < graph.classCount else {
        throw TTAError(
          .invalidData,
          "\(images.name(at: index)): expected a label from 0 to \(graph.classCount - 1), got \(images.label(at: index).map(String.init) ?? "none")",
          hint: "give every training image a label")
      }
      pictures.append(try preprocessing.apply(to: images.image(at: index), name: images.name(at: index)))
      labels.append(label)
    }
    return (ImageBatch.tensor(of: pictures), labels)
  }
}
