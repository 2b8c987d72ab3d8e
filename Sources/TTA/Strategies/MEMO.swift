// One image at a time: an answer that many views agree on.

public import Engine
public import Vision

/// For each image by itself: minimises the entropy of the mean prediction over augmented views by one step on all weights, answers the image with the
/// changed model, and goes back to the source.
///
/// Zhang, Levine and Finn, "MEMO: Test Time Robustness via Adaptation and Augmentation", NeurIPS 2022. Norm layers use stored statistics; with
/// `prior` N the statistics are N/(N + 1) stored and the rest the views', as the released ImageNet code has it (N = 16). The optimiser starts afresh for
/// every image.
public struct MEMO: GradientStrategy {
  /// Learning rate, views, statistics.
  public struct Options: ComponentOptions {
    /// Plain SGD over all weights.
    public var update = UpdateOptions(.sgd, learningRate: 5e-3, momentum: 0, parameters: "all")
    /// Views of each image.
    public var views = 32
    /// Weight of the stored statistics in images; 0 for stored ones only.
    public var prior = 0
    /// CIFAR.
    public init() {}
    private init(_ update: UpdateOptions, views: Int, prior: Int) { (self.update, self.views, self.prior) = (update, views, prior) }
    /// From the released code.
    public static let presets = [
      "cifar": Options(),
      "imagenet": Options(UpdateOptions(.sgd, learningRate: 2.5e-4, momentum: 0, parameters: "all"), views: 64, prior: 16),
    ]
    /// For `tta list`.
    public static let meanings = [
      "views": "augmented views of each image", "prior": "weight of the stored statistics in images; 0 uses stored ones only",
    ]
    /// At least one view.
    public func validate() throws {
      try update.validate()
      try requireCount(views, "views")
      guard prior >= 0 else { throw TTAError(.usage, "prior: expected at least 0, got \(prior)") }
    }
  }
  static let summary = Summary(
    "marginal entropy over views of each image, then back to the source", paper: "Zhang et al., NeurIPS 2022",
    updates: "all weights, per image",
    forwards: "33 per image", backwards: "32 per image", needs: ["colour images"])
  /// The method is its objective.
  public static let exchangesObjective = false

  /// The marginal entropy, over all weights.
  public var learner: Learner
  /// Where views come from.
  @Slot public var augmentation: any Augmentation
  let options: Options

  /// MEMO with the given options.
  public init(_ options: Options = Options(), augmentation: any Augmentation = MixedAugmentation()) {
    learner = Learner(minimizing: MarginalEntropy(), over: options.update.selection, optimizer: options.update.optimizer)
    (self.options, self.augmentation) = (options, augmentation)
  }
  /// Statistics as the options say.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    if options.prior > 0, setup.hasBatchNorm {
      setup.options.statistics = .blended(batchWeight: 1 / Float(options.prior + 1), variance: .unbiased, constant: true)
    }
    try learner.configure(&setup)
    // The network after its step.
    setup.memory.otherNetworks += 1
    (setup.memory.learntImages, setup.memory.answeredImages) = (options.views, 1)
    // The views one by one, and as a batch.
    setup.memory.images += 2 * options.views
  }
  /// Views, a step, an answer, and back; image by image.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    let fresh = learner
    var scores: [Tensor] = [], features: [Tensor] = []
    var total: Float = 0
    for i in 0..<batch.count {
      let image = batch.images[[i]]
      let views = try (0..<options.views).map { try augmentation.view($0, of: image, using: &context.random, on: context.executor) }
      total += try learner.learn(from: Batch(views.joined(), index: batch.index + i), in: &context).loss ?? 0
      let answer = try context.forward(image)
      scores.append(answer.logits)
      if let tapped = answer.features { features.append(tapped) }
      context.parameters.copy(from: context.source, over: context.adapted)
      learner.optimizer = fresh.optimizer
    }
    var prediction = Prediction(.logits(scores.joined()), features: features.isEmpty ? nil : features.joined())
    prediction.loss = batch.count > 0 ? total / Float(batch.count) : nil
    return prediction
  }
}

/// The entropy of the mean prediction, as a term of the batch.
package struct MarginalEntropy: Objective {
  package init() {}
  package func losses(of output: Output) -> Losses {
    Losses(
      [Float](repeating: 0, count: output.logits.count), Tensor(zeros: output.logits.shape),
      batchTerm: LossFunctions.entropyOfMean(output.logits))
  }
}
