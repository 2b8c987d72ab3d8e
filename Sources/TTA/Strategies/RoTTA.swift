// Robust adaptation to streams whose classes and domains both change.

public import Engine
import Foundation
public import Vision

/// A teacher answers with its running statistics; every 64 images student and teacher pass over a class-balanced memory, the student on augmented views, and the
/// cross entropy to the teacher, weighed by age, moves scale and shift; the teacher follows slowly.
///
/// Yuan, Xie and Li, "Robust Test-Time Adaptation in Dynamic Scenarios", CVPR 2023. Robust batch normalisation: both networks normalise the memory
/// with (1 − α) stored + α batch statistics and keep the result, each its own. The answer is the teacher's from before the batch's updates, as in
/// the released code.
public struct RoTTA: GradientStrategy {
  /// Learning rate, memory, momenta.
  public struct Options: ComponentOptions {
    /// As every gradient method has them.
    public var update = UpdateOptions()
    /// Images that the memory holds, and images between updates.
    public var memory = 64
    /// Share of the memory's statistics at each update.
    public var alpha: Float = 0.05
    /// Share of the student in the teacher at each update.
    public var nu: Float = 0.001
    /// The paper's.
    public init() {}
    /// For `tta list`.
    public static let meanings = [
      "memory": "images that are remembered, and images between updates", "alpha": "share of the memory's statistics at each update",
      "nu": "share of the student in the teacher at each update",
    ]
    /// Shares from 0 to 1, at least two images.
    public func validate() throws {
      try update.validate()
      guard memory >= 2 else { throw TTAError(.usage, "memory: expected at least 2, got \(memory)") }
      for (key, value) in [("alpha", alpha), ("nu", nu)] {
        try requireShare(value, key)
      }
    }
  }
  static let summary = Summary(
    "a teacher over a balanced memory with robust statistics", paper: "Yuan et al., CVPR 2023",
    updates: "norm scale and shift, running statistics", forwards: "1 + 2 per 64 images", backwards: "1 per 64 images",
    needs: ["batch norm layers", "square colour images"])
  /// The method is its objective.
  public static let exchangesObjective = false

  /// The aged cross entropy, over norm scale and shift.
  public var learner: Learner
  /// Where the student's view comes from.
  @Slot public var augmentation: any Augmentation
  let options: Options
  private var memory: CategoryBalancedMemory?
  private var teacher: Parameters?
  private var seen = 0

  /// RoTTA with the given options.
  public init(_ options: Options = Options(), augmentation: any Augmentation = StrongAugmentation()) {
    learner = Learner(minimizing: AgedCrossEntropy(), over: options.update.selection, optimizer: options.update.optimizer)
    (self.options, self.augmentation) = (options, augmentation)
  }
  /// Needs running statistics.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    try setup.requireBatchNorm(for: "rotta")
    try learner.configure(&setup)
    setup.memory.copies += 1
    setup.memory.otherNetworks += 1
    (setup.memory.learntImages, setup.memory.learningOptions) = (options.memory, setup.options.with(statistics))
    // The memory, its images as a batch, and their view.
    setup.memory.images += 3 * options.memory
    memory = CategoryBalancedMemory(capacity: options.memory, classes: setup.model.graph.classCount)
  }
  /// The teacher answers; images enter the memory one by one; each full round is an update.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    let answer = try context.forward(batch.images, with: teacher ?? context.source, context.options.with(.stored))
    let labels = answer.labels
    let uncertainties = rows(of: answer.probabilities).map { row in Float(-row.reduce(0) { $0 + $1 * log($1 + 1e-6) }) }
    var losses: [Float] = []
    for i in 0..<batch.count {
      memory?.add(batch.images[[i]], position: seen, label: labels[i], uncertainty: uncertainties[i])
      seen += 1
      if seen % options.memory == 0, let loss = try learn(in: &context) { losses.append(loss) }
    }
    var prediction = Prediction(answer)
    if !losses.isEmpty { prediction.loss = losses.reduce(0, +) / Float(losses.count) }
    return prediction
  }
  /// The teacher; nil is the source, before the first update.
  public var answering: Parameters? { teacher }
  /// The teacher.
  public func predict(_ batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    Prediction(try context.forward(batch.images, with: teacher ?? context.source, context.options.with(.stored)))
  }

  private var statistics: NormStatistics { .blended(batchWeight: options.alpha, variance: .biased, constant: false) }
  /// One update over the memory.
  private mutating func learn(in context: inout AdaptationContext) throws -> Float? {
    guard let content = memory?.content, !content.isEmpty else { return nil }
    context.observe("memory-positions", Tensor(content.map { Float($0.position) }, shape: [content.count]))
    let images = content.map(\.image).joined()
    var options = context.options.with(statistics)
    options.reportsMoments = true
    var teacher = self.teacher ?? context.source
    self.teacher = nil
    let target = try context.forward(images, with: teacher, options)
    let views = Batch(try augmentation.view(0, of: images, using: &context.random, on: context.executor), index: content[0].position)
    learner.objective = AgedCrossEntropy(target: target.logits, ages: content.map { Float($0.age) / Float(self.options.memory) })
    let pass = try context.record(views.images, options)
    let output = pass.output
    var loss = try learner.loss(of: output, weights: learner.weights(of: output, for: views, in: &context))
    context.parameters.track(output.moments, momentum: self.options.alpha, variance: .biased)
    teacher.track(target.moments, momentum: self.options.alpha, variance: .biased)
    if loss.isEmpty {
      self.teacher = teacher
      return nil
    }
    try learner.step(context.gradients(of: pass, from: loss.gradient), for: &loss, in: &context)
    teacher.interpolate(toward: context.parameters, by: self.options.nu, over: context.adapted)
    self.teacher = teacher
    return loss.value
  }
}

/// Cross entropy to fixed targets, weighed by e^−a / (1 + e^−a) for an age a.
package struct AgedCrossEntropy: Objective {
  private var target: Tensor?
  private var ages: [Float] = []
  init() {}
  init(target: Tensor, ages: [Float]) { (self.target, self.ages) = (target, ages) }
  /// The weight of an age.
  package static func weight(age: Float) -> Float { exp(-age) / (1 + exp(-age)) }
  package func losses(of output: Output) throws -> Losses {
    guard let target else { throw TTAError(.internal, "a loss before its target was prepared") }
    var losses = LossFunctions.crossEntropy(output.logits, target: target)
    let width = output.logits.rowElementCount
    let weights = ages.map(Self.weight)
    losses.values = zip(losses.values, weights).map { $0 * $1 }
    losses.logitGradients.update { span in for i in span.indices { span[i] *= weights[i / width] } }
    return losses
  }
}
