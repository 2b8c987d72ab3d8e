// Agreement with a slowly moving teacher.

public import Engine
public import Vision

/// Cross entropy to the predictions of a teacher, the moving average of the student; averaged over augmented views where the source model is unsure.
///
/// The objective of CoTTA (Wang et al., "Continual Test-Time Domain Adaptation", CVPR 2022, equations 1–6): target = mean *logits* of the
/// views. The views are computed only where they are used, which changes no number. The anchor that decides is the source with the
/// statistics of the stream's forwards, as in the released code.
public struct TeacherConsistency: Objective {
  /// Momentum, views, threshold.
  public struct Options: ComponentOptions {
    /// Share of the teacher that stays at each step.
    public var teacherMomentum: Float = 0.999
    /// Augmented views.
    public var views = 32
    /// Mean confidence of the source model below which the views are averaged.
    public var threshold: Float = 0.92
    /// Also the reverse cross entropy, half each: the released ImageNet code.
    public var symmetric = false
    /// CIFAR-10.
    public init() {}
    /// A set of values.
    public init(teacherMomentum: Float = 0.999, views: Int = 32, threshold: Float, symmetric: Bool = false) {
      (self.teacherMomentum, self.views, self.threshold, self.symmetric) = (teacherMomentum, views, threshold, symmetric)
    }
    /// For `tta list`.
    public static let meanings = [
      "teacher_momentum": "share of the teacher that stays at each step", "views": "augmented views that a target is averaged over",
      "threshold": "mean confidence of the source below which views are averaged (0 never, above 1 always)",
      "symmetric": "half cross entropy, half reverse cross entropy",
    ]
    /// Momentum from 0 to 1, at least one view.
    public func validate() throws {
      try requireShare(teacherMomentum, "teacher_momentum")
      try requireCount(views, "views")
    }
  }
  let options: Options
  /// Where views come from.
  @Slot public var augmentation: any Augmentation
  /// The teacher; nil is the source, before the first batch.
  public private(set) var teacher: Parameters?
  private var target: Tensor?
  /// Factor on the norm scales of the teacher before the first batch: recorded runs need a first gradient that is not rounding noise.
  package var initialTeacherGain: Float = 1

  /// An objective with a teacher of its own.
  public init(_ options: Options = Options(), augmentation: any Augmentation = StrongAugmentation()) {
    (self.options, self.augmentation) = (options, augmentation)
  }
  /// A teacher; the source beside it where confidences are asked for.
  public mutating func configure(_ setup: inout AdaptationSetup) {
    setup.memory.copies += 1
    let asksSource = options.threshold > 0 && options.threshold <= 1
    setup.memory.otherNetworks += asksSource ? 2 : 1
    if asksSource { setup.memory.readsSource = true }
    // A view.
    setup.memory.batches += 1
  }
  /// The teacher's target for the batch.
  public mutating func prepare(for batch: Batch, in context: inout AdaptationContext) throws {
    let teacher = self.teacher ?? context.newTeacher(gain: initialTeacherGain)
    self.teacher = teacher
    // A threshold that no confidence reaches, or that all do, needs no anchor.
    var averages = options.threshold > 1
    if !averages, options.threshold > 0 {
      let confidences = try context.forward(batch.images, with: context.source).confidences
      let mean = confidences.reduce(0.0) { $0 + Double($1) } / Double(max(1, confidences.count))
      averages = Float(mean) < options.threshold
      context.observe("anchor-confidence", Tensor([Float(mean)], shape: [1]))
    }
    target =
      averages
      ? try meanLogits(options.views) { view in
        try context.forward(augmentation.view(view, of: batch.images, using: &context.random, on: context.executor), with: teacher).logits
      }
      : try context.forward(batch.images, with: teacher).logits
  }
  /// The same with the targets of some images.
  public func part(_ images: Range<Int>) -> Self? {
    var part = self
    part.target = target?[images]
    return part
  }
  /// One loss and one gradient row per image; the target is constant.
  public func losses(of output: Output) throws -> Losses {
    guard let target else { throw TTAError(.internal, "a loss before its target was prepared") }
    return LossFunctions.consistency(output.logits, target: target, symmetric: options.symmetric)
  }
  /// The teacher follows the student.
  public mutating func didStep(in context: inout AdaptationContext) {
    let weight = 1 - options.teacherMomentum
    teacher?.interpolate(toward: context.parameters, by: weight, over: context.adapted)
  }
  /// The target.
  public func answer(for output: Output) -> Prediction { Prediction(.logits(target ?? output.logits), features: output.features) }
  /// The teacher.
  public var answering: Parameters? { teacher }
}

/// The mean of several sets of logits, summed in order in double.
func meanLogits(_ count: Int, _ logits: (Int) throws -> Tensor) rethrows -> Tensor {
  var sums: [Double] = []
  var shape = Shape([0])
  for index in 0..<count {
    let tensor = try logits(index)
    if index == 0 { (sums, shape) = ([Double](repeating: 0, count: tensor.elementCount), tensor.shape) }
    tensor.withSpan { span in for i in span.indices { sums[i] += Double(span[i]) } }
  }
  return Tensor(sums.map { Float($0 / Double(count)) }, shape: shape)
}

extension AdaptationContext {
  /// A teacher at its start: the source's values, with memory of their own where they will move, so that what is packed of them is replaced at each step from the
  /// first one on. `gain` is a factor on norm scales.
  func newTeacher(gain: Float) -> Parameters {
    var teacher = source
    teacher.separate(adapted)
    for info in graph.parameters where gain != 1 && info.role == .normScale {
      teacher.update(info.id) { $0.update { span in for i in span.indices { span[i] *= gain } } }
    }
    return teacher
  }
}
