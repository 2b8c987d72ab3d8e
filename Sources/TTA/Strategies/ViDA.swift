// Two low-rank branches beside the model, balanced by a teacher's uncertainty.

public import Engine
public import Vision

/// Minimises the cross entropy to a teacher over all weights and two low-rank branches, whose factors follow the teacher's uncertainty; answers with the
/// teacher, from before the update.
///
/// Liu et al., "ViDA: Homeostatic Visual Domain Adapter for Continual Test Time Adaptation", ICLR 2024, after the released code: the uncertainty is the
/// variance of the teacher's logits over ten augmented views, averaged over images and classes, times 0.1, one number for the batch; the uncertainty of a
/// batch is measured under the factors of the one before. In that code the factor of the high-rank branch never moves (`moves_high: false`); `moves_high:
/// true` sets both, as the text describes. Restoration of 0.1 is what the CIFAR driver runs with. Deviation: a reset also resets the factors.
///
/// Preset `paper` follows the text instead: the uncertainty of each *image* is √(mean over passes of ‖p − mean p‖²) of the teacher's predictions under
/// dropout (Monte Carlo dropout, Gal and Ghahramani, ICML 2016), both factors follow it, image by image, from 0.2 on, nothing is restored. Our choices,
/// since no code has that form: dropout acts on the classifier's input, keeps its mean, and drops the same features for all images of a pass; images go
/// through teacher and student one by one, under factors of their own, and share one step.
public struct ViDA: GradientStrategy {
  /// Learning rates, branches, teacher.
  public struct Options: ComponentOptions {
    /// Adam 1e-4 over all weights, tokens included.
    public var update = UpdateOptions(.adam, learningRate: 1e-4, parameters: "all")
    /// Learning rate of the branches.
    public var adapterLearningRate: Float = 1e-5
    /// Ranks and values of the branches.
    public var branches = ViDABranches.Options()
    /// Share of the teacher that stays at each step: of the model, of the branches.
    public var teacherMomentum: Float = 0.999, adapterMomentum: Float = 0.999
    /// Views for the uncertainty.
    public var views = 10
    /// Uncertainty from which the domain-specific branch counts more.
    public var threshold: Float = 0.05
    /// Share of the features that the passes for the uncertainty drop; 0 takes augmented views instead.
    public var dropout: Float = 0
    /// Whether each image has factors of its own.
    public var perImage = false
    /// Whether the factor of the high-rank branch moves, too.
    public var movesHigh = false
    /// Half cross entropy, half reverse cross entropy.
    public var symmetric = false
    /// Probability with which an element is restored.
    public var restore: Float = 0.1
    /// CIFAR-10-C.
    public init() {}
    private static var imagenet: Options {
      var options = Options()
      options.update = UpdateOptions(.sgd, learningRate: 5e-7, nesterov: true, parameters: "all")
      (options.adapterLearningRate, options.adapterMomentum, options.threshold) = (2e-7, 0.8, 0.2)
      (options.symmetric, options.restore) = (true, 0)
      return options
    }
    private static var cifar100: Options {
      var options = Options()
      (options.update.learningRate, options.adapterLearningRate) = (3e-4, 1e-6)
      return options
    }
    private static var intended: Options {
      var options = Options()
      options.movesHigh = true
      return options
    }
    private static var paper: Options {
      var options = intended
      (options.dropout, options.perImage, options.threshold, options.restore) = (0.1, true, 0.2, 0)
      return options
    }
    /// From the released code; `intended` moves both factors, `paper` follows the text.
    public static let presets = [
      "code": Options(), "cifar": Options(), "cifar100": cifar100, "imagenet": imagenet, "intended": intended, "paper": paper,
    ]
    /// For `tta list`.
    public static let meanings = ViDABranches.Options.meanings.merging([
      "adapter_learning_rate": "learning rate of the branches", "teacher_momentum": "share of the teacher's model that stays at each step",
      "adapter_momentum": "share of the teacher's branches that stays at each step", "views": "views or dropout passes for the uncertainty",
      "threshold": "uncertainty from which the domain-specific branch counts more", "moves_high": "the high-rank factor moves, too",
      "dropout": "share of the features dropped in the passes for the uncertainty; 0 takes augmented views",
      "per_image": "factors for each image",
      "symmetric": "half cross entropy, half reverse cross entropy", "restore": "probability with which an element goes back to the source",
      "rate": "set by adapter_learning_rate",
    ]) { first, _ in first }
    /// The factors of the low-rank and of the high-rank branch under an uncertainty.
    package func factors(for uncertainty: Float) -> [Float] {
      let shift = uncertainty >= threshold ? uncertainty : -uncertainty
      return [1 - shift, movesHigh ? 1 + shift : 1]
    }
    /// At least two views: a variance needs them.
    public func validate() throws {
      try update.validate()
      try branches.validate()
      try requireCount(views, "views", atLeast: 2)
      try requireShare(restore, "restore")
      guard dropout >= 0, dropout < 1 else { throw TTAError(.usage, "dropout: expected a number from 0 to below 1, got \(dropout)") }
      guard !perImage || dropout > 0 else {
        throw TTAError(.usage, "per_image: expected dropout above 0, got \(dropout)", hint: "the preset paper has both")
      }
    }
  }
  static let summary = Summary(
    "low-rank branches balanced by uncertainty, with a teacher", paper: "Liu et al., ICLR 2024 (released code)",
    updates: "all weights and its branches", forwards: "12", backwards: "1", needs: ["square colour images", "attention or convolutions"])
  /// The method is its objective.
  public static let exchangesObjective = false

