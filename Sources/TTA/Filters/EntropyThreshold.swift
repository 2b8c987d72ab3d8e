// Uncertain images are left out.

public import Engine
import Foundation

/// Keeps images whose entropy is below a share of ln K; may weigh the rest by exp(E₀ − H).
///
/// Niu et al., "Efficient Test-Time Model Adaptation without Forgetting", ICML 2022 (E₀ = 0.4 ln K, with weights); SAR uses it without weights, DeYO with
/// 0.5 ln K. K is the number of classes of the model: TTAB's fixed ln 1000 lets everything pass on CIFAR-10.
public struct EntropyThreshold: SampleFilter {
  /// Where the threshold lies.
  public struct Options: ComponentOptions {
    /// Threshold as a share of ln K.
    public var factor: Float = 0.4
    /// Whether certain images weigh more.
    public var weighing = false
    /// 0.4, no weights.
    public init() {}
    /// A threshold.
    public init(factor: Float, weighing: Bool) { (self.factor, self.weighing) = (factor, weighing) }
    /// For `tta list`.
    public static let meanings = ["factor": "threshold as a share of ln K", "weighing": "weighs what is kept by exp(threshold − entropy)"]
    /// Above 0.
    public func validate() throws {
      guard factor.isFinite, factor > 0 else { throw TTAError(.usage, "factor: expected a number above 0, got \(factor)") }
    }
  }
  let options: Options
  /// A filter with a threshold.
  public init(_ options: Options = Options()) { self.options = options }
  /// True.
  public var judgesImagesAlone: Bool { true }
  /// Drops what is not certain enough.
  public func weigh(_ weights: inout [Float], of output: Output, for batch: Batch, in context: inout AdaptationContext) {
    let threshold = options.factor * Float(log(Double(output.logits.rowElementCount)))
    for (i, entropy) in output.entropies.enumerated() where weights[i] != 0 {
      if entropy < threshold {
        if options.weighing { weights[i] *= Float(exp(Double(threshold - entropy))) }
      } else {
        weights[i] = 0
      }
    }
  }
}
