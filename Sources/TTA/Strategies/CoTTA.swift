// Learning from a slowly moving teacher, with a little of the source restored at every step.

import Engine
public import Vision

/// Minimises the cross entropy to a teacher's prediction, averaged over 32 augmented views where the source model is unsure; all weights learn; each element
/// goes back to the source with a small probability; answers with the teacher's target, from before the update.
///
/// Wang et al., "Continual Test-Time Domain Adaptation", CVPR 2022. Deviations from the released code: dropout stays inactive; the views are
/// computed only where they are used (the ImageNet code does the same); a reset also resets teacher and optimiser.
public struct CoTTA: BatchLearner {
  /// Learning rate, teacher, restoration.
  public struct Options: ComponentOptions {
    /// As every gradient method has them, over all weights.
    public var update = UpdateOptions(.adam, learningRate: 1e-3, parameters: "all")
    /// Teacher, views, threshold.
    public var teacher = TeacherConsistency.Options()
    /// Probability with which an element is restored.
    public var restore: Float = 0.01
    /// CIFAR-10-C.
    public init() {}
    private init(_ update: UpdateOptions, _ teacher: TeacherConsistency.Options, restore: Float) {
      (self.update, self.teacher, self.restore) = (update, teacher, restore)
    }
    /// From the released code; `paper` restores a hundredth on ImageNet, too.
    public static let presets = [
      "cifar": Options(),
      "cifar100": Options(UpdateOptions(.adam, learningRate: 1e-3, parameters: "all"), .init(threshold: 0.72), restore: 0.01),
      "imagenet": Options(
        UpdateOptions(.sgd, learningRate: 0.01, nesterov: true, parameters: "all"), .init(threshold: 0.1, symmetric: true), restore: 0.001),
      "paper": Options(
        UpdateOptions(.sgd, learningRate: 0.01, nesterov: true, parameters: "all"), .init(threshold: 0.1, symmetric: true), restore: 0.01),
    ]
    /// For `tta list`.
    public static let meanings = TeacherConsistency.Options.meanings.merging(
      ["restore": "probability with which an element goes back to the source at each step"]) { first, _ in first }
    /// Each part's own bounds.
    public func validate() throws {
      try update.validate()
      try teacher.validate()
      try StochasticRestore.Options(rate: restore).validate()
    }
  }
  static let summary = Summary(
    "cross entropy to a teacher averaged over views; stochastic restoration", paper: "Wang et al., CVPR 2022", updates: "all weights",
    forwards: "3, or 34 where the source is unsure", backwards: "1",
    needs: ["square colour images", "batches of 2 or more with batch norm"])
  /// The method is its objective.
  public static let exchangesObjective = false

  /// Consistency with the teacher, over all weights.
  public var learner: Learner

  /// CoTTA with the given options.
  public init(_ options: Options = Options(), augmentation: any Augmentation = StrongAugmentation()) {
    learner = Learner(
      minimizing: TeacherConsistency(options.teacher, augmentation: augmentation), over: options.update.selection,
      optimizer: options.update.optimizer, rules: [StochasticRestore(.init(rate: options.restore))])
  }
}
