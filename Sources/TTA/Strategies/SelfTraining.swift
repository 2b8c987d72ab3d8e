// Methods that differ from TENT in the objective alone.

import Engine

/// Generalised cross entropy to the model's own hard labels over norm scale and shift; answers from before the update.
///
/// Rusak et al., "If your data distribution shifts, use self-learning", TMLR 2022 (RPL), with q = 0.8, as in the code of CCC.
/// Deviation: dropout stays inactive.
public struct RobustPseudoLabeling: BatchLearner {
  /// Learning rate and exponent.
  public struct Options: ComponentOptions {
    /// As every gradient method has them.
    public var update = UpdateOptions()
    /// The exponent of the loss.
    public var q: Float = 0.8
    /// CIFAR: Adam 1e-3.
    public init() {}
    private init(_ update: UpdateOptions) { self.update = update }
    /// From forks and from the code of CCC.
    public static let presets = ["cifar": Options(), "imagenet": Options(UpdateOptions(.sgd, learningRate: 5e-4))]
    /// For `tta list`.
    public static let meanings = GeneralizedCrossEntropy.Options.meanings
    /// A q above 0, at most 1.
    public func validate() throws {
      try update.validate()
      guard q > 0, q <= 1 else { throw TTAError(.usage, "q: expected a number above 0 and at most 1, got \(q)") }
    }
  }
  static let summary = Summary(
    "generalised cross entropy to the own hard labels", paper: "Rusak et al., TMLR 2022", updates: "norm scale and shift", forwards: "1",
    backwards: "1", needs: ["norm layers"])
  /// Generalised cross entropy, over norm scale and shift.
  public var learner: Learner
  /// RPL with the given options.
  public init(_ options: Options = Options()) {
    var loss = GeneralizedCrossEntropy.Options()
    loss.q = options.q
    learner = Learner(minimizing: GeneralizedCrossEntropy(loss), over: options.update.selection, optimizer: options.update.optimizer)
  }
}

/// Minimises the conjugate of the source's training loss over norm scale and shift: the entropy for cross entropy, a sharper loss for PolyLoss.
///
/// Goyal et al., "Test-Time Adaptation via Conjugate Pseudo-labels", NeurIPS 2022. The released code answers with a second forward after the update
/// (`answers_after_update`, preset `code`); TTAB answers from before it. Deviation: dropout stays inactive.
public struct ConjugatePseudoLabels: BatchLearner {
  /// Learning rate, ε, answer.
  public struct Options: ComponentOptions {
    /// As every gradient method has them.
    public var update = UpdateOptions()
    /// ε of the PolyLoss that the source was trained with.
    public var epsilon: Float = 0
    /// Whether a second forward answers.
    public var answersAfterUpdate = false
    /// A source trained with cross entropy, answered from before the update.
    public init() {}
    private static var code: Options {
      var options = Options()
      (options.epsilon, options.answersAfterUpdate) = (6, true)
      return options
    }
    /// The released models were trained with ε = 6.
    public static let presets = ["cifar": Options(), "code": code]
    /// For `tta list`.
    public static let meanings = ConjugatePolynomial.Options.meanings.merging(
      ["answers_after_update": "answers with a second forward after the update"]) { first, _ in first }
    /// ε of at least 0.
    public func validate() throws {
      try update.validate()
      guard epsilon.isFinite, epsilon >= 0 else { throw TTAError(.usage, "epsilon: expected a number of at least 0, got \(epsilon)") }
    }
  }
  static let summary = Summary(
    "the conjugate of the source's training loss", paper: "Goyal et al., NeurIPS 2022", updates: "norm scale and shift",
    forwards: "1, or 2 when answered after the update", backwards: "1", needs: ["norm layers"])
  /// The conjugate loss, over norm scale and shift.
  public var learner: Learner
  let answersAfterUpdate: Bool
  /// Conjugate pseudo-labels with the given options.
  public init(_ options: Options = Options()) {
    var loss = ConjugatePolynomial.Options()
    loss.epsilon = options.epsilon
    learner = Learner(minimizing: ConjugatePolynomial(loss), over: options.update.selection, optimizer: options.update.optimizer)
    answersAfterUpdate = options.answersAfterUpdate
  }
  /// Forward, loss, backward, step, answer.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    var prediction = try learner.learn(from: batch, in: &context)
    if answersAfterUpdate {
      let after = try context.forward(batch.images)
      (prediction.scores, prediction.features) = (.logits(after.logits), after.features)
    }
    return prediction
  }
}

/// Information maximisation and confident pseudo-labels over all weights but the classifier's; answers from before the update.
///
/// Liang et al., "Do We Really Need to Access the Source Data?", ICML 2020, in the online form of TTAB (Zhao et al., ICML 2023). Deviations: the classifier is
/// found as the final linear layer, not by a list of names; running statistics, which that code updates and never reads, stay; without a
/// confident image the pseudo-label term is left out.
public struct SHOT: BatchLearner {
  /// Learning rate and weights.
  public struct Options: ComponentOptions {
    /// As every gradient method has them, over all weights but the classifier's.
    public var update = UpdateOptions(.sgd, learningRate: 1e-3, nesterov: true, parameters: "all")
    /// Confidence and weight of the pseudo-labels.
    public var objective = InformationMaximization.Options()
    /// TTAB's.
    public init() {}
    /// For `tta list`.
    public static let meanings = InformationMaximization.Options.meanings
    /// A learning rate of at least 0.
    public func validate() throws { try update.validate() }
  }
  static let summary = Summary(
    "information maximisation with confident pseudo-labels", paper: "Liang et al., ICML 2020; TTAB's online form",
    updates: "all weights but the classifier", forwards: "1", backwards: "1", needs: ["a linear classifier"])
  /// Information maximisation, over all weights but the classifier's.
  public var learner: Learner
  /// SHOT with the given options.
  public init(_ options: Options = Options()) {
    learner = Learner(
      minimizing: InformationMaximization(options.objective), over: options.update.selection && !.classifier,
      optimizer: options.update.optimizer)
  }
  /// Every forward normalises with its own batch.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    _ = try setup.classifier()
    setup.useBatchStatistics()
    try learner.configure(&setup)
  }
}
