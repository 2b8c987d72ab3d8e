// Test-time training: learning from the task of telling how an image was rotated.

public import Engine
public import Vision

/// For each image of a batch, random crops and mirror images, each rotated by a random number of quarter turns; one step on the cross entropy of the rotation
/// head moves the shared stages and the head; the classifier answers afterwards.
///
/// Sun et al., "Test-Time Training with Self-Supervision for Generalization under Distribution Shifts", ICML 2020, in the online form of TTAB (Zhao et al.,
/// ICML 2023): 32 views per image, the mean of all images' losses, one step per batch, no reset unless `reset` says so. The views of an image are a batch
/// of their own for batch norm layers; the answer uses stored statistics. Only images whose rotation the head is unsure about are learnt from: those whose
/// upright probability is below `threshold` + 0.001 (1 takes all and saves the forward). Deviation: running statistics, which training mode moves in that
/// code, stay. The source model is trained with its head by `tta train --rotation-head`.
public struct TTT: GradientStrategy {
  /// Learning rate, views, threshold.
  public struct Options: ComponentOptions {
    /// SGD over the shared stages and the head.
    public var update = UpdateOptions(.sgd, learningRate: 1e-3, nesterov: true, parameters: "all")
    /// Rotated views of each image.
    public var views = 32
    /// Probability of the upright turn below which an image is learnt from.
    public var threshold: Float = 1
    /// TTAB's.
    public init() {}
    private static var paper: Options {
      var options = Options()
      (options.update.momentum, options.update.nesterov) = (0, false)
      return options
    }
    /// `code` is TTAB's; `paper` takes steps of plain SGD.
    public static let presets = ["code": Options(), "paper": paper]
    /// For `tta list`.
    public static let meanings = [
      "views": "rotated views of each image", "threshold": "probability of being upright below which an image is learnt from; 1 for all",
    ]
    /// At least one view, a threshold from 0 to 1.
    public func validate() throws {
      try update.validate()
      try requireCount(views, "views")
      try requireShare(threshold, "threshold")
    }
  }
  static let summary = Summary(
    "telling how images were rotated, with a head trained for it", paper: "Sun et al., ICML 2020; TTAB's online form",
    updates: "the stages that the head shares, and the head", forwards: "32 per image + 1", backwards: "32 per image",
    needs: ["a source trained with its rotation head (tta train --rotation-head)", "square images"])
  /// The method is its objective.
  public static let exchangesObjective = false
  /// What is learnt from are rotations, not predictions.
  public static let acceptsFilters = false

  /// The cross entropy of the turns, over the shared stages and the head.
  public var learner: Learner
  /// Where views come from, before they are rotated.
  @Slot public var augmentation: any Augmentation
  let options: Options
  private var scores = Tap.logits

  /// TTT with the given options.
  public init(_ options: Options = Options(), augmentation: any Augmentation = CropAndFlip()) {
    learner = Learner(minimizing: TurnCrossEntropy(), over: options.update.selection, optimizer: options.update.optimizer)
    (self.options, self.augmentation) = (options, augmentation)
  }
  /// Needs the head.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    guard let head = RotationHead.find(in: setup.model.graph) else {
      throw TTAError(
        .usage, "ttt: the model has no rotation head",
        hint: "train the source with its head: tta train --rotation-head; or use a strategy that needs none, such as tent")
    }
    let shape = setup.model.graph.inputShape
    guard shape[1] == shape[2] else {
      throw TTAError(.usage, "ttt: expected square images, got \(shape)", hint: "give a square --input-size")
    }
    scores = head.scores
    learner.selection = (learner.selection && .before(head.split)) || .role(RotationHead.role)
    try learner.configure(&setup)
    setup.memory.learntImages = options.views
    setup.memory.learningOptions = learningOptions(setup.options)
    // The network after its step.
    setup.memory.otherNetworks += 1
    // Views, and the same turned.
    setup.memory.images += 2 * options.views
  }
  /// Views of each image, one step, the classifier's answer.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    let chosen = try chosen(of: batch, in: &context)
    var loss: Loss?
    if !chosen.isEmpty {
      let options = learningOptions(context.options)
      learner.reduction = .count(chosen.count * self.options.views)
      var gradients = Gradients()
      var total: Float = 0
      for row in chosen {
        let image = batch.images[[row]]
        let copies = try augmentation.view(
          0, of: Array(repeating: image, count: self.options.views).joined(), using: &context.random, on: context.executor)
        let turns = (0..<copies.count).map { _ in Int.random(in: 0..<RotationHead.turns, using: &context.random) }
        learner.objective = TurnCrossEntropy(turns: turns)
        let pass = try context.record(copies.turned(by: turns), options)
        let part = try learner.loss(of: pass.output, weights: [Float](repeating: 1, count: copies.count))
        guard let gradient = part.gradient.taps[.logits] else { throw TTAError(.internal, "ttt: a loss without a gradient") }
        try context.accumulate(&gradients, of: pass, from: OutputGradient([scores: gradient]))
        total += part.value
        loss = part
      }
      loss?.value = total
      if var whole = loss {
        try learner.step(gradients, for: &whole, in: &context)
        loss = whole
      }
    }
    var prediction = Prediction(try context.forward(batch.images))
    prediction.loss = loss?.value
    prediction.weights = (0..<batch.count).map { chosen.contains($0) ? 1 : 0 }
    return prediction
  }
  /// Statistics of the views, and the head's scores.
  private func learningOptions(_ options: ForwardOptions) -> ForwardOptions {
    var options = options.with(.batch)
    options.scores = scores
    return options
  }
  /// Images whose uprightness is not certain.
  private func chosen(of batch: Batch, in context: inout AdaptationContext) throws -> [Int] {
    guard options.threshold < 1 else { return Array(0..<batch.count) }
    var options = context.options
    options.scores = scores
    let upright = rows(of: try context.forward(batch.images, options).probabilities).map { $0[0] }
    return upright.indices.filter { Float(upright[$0]) < self.options.threshold + 0.001 }
  }
}

/// Cross entropy to the turns that the images were rotated by.
package struct TurnCrossEntropy: Objective {
  private var turns: [Int] = []
  init() {}
  package init(turns: [Int]) { self.turns = turns }
  package func losses(of output: Output) throws -> Losses {
    guard turns.count == output.logits.count else { throw TTAError(.internal, "ttt: a loss before its turns were drawn") }
    return LossFunctions.crossEntropy(output.logits, pseudoLabels: turns)
  }
}
