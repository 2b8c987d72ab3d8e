// Images on which adaptation made the model less sure of what it used to believe are left out.

public import Engine

/// Keeps an image if the class that the source model chose did not lose probability, and keeps the whole batch diverse.
///
/// Lee et al., "Towards Open-Set Test-Time Adaptation Utilizing the Wisdom of Crowds in Entropy Minimization", ICCV 2023. No code of the authors is
/// public: built after the re-implementation in UniEnt (CVPR 2024), which the paper's text leaves open in three points: the source model
/// normalises with the stream's statistics, the kept losses are averaged over the kept images, the diversity weight is 0.5. The rule compares the two models'
/// probabilities of the *source's* class; the diversity term −weight · H(mean prediction) takes all images.
public struct WisdomOfCrowds: SampleFilter {
  /// The weight of the diversity term.
  public struct Options: ComponentOptions {
    /// Weight of the entropy of the batch's mean prediction.
    public var diversity: Float = 0.5
    /// 0.5.
    public init() {}
    /// For `tta list`.
    public static let meanings = ["diversity": "weight of the entropy of the batch's mean prediction, which is maximised"]
    /// At least 0.
    public func validate() throws {
      guard diversity.isFinite, diversity >= 0 else {
        throw TTAError(.usage, "diversity: expected a number of at least 0, got \(diversity)")
      }
    }
  }
  let options: Options
  /// A filter with a diversity weight.
  public init(_ options: Options = Options()) { self.options = options }
  /// The source, again and again.
  public func configure(_ setup: inout AdaptationSetup) {
    setup.memory.otherNetworks += 1
    setup.memory.readsSource = true
  }
  /// True where no term keeps the batch diverse.
  public var judgesImagesAlone: Bool { options.diversity == 0 }
  /// One forward of the source model.
  public func weigh(_ weights: inout [Float], of output: Output, for batch: Batch, in context: inout AdaptationContext) throws {
    let source = try context.forward(batch.images, with: context.source)
    let (before, now) = (source.probabilities, output.probabilities)
    let classes = before.rowElementCount
    for (i, label) in source.labels.enumerated() where now.value(i * classes + label) < before.value(i * classes + label) { weights[i] = 0 }
  }
  /// The negative entropy of the mean prediction.
  public func batchTerm(of output: Output) -> BatchTerm? {
    guard options.diversity != 0 else { return nil }
    var term = LossFunctions.entropyOfMean(output.logits)
    term.value *= -options.diversity
    term.logitGradients.update { span in for i in span.indices { span[i] *= -options.diversity } }
    return term
  }
}