  /// Consistency with the teacher, over everything.
  public var learner: Learner
  private var branches: ViDABranches
  /// Fixed factors in place of measured ones.
  package var fixedFactors: [Float]?
  /// Factor on the norm scales of the teacher before the first batch, for recorded runs.
  package var initialTeacherGain: Float = 1
  /// Factors of the features in each pass, in the place of draws; empty draws them.
  package var fixedMasks: [[Float]] = []
  private let dropout: Float, perImage: Bool

  /// ViDA with the given options. Throws where the branches' file cannot be read.
  public init(_ options: Options = Options(), augmentation: any Augmentation = StrongAugmentation()) throws {
    self.init(options, branches: try ViDABranches(Self.scaled(options)), augmentation: augmentation)
  }
  /// ViDA with branches at hand.
  public init(_ options: Options, values: [String: Tensor], augmentation: any Augmentation) {
    self.init(options, branches: ViDABranches(Self.scaled(options), values: values), augmentation: augmentation)
  }
  private static func scaled(_ options: Options) -> ViDABranches.Options {
    var branches = options.branches
    branches.rate = options.update.learningRate > 0 ? options.adapterLearningRate / options.update.learningRate : 0
    return branches
  }
  private init(_ options: Options, branches: ViDABranches, augmentation: any Augmentation) {
    var selection = options.update.selection
    if options.update.parameters == "all" { selection = selection || .role(.token) }
    learner = Learner(
      minimizing: BranchedConsistency(options, augmentation: augmentation), over: selection, optimizer: options.update.optimizer,
      rules: options.restore > 0 ? [StochasticRestore(.init(rate: options.restore))] : [])
    self.branches = branches
    (dropout, perImage) = (options.dropout, options.perImage)
  }
  /// Branches first; statistics stay the source's.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    if learner.selectsTokens, !setup.model.graph.parameters.contains(where: { $0.role == .token }) { learner.selection = .all }
    try learner.configure(&setup)
    try branches.configure(&setup)
    guard var objective = learner.objective as? BranchedConsistency else { throw TTAError(.internal, "vida: another objective") }
    objective.factors = branches.factors
    (objective.fixed, objective.initialTeacherGain) = (fixedFactors, initialTeacherGain)
    objective.branches = try setup.resolve(.role(ViDABranches.role))
    if dropout > 0 { objective.masks = try FeatureMasks(dropout, fixedMasks, &setup) }
    learner.objective = objective
  }
  /// Uncertainty, factors, teacher, student, step, teacher's average.
  public mutating func adapt(to batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    perImage ? try adaptImageByImage(batch, in: &context) : try learner.learn(from: batch, in: &context)
  }
  private mutating func adaptImageByImage(_ batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    guard var objective = learner.objective as? BranchedConsistency else { throw TTAError(.internal, "vida: another objective") }
    let uncertainties = try objective.uncertainties(of: batch, in: &context)
    var (gradients, answers, weights, whole) = (Gradients(), [Tensor](), [Float](), Loss?.none)
    learner.reduction = .count(batch.count)
    for row in 0..<batch.count {
      let image = Batch(batch.images[[row]], index: batch.index + row)
      answers.append(try objective.aim(at: image, uncertainty: uncertainties[row], in: &context))
      learner.objective = objective
      let pass = try context.record(image.images)
      let output = pass.output
      let loss = try learner.loss(of: output, weights: learner.weights(of: output, for: image, in: &context))
      weights += loss.weights
      guard !loss.isEmpty else { continue }
      try context.accumulate(&gradients, of: pass, from: loss.gradient)
      let value = loss.value + (whole?.value ?? 0)
      whole = loss
      whole?.value = value
    }
    var prediction = Prediction(.logits(answers.joined()))
    prediction.weights = weights
    guard var loss = whole else { return prediction }
    try learner.step(gradients, for: &loss, in: &context)
    prediction.loss = loss.value
    return prediction
  }
  /// The teacher under the latest factors.
  public func predict(_ batch: Batch, in context: inout AdaptationContext) throws -> Prediction {
    (learner.objective as? BranchedConsistency)?.setFactors(in: &context)
    return Prediction(try context.forward(batch.images, with: answering))
  }
}
extension Learner {
  fileprivate var selectsTokens: Bool { selection == (.all || .role(.token)) }
}

