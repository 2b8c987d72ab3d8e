// Adaptation to streams whose neighbouring images share classes.

import Engine
import Foundation

/// Instance-aware normalisation answers each image from running statistics; every 64 images one step over a class-balanced reservoir lowers the entropy by
/// scale and shift and moves the running statistics.
///
/// Gong et al., "NOTE: Robust Continual Test-time Adaptation Against Temporal Correlation", NeurIPS 2022. The source model should be trained with
/// instance-aware layers (`tta train --norm instance-aware`); `instance_aware: false` keeps plain batch norm, as TTAB does by default. The loss is the
/// released code's mean over images *and classes* of −p log(p + 1e-6), a K-th of the entropy. Deviation: that code forwards an image a second time to
/// label it for the memory; the answer is used.
public struct NOTE: GradientStrategy {
  /// Learning rate, memory, norm.
  public struct Options: ComponentOptions {
    /// As every gradient method has them.
    public var update = UpdateOptions(.adam, learningRate: 1e-4)
    /// Images that the memory holds, and images between updates.
    public var memory = 64
    /// Share of the memory's statistics at each update.
    public var statisticsMomentum: Float = 0.01
    /// Whether batch norm layers become instance-aware.
    public var instanceAware = true
    /// Width of what counts as chance.
    public var k: Float = 4
    /// The paper's.
    public init() {}
    /// For `tta list`.
    public static let meanings = [
      "memory": "images that are remembered, and images between updates",
      "statistics_momentum": "share of the memory's statistics at each update",
      "instance_aware": "replaces batch norm by instance-aware batch norm", "k": "standard deviations that count as chance",
    ]
    /// A momentum from 0 to 1, at least two images.
    public func validate() throws {
      try update.validate()
      guard memory >= 2 else { throw TTAError(.usage, "memory: expected at least 2, got \(memory)") }
      try requireShare(statisticsMomentum, "statistics_momentum")
      guard k >= 0 else { throw TTAError(.usage, "k: expected at least 0, got \(k)") }
    }
  }
  static let summary = Summary(
    "instance-aware normalisation and a balanced reservoir", paper: "Gong et al., NeurIPS 2022",
    updates: "norm scale and shift, running statistics", forwards: "1 + 1 per 64 images", backwards: "1 per 64 images",
    needs: ["batch norm layers", "a source trained with instance-aware norm"])
  /// The method is its objective.
  public static let exchangesObjective = false

  /// The entropy of the memory, over norm scale and shift.
  public var learner: Learner
  let options: Options
  private var memory: ClassReservoir?
  private var seen = 0

  /// NOTE with the given options.
  public init(_ options: Options = Options()) {
    learner = Learner(minimizing: MeanClassEntropy(), over: options.update.selection, optimizer: options.update.optimizer)
    self.options = options
  }
  /// Batch norm layers become instance-aware ones with the same parameters.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    try setup.requireBatchNorm(for: "note")
    for node in setup.model.graph.nodes {
      guard let epsilon = (node.operation as? BatchNorm)?.epsilon ?? (node.operation as? InstanceAwareBatchNorm)?.epsilon else { continue }
      if options.instanceAware {
        try setup.model.replace(node.name, with: InstanceAwareBatchNorm(epsilon: epsilon, width: options.k))
      } else if node.operation is InstanceAwareBatchNorm {
        throw TTAError(
          .usage, "note: instance_aware: the source was trained with instance-aware norm, got false",
          hint: "leave it out; false is for sources with plain batch norm")
      }
    }
    try learner.configure(&setup)
    (setup.memory.learntImages, setup.memory.learningOptions) = (options.memory, setup.options.with(.batch))
    // The memory, and its images as a batch.
    setup.memory.images += 2 * options.memory
    memory = ClassReservoir(capacity: options.memory, classes: setup.model.graph.classCount)
  }
  /// Answers up to the next update, updates, and so on.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    var scores: [Tensor] = [], features: [Tensor] = []
    var loss: Float?
    var start = 0
    while start < batch.count {
      let end = min(batch.count, start + options.memory - seen % options.memory)
      let answer = try context.forward(batch.images[Array(start..<end)])
      scores.append(answer.logits)
      if let tapped = answer.features { features.append(tapped) }
      let labels = answer.labels
      for i in start..<end { memory?.add(batch.images[[i]], label: labels[i - start], using: &context.random) }
      seen += end - start
      if seen % options.memory == 0 { loss = try learn(in: &context) ?? loss }
      start = end
    }
    var prediction = Prediction(.logits(scores.joined()), features: features.isEmpty ? nil : features.joined())
    prediction.loss = loss
    return prediction
  }
  /// One step over the memory.
  private mutating func learn(in context: inout AdaptationContext) throws -> Float? {
    guard let items = memory?.items, items.count > 1 else { return nil }
    let images = Batch(items.map(\.image).joined())
    var options = context.options.with(.batch)
    options.reportsMoments = true
    let pass = try context.record(images.images, options)
    let output = pass.output
    context.parameters.track(output.moments, momentum: self.options.statisticsMomentum)
    var loss = try learner.loss(of: output, weights: learner.weights(of: output, for: images, in: &context))
    guard !loss.isEmpty else { return nil }
    try learner.step(context.gradients(of: pass, from: loss.gradient), for: &loss, in: &context)
    return loss.value
  }
}

/// −Σ p log(p + 1e-6) / K.
struct MeanClassEntropy: Objective {
  func losses(of output: Output) -> Losses {
    lossesPerRow(output.logits) { row, _ in
      let classes = Double(row.logits.count)
      let value = -row.probabilities.reduce(0) { $0 + $1 * log($1 + 1e-6) } / classes
      return (value, row.throughSoftmax(row.probabilities.map { -(log($0 + 1e-6) + $0 / ($0 + 1e-6)) / classes }))
    }
  }
}
