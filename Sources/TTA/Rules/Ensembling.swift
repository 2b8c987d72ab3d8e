// Adapted weights are mixed with others after each step.

import Engine

/// θ ← m θ + (1 − m) θ₀ after each step.
///
/// Weight ensembling of ROID (Marsden et al., WACV 2024), m = 0.99.
public struct WeightEnsembling: UpdateRule {
  /// The share that stays.
  public struct Options: ComponentOptions {
    /// Share of the adapted weights.
    public var momentum: Float = 0.99
    /// 0.99.
    public init() {}
    /// For `tta list`.
    public static let meanings = ["momentum": "share of the adapted weights; the rest is the source's"]
    /// From 0 to 1.
    public func validate() throws {
      try requireShare(momentum, "momentum")
    }
  }
  let options: Options
  /// A rule with its share.
  public init(_ options: Options = Options()) { self.options = options }
  /// The source, again and again.
  public func configure(_ setup: inout AdaptationSetup) { setup.memory.readsSource = true }
  /// Mixes after a step.
  public func didStep(for loss: Loss, in context: inout AdaptationContext) {
    context.parameters.interpolate(toward: context.source, by: 1 - options.momentum, over: context.adapted)
  }
}

/// Mixes the adapted weights with a hidden model that a Kalman filter moves between the source and them.
///
/// Lee and Chang, "Continual Momentum Filtering on Parameter Space for Online Test-time Adaptation", ICLR 2024, as in
/// mariodoebler/test-time-adaptation: hidden ← α hidden + (1 − α) source, v ← α² v + q, β = max(r / (v + r), 0.89) with r = 1 − q, v ← β v,
/// hidden ← β hidden + (1 − β) θ, θ ← γ θ + (1 − γ) hidden; q is given for 38,400 parameters and scaled by their number. Deviation: a reset
/// sets v back, too.
public struct KalmanEnsembling: UpdateRule {
  /// The filter's constants.
  public struct Options: ComponentOptions {
    /// Share of the hidden model that stays on its way to the source.
    public var alpha: Float = 0.99
    /// Share of the adapted weights in the mixture.
    public var gamma: Float = 0.99
    /// Noise of the transition, for 38,400 parameters.
    public var q: Float = 0.005
    /// The paper's.
    public init() {}
    /// For `tta list`.
    public static let meanings = [
      "alpha": "share of the hidden model that stays on its way to the source", "gamma": "share of the adapted weights in the mixture",
      "q": "noise of the transition, for 38,400 adapted parameters",
    ]
  }
  let options: Options
  private var hidden: Parameters?
  /// v.
  public private(set) var variance = 0.0
  /// A filter with its constants.
  public init(_ options: Options = Options()) { self.options = options }

  /// One step of the filter: β and the new variance.
  public static func gain(variance: Double, alpha: Double, noise: Double) -> (beta: Double, variance: Double) {
    let predicted = alpha * alpha * variance + noise
    let beta = max((1 - noise) / (predicted + 1 - noise), 0.89)
    let rounded = beta >= 0.9999 ? 1 : beta
    return (rounded, rounded * predicted)
  }
  /// A hidden model.
  public mutating func configure(_ setup: inout AdaptationSetup) {
    setup.memory.copies += 1
    setup.memory.readsSource = true
  }
  /// Moves the hidden model and mixes.
  public mutating func didStep(for loss: Loss, in context: inout AdaptationContext) {
    let count = context.adapted.ids.reduce(0) { $0 + context.parameters[$1].elementCount }
    let noise = Double(options.q) * Double(count) / 38_400
    let (beta, variance) = Self.gain(variance: self.variance, alpha: Double(options.alpha), noise: noise)
    self.variance = variance
    var model = hidden ?? context.source
    hidden = nil
    model.interpolate(toward: context.source, by: 1 - options.alpha, over: context.adapted)
    if beta < 1 { model.interpolate(toward: context.parameters, by: Float(1 - beta), over: context.adapted) }
    context.parameters.interpolate(toward: model, by: 1 - options.gamma, over: context.adapted)
    hidden = model
  }
}
