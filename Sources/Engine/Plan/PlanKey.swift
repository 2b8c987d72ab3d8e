// What a plan is compiled for.

internal import CKernels

/// What execution may use: operators one by one; fused direct kernels; everything, Winograd included.
public enum Lowering: String, Codable, Sendable, CaseIterable {
  /// One operator after the other, plain layout.
  case reference
  /// Fused steps with direct convolutions only.
  case exact
  /// Fused steps, Winograd transforms included.
  case fast
}

/// What a backward computes once more instead of reading what the forward kept. The results are the same bits; it is a matter of memory and time.
public enum Recomputation: String, Codable, Sendable, CaseIterable {
  /// Results of frozen linear layers that are much wider than their inputs, as many as take at most 0.4 of the forward's operations: the hidden layers of a
  /// transformer's perceptrons first, then queries, keys and values. Outputs of convolutions of at most 256 summands, 256 KB or more per image,
  /// that something smaller or kept anyway leads to: about half of the memory of a step on ResNet-50 or MobileNet-V2, for a sixth more time.
  case automatic
  /// All of those, whatever their cost.
  case always
  /// Nothing but what operators never keep, such as weights of attention, and what a pass over memory gives for the gradients of weights: results of norms and
  /// activations.
  case never
}

/// How factors are rounded in products with frozen linear layers and in convolutions that are not done by Winograd transforms; sums are floats
/// either way. Layers whose weights a pass differentiates are not rounded.
public enum Precision: String, Codable, Sendable, CaseIterable {
  /// Not at all.
  case single
  /// To bfloat16, 8 significant bits: twice the speed where the processor multiplies pairs of them, about 0.3 % of an activation's size in error.
  case bfloat16

  /// True where this machine gains by bfloat16.
  public static var bfloat16IsFast: Bool { ck_bfloat16_is_fast() }
}

/// What a plan was compiled for. The batch size is not in it, but for a single image: a plan has a capacity and runs any n up to it; a larger n recompiles once.
struct PlanKey: Hashable, Sendable {
  /// Kinds of statistics that need different steps; weights of a blend are run-time arguments.
  enum Statistics: Hashable, Sendable { case stored, constantBatch, batch }
  var statistics: Statistics
  var reportsMoments: Bool
  /// Parameters that get gradients; empty and no image gradient: nothing is kept for a backward.
  var differentiated: ParameterSet
  var differentiatesImages: Bool
  var taps: [Tap]
  var lowering: Lowering
  var recomputation: Recomputation
  var precision: Precision
  /// One image has a plan of its own, whatever ran before: what a pass computes depends on its own images only.
  var isSingleImage: Bool

  init(
    _ options: ForwardOptions, _ differentiated: ParameterSet, _ lowering: Lowering, _ recomputation: Recomputation, _ precision: Precision,
    images: Int
  ) {
    isSingleImage = images == 1
    statistics = options.statistics.planKind
    (reportsMoments, differentiatesImages) = (options.reportsMoments, options.differentiatesImages)
    taps = options.taps.subtracting([.logits]).union([options.scores]).sorted()
    (self.differentiated, self.lowering, self.recomputation, self.precision) = (differentiated, lowering, recomputation, precision)
  }
  var needsBackward: Bool { !differentiated.isEmpty || differentiatesImages }
}

extension NormStatistics {
  var planKind: PlanKey.Statistics {
    switch self {
    case .stored: .stored
    case .blended(_, _, constant: true): .constantBatch
    case .batch, .blended, .renormalized: .batch
    }
  }
}
