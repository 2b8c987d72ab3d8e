// Universal test-time adaptation: weights for certainty and diversity, consistency, weight ensembling, prior correction.

public import Engine
public import Vision

/// Minimises the weighed soft likelihood ratio and a symmetric consistency with an augmented view, over norm scale and shift; mixes the weights with the
/// source's after each step; answers with logits from before the update, multiplied by the smoothed prior of the batch.
///
/// Marsden, Döbler and Yang, "Universal Test-Time Adaptation through Weight Ensembling, Diversity Weighting, and Prior Correction", WACV 2024. The sum of
/// losses is divided by the configured batch size, also for a short last batch. Both passes carry gradients, as in the released code; the view is of
/// the kept images only, with statistics of its own. Deviation: images that are all alike count as equally diverse and certain (the code
/// divides 0 by 0).
public struct ROID: BatchLearner {
  /// Learning rate and parts.
  public struct Options: ComponentOptions {
    /// As every gradient method has them.
    public var update = UpdateOptions()
    /// Share of the adapted weights in the mixture with the source.
    public var ensembleMomentum: Float = 0.99
    /// What the loss is divided by; 0 is the size of the first batch.
    public var batchSize = 0
    /// Whether an augmented view takes part.
    public var consistency = true
    /// CIFAR.
    public init() {}
    private init(_ update: UpdateOptions) { self.update = update }
    /// From mariodoebler/test-time-adaptation.
    public static let presets = ["cifar": Options(), "imagenet": Options(UpdateOptions(.sgd, learningRate: 2.5e-4))]
    /// For `tta list`.
    public static let meanings = [
      "ensemble_momentum": "share of the adapted weights in the mixture with the source",
      "batch_size": "what the loss is divided by; 0 for the size of the first batch",
      "consistency": "an augmented view takes part in the loss",
    ]
    /// Bounds of the parts.
    public func validate() throws {
      try update.validate()
      try requireShare(ensembleMomentum, "ensemble_momentum")
      guard batchSize >= 0 else { throw TTAError(.usage, "batch_size: expected at least 0, got \(batchSize)") }
    }
  }
  static let summary = Summary(
    "weighed likelihood ratio, consistency, weight ensembling, prior correction", paper: "Marsden et al., WACV 2024",
    updates: "norm scale and shift", forwards: "2", backwards: "2", needs: ["norm layers", "square colour images"])

  /// The likelihood ratio with its weights, over norm scale and shift.
  public var learner: Learner
  /// Where the view comes from; none without consistency.
  @Slot public var augmentation: any Augmentation
  let consistency: Bool
  private var divisor: Int

  /// ROID with the given options.
  public init(_ options: Options = Options(), augmentation: any Augmentation = WeakAugmentation()) {
    var ensembling = WeightEnsembling.Options()
    ensembling.momentum = options.ensembleMomentum
    self.init(options.update, batchSize: options.batchSize, consistency: options.consistency, WeightEnsembling(ensembling), augmentation)
  }
  init(_ update: UpdateOptions, batchSize: Int, consistency: Bool, _ ensembling: any UpdateRule, _ augmentation: any Augmentation) {
    learner = Learner(
      minimizing: SoftLikelihoodRatio(), over: update.selection, filters: [CertaintyAndDiversity()], optimizer: update.optimizer,
      rules: [ensembling])
    (self.augmentation, self.consistency, divisor) = (augmentation, consistency, batchSize)
  }
  /// Statistics of the batch, and two passes at a time.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    setup.useBatchStatistics()
    try learner.configure(&setup)
    guard consistency else { return }
    // The images that the filter left, and their view.
    (setup.memory.passes, setup.memory.batches) = (2, setup.memory.batches + 2)
  }
  /// Two passes, one loss, one step.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    if divisor == 0 { divisor = batch.count }
    learner.reduction = .count(divisor)
    try learner.objective.prepare(for: batch, in: &context)
    let plain = try context.record(batch.images)
    let output = plain.output
    let weights = try learner.weights(of: output, for: batch, in: &context)
    var loss = try learner.loss(of: output, weights: weights)
    let kept = loss.kept
    if consistency, !kept.isEmpty {
      let view = try augmentation.view(0, of: batch.images[kept], using: &context.random, on: context.executor)
      let varied = try context.record(view)
      let agreement = Agreement(varied.output.logits, output.logits[kept], weights: kept.map { weights[$0] / Float(divisor) })
      loss.add(agreement.value, agreement.toSecond, rows: kept)
      var gradients = try context.gradients(of: plain, from: loss.gradient)
      try context.accumulate(&gradients, of: varied, from: OutputGradient([.logits: agreement.toFirst]))
      try learner.step(gradients, for: &loss, in: &context)
    } else if !loss.isEmpty {
      try learner.step(context.gradients(of: plain, from: loss.gradient), for: &loss, in: &context)
    }
    let factors = PriorCorrection.factors(of: output.logits)
    context.observe("prior", Tensor(factors, shape: [factors.count]))
    context.observe("raw-logits", output.logits)
    var prediction = Prediction(.logits(PriorCorrection.corrected(output.logits, by: factors)), features: output.features)
    prediction.weights = weights
    if !loss.isEmpty { prediction.loss = loss.value }
    return prediction
  }
  /// A corrected forward.
  public func predict(_ batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    let output = try context.forward(batch.images)
    return Prediction(
      .logits(PriorCorrection.corrected(output.logits, by: PriorCorrection.factors(of: output.logits))), features: output.features)
  }
}

