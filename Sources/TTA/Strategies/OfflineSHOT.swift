// Several passes over a whole target set, with labels that its own centroids give.

public import Engine
import Foundation

/// Before anything is answered: several passes over the whole target set that make predictions certain, diverse and equal to the labels of class centroids,
/// over all weights but the classifier's. Then the changed model answers.
///
/// Liang et al., "Do We Really Need to Access the Source Data? Source Hypothesis Transfer for Unsupervised Domain Adaptation", ICML 2020. The loss of a
/// batch is its mean entropy, minus the entropy of its mean prediction, plus 0.3 times the cross entropy to the pseudo-labels, which are made anew before
/// each pass (`centroidLabels`); the learning rate falls as (1 + 10 t)^−0.75 with the share t of all steps that are done. Steps normalise with their own
/// batch and move the running statistics by a tenth, labels and answers use the stored ones, as training and evaluation mode have it. Defaults are TTAB's
/// (Zhao et al., ICML 2023); preset `paper` takes the released code's passes, batch and weight decay. Deviations: there is no bottleneck layer that was
/// trained with the source; batches of one image, the last of a pass, are left out as there.
public struct OfflineSHOT: GradientStrategy, OfflineStrategy {
  /// Learning rate, passes, batch.
  public struct Options: ComponentOptions {
    /// As every gradient method has them, over all weights but the classifier's.
    public var update = UpdateOptions(.sgd, learningRate: 1e-3, nesterov: true, parameters: "all")
    /// Passes over the target set.
    public var epochs = 10
    /// Images per step.
    public var stepImages = 32
    /// Weight of the cross entropy to the pseudo-labels.
    public var labelWeight: Float = 0.3
    /// TTAB's.
    public init() {}
    private static var paper: Options {
      var options = Options()
      (options.epochs, options.stepImages, options.update.weightDecay) = (15, 64, 1e-3)
      return options
    }
    /// TTAB's, and the released code's.
    public static let presets = ["code": Options(), "paper": paper]
    /// For `tta list`.
    public static let meanings = [
      "epochs": "passes over the whole target set", "step_images": "images per step",
      "label_weight": "weight of the cross entropy to the labels of the centroids",
    ]
    /// At least one pass, two images.
    public func validate() throws {
      try update.validate()
      try requireCount(epochs, "epochs")
      guard stepImages >= 2 else { throw TTAError(.usage, "step_images: expected at least 2, got \(stepImages)") }
      guard labelWeight.isFinite, labelWeight >= 0 else {
        throw TTAError(.usage, "label_weight: expected a number of at least 0, got \(labelWeight)")
      }
    }
  }
  static let summary = Summary(
    "passes over the whole target set with labels of its centroids, before it is answered", paper: "Liang et al., ICML 2020",
    updates: "all weights but the classifier, running statistics", forwards: "1, after 20 per image of the set",
    backwards: "0, after 10 per image of the set", needs: ["a linear classifier", "the whole target set, in memory"])
  /// The method is its objective.
  public static let exchangesObjective = false
  /// Every image of the set is learnt from.
  public static let acceptsFilters = false

  /// The loss of a step, over all weights but the classifier's.
  public var learner: Learner
  let options: Options

  /// SHOT over whole sets with the given options.
  public init(_ options: Options = Options()) {
    learner = Learner(
      minimizing: LabelledInformationMaximization(weight: options.labelWeight), over: options.update.selection && !.classifier,
      optimizer: options.update.optimizer)
    self.options = options
  }
  /// Needs the features.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    _ = try setup.classifier()
    try learner.configure(&setup)
  }
  /// The model as the study left it.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    Prediction(try context.forward(batch.images))
  }
  /// All passes, each over labels and an order of its own. Throws for fewer than two images.
  public mutating func study(_ images: Tensor, in context: inout AdaptationContext) throws {
    guard images.count >= 2 else {
      throw TTAError(
        .usage, "shot-offline: expected a target set of at least 2 images, got \(images.count)", hint: "use a strategy for streams")
    }
    // Every study begins with a fresh optimiser.
    let fresh = learner.optimizer
    defer { learner.optimizer = fresh }
    var order = Array(0..<images.count)
    let steps = options.epochs * ((images.count + options.stepImages - 1) / options.stepImages)
    var step = 0
    for _ in 0..<options.epochs {
      let labels = try labels(of: images, in: &context)
      order.shuffle(using: &context.random)
      for start in stride(from: 0, to: order.count, by: options.stepImages) {
        let rows = Array(order[start..<min(order.count, start + options.stepImages)])
        defer { step += 1 }
        guard rows.count > 1 else { continue }
        context.rateFactor = Float(pow(1 + 10 * Double(step) / Double(steps), -0.75))
        try learn(images[rows], labels: rows.map { labels[$0] }, in: &context)
      }
    }
    context.rateFactor = 1
  }
  private mutating func learn(_ images: Tensor, labels: [Int], in context: inout AdaptationContext) throws {
    var options = context.options.with(.batch)
    options.reportsMoments = true
    learner.objective = LabelledInformationMaximization(weight: self.options.labelWeight, labels: labels)
    let pass = try context.record(images, options)
    let output = pass.output
    context.parameters.track(output.moments, momentum: 0.1)
    var loss = try learner.loss(of: output, weights: [Float](repeating: 1, count: images.count))
    try learner.step(context.gradients(of: pass, from: loss.gradient), for: &loss, in: &context)
  }
  /// Labels by centroids of the model as it is.
  private func labels(of images: Tensor, in context: inout AdaptationContext) throws -> [Int] {
    var options = context.options
    options.taps.insert(.features)
    var (features, probabilities): ([Tensor], [Tensor]) = ([], [])
    for start in stride(from: 0, to: images.count, by: 200) {
      let output = try context.forward(images[Array(start..<min(images.count, start + 200))], options)
      guard let rows = output.features else { throw TTAError(.internal, "shot-offline: no features") }
      features.append(rows.reshaped(to: [rows.count, rows.rowElementCount]))
      probabilities.append(output.probabilities)
    }
    return centroidLabels(features: features.joined(), probabilities: probabilities.joined())
  }
}

/// Information maximisation and a cross entropy to given labels.
package struct LabelledInformationMaximization: Objective {
  private let weight: Float
  private var labels: [Int]
  package init(weight: Float, labels: [Int] = []) { (self.weight, self.labels) = (weight, labels) }
  package func losses(of output: Output) throws -> Losses {
    guard labels.count == output.logits.count else { throw TTAError(.internal, "shot-offline: a loss before its labels were made") }
    var losses = LossFunctions.crossEntropy(output.logits, pseudoLabels: labels)
    losses.values = losses.values.map { weight * $0 }
    losses.logitGradients.update { span in for i in span.indices { span[i] *= weight } }
    losses.batchTerm = LossFunctions.informationMaximization(output.logits)
    return losses
  }
}