/// The teacher's target under factors that its uncertainty gives.
struct BranchedConsistency: Objective {
  private let options: ViDA.Options
  @Slot var augmentation: any Augmentation
  var factors: InputID?
  var fixed: [Float]?
  var branches = ParameterSet.empty
  var initialTeacherGain: Float = 1
  var masks: FeatureMasks?
  private var current: [Float] = [1, 1]
  private var teacher: Parameters?
  private var target: Tensor?

  init(_ options: ViDA.Options, augmentation: any Augmentation) { (self.options, self.augmentation) = (options, augmentation) }

  /// A teacher.
  mutating func configure(_ setup: inout AdaptationSetup) {
    setup.memory.copies += 1
    setup.memory.otherNetworks += 1
  }
  func setFactors(in context: inout AdaptationContext) {
    if let factors { context.options.inputs[factors] = Tensor(current, shape: [2]) }
  }
  /// The teacher, the source's weights at first.
  private mutating func currentTeacher(_ context: borrowing AdaptationContext) -> Parameters {
    let teacher = self.teacher ?? context.newTeacher(gain: initialTeacherGain)
    self.teacher = teacher
    return teacher
  }
  /// √(mean over dropout passes of ‖p − mean p‖²) of the teacher's predictions for each image, both factors at 1.
  mutating func uncertainties(of batch: Batch, in context: inout AdaptationContext) throws -> [Double] {
    let teacher = currentTeacher(context)
    current = [1, 1]
    setFactors(in: &context)
    guard let masks else { throw TTAError(.internal, "vida: no dropout for uncertainties of images") }
    let passes = try masks.passes(options.views, in: &context) { context in
      rows(of: try context.forward(batch.images, with: teacher).probabilities)
    }
    let values = (0..<batch.count).map { row in
      let count = Double(passes.count)
      return passes[0][row].indices.reduce(0) { sum, k in
        let mean = passes.reduce(0) { $0 + $1[row][k] } / count
        return sum + passes.reduce(0) { $0 + ($1[row][k] - mean) * ($1[row][k] - mean) } / count
      }.squareRoot()
    }
    context.observe("uncertainty", Tensor(values.map(Float.init), shape: [values.count]))
    return values
  }
  /// Factors and target of one image.
  mutating func aim(at image: Batch, uncertainty: Double, in context: inout AdaptationContext) throws -> Tensor {
    let teacher = currentTeacher(context)
    current = factors(for: uncertainty)
    setFactors(in: &context)
    current = [1, 1]
    let logits = try context.forward(image.images, with: teacher).logits
    target = logits
    return logits
  }
  private func factors(for uncertainty: Double) -> [Float] { options.factors(for: Float(uncertainty)) }
  mutating func prepare(for batch: Batch, in context: inout AdaptationContext) throws {
    let teacher = currentTeacher(context)
    setFactors(in: &context)
    if let fixed {
      current = fixed
    } else if masks != nil {
      let each = try uncertainties(of: batch, in: &context)
      current = factors(for: each.reduce(0, +) / Double(max(1, each.count)))
    } else {
      let uncertainty =
        try 0.1
        * meanVariance(options.views) { view in
          let images = try augmentation.view(view, of: batch.images, using: &context.random, on: context.executor)
          return try context.forward(images, with: teacher).logits
        }
      context.observe("uncertainty", Tensor([Float(uncertainty)], shape: [1]))
      current = factors(for: uncertainty)
    }
    setFactors(in: &context)
    target = try context.forward(batch.images, with: teacher).logits
  }
  /// The same with the targets of some images.
  func part(_ images: Range<Int>) -> Self? {
    var part = self
    part.target = target?[images]
    return part
  }
  func losses(of output: Output) throws -> Losses {
    guard let target else { throw TTAError(.internal, "a loss before its target was prepared") }
    return LossFunctions.consistency(output.logits, target: target, symmetric: options.symmetric)
  }
  mutating func didStep(in context: inout AdaptationContext) {
    guard var moved = teacher else { return }
    teacher = nil
    let others = ParameterSet(context.adapted.ids.filter { !branches.contains($0) })
    moved.interpolate(toward: context.parameters, by: 1 - options.teacherMomentum, over: others)
    moved.interpolate(toward: context.parameters, by: 1 - options.adapterMomentum, over: branches)
    teacher = moved
  }
  func answer(for output: Output) -> Prediction { Prediction(.logits(target ?? output.logits), features: output.features) }
  var answering: Parameters? { teacher }
}

/// The mean over all logits of their unbiased variance over several sets.
func meanVariance(_ count: Int, _ logits: (Int) throws -> Tensor) rethrows -> Double {
  var (sums, squares): ([Double], [Double]) = ([], [])
  var origin: [Float] = []
  for index in 0..<count {
    let values = try logits(index).values
    if index == 0 { (origin, sums, squares) = (values, values.map { _ in 0 }, values.map { _ in 0 }) }
    for i in values.indices {
      let distance = Double(values[i] - origin[i])
      sums[i] += distance
      squares[i] += distance * distance
    }
  }
  let n = Double(count)
  let total = zip(sums, squares).reduce(0) { $0 + ($1.1 - $1.0 * $1.0 / n) / (n - 1) }
  return total / Double(max(1, sums.count))
}