/// The weighed symmetric cross entropy of two sets of logits, with both gradients.
private struct Agreement {
  var value = 0.0
  var toFirst: Tensor, toSecond: Tensor
  init(_ first: Tensor, _ second: Tensor, weights: [Float]) {
    let losses = LossFunctions.symmetricCrossEntropy(first, target: second)
    toFirst = losses.logitGradients
    toSecond = LossFunctions.symmetricCrossEntropy(second, target: first).logitGradients
    for (row, weight) in weights.enumerated() { value += Double(weight) * Double(losses.values[row]) }
    let width = first.rowElementCount
    func scale(_ tensor: inout Tensor) { tensor.update { span in for i in span.indices { span[i] *= weights[i / width] } } }
    scale(&toFirst)
    scale(&toSecond)
  }
}
extension Loss {
  /// Adds a term whose gradient at the logits belongs to the given rows.
  fileprivate mutating func add(_ term: Double, _ gradient: Tensor, rows: [Int]) {
    value += Float(term)
    guard var total = self.gradient.taps[.logits] else { return }
    let width = gradient.rowElementCount
    gradient.withSpan { added in
      total.update { span in
        for (place, row) in rows.enumerated() { for k in 0..<width { span[row * width + k] += added[place * width + k] } }
      }
    }
    self.gradient.taps[.logits] = total
  }
}

/// ROID whose weights are mixed with a hidden model that a Kalman filter moves.
///
/// Lee and Chang, "Continual Momentum Filtering on Parameter Space for Online Test-time Adaptation", ICLR 2024, as in mariodoebler/test-time-adaptation; see
/// `KalmanEnsembling`.
public struct CMF: GradientStrategy {
  /// Learning rate, filter, parts.
  public struct Options: ComponentOptions {
    /// As every gradient method has them.
    public var update = UpdateOptions()
    /// The filter.
    public var filter = KalmanEnsembling.Options()
    /// What the loss is divided by; 0 is the size of the first batch.
    public var batchSize = 0
    /// Whether an augmented view takes part.
    public var consistency = true
    /// CIFAR.
    public init() {}
    private init(_ update: UpdateOptions) { self.update = update }
    /// From mariodoebler/test-time-adaptation.
    public static let presets = ["cifar": Options(), "imagenet": Options(UpdateOptions(.sgd, learningRate: 2.5e-4))]
    /// For `tta list`.
    public static let meanings = KalmanEnsembling.Options.meanings.merging(ROID.Options.meanings) { first, _ in first }
    /// A learning rate of at least 0.
    public func validate() throws { try update.validate() }
  }
  static let summary = Summary(
    "ROID with a Kalman filter over the weights", paper: "Lee and Chang, ICLR 2024", updates: "norm scale and shift", forwards: "2",
    backwards: "2", needs: ["norm layers", "square colour images"])
  private var base: ROID
  /// ROID's, with the filter as its rule.
  public var learner: Learner {
    get { base.learner }
    set { base.learner = newValue }
  }
  /// CMF with the given options.
  public init(_ options: Options = Options(), augmentation: any Augmentation = WeakAugmentation()) {
    base = ROID(
      options.update, batchSize: options.batchSize, consistency: options.consistency, KalmanEnsembling(options.filter), augmentation)
  }
  /// ROID's.
  public mutating func configure(_ setup: inout AdaptationSetup) throws { try base.configure(&setup) }
  /// ROID's, with the filter after the step.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    try base.adapt(to: batch, in: &context)
  }
  /// ROID's.
  public func predict(_ batch: Batch, in context: inout AdaptationContext) throws -> Prediction { try base.predict(batch, in: &context) }
}
