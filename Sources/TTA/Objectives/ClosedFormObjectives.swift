// Objectives that are one closed-form function of the logits; the formulas and their sources stand in `LossFunctions`.

public import Engine

/// The entropy of an opinion with a mass for uncertainty, in the place of the entropy: turns TENT, EATA and SAR into their COME variants.
///
/// Zhang et al., "COME: Test-time Adaption by Conservatively Minimizing Entropy", ICLR 2025. The mass is K, the number of classes; the
/// released code's README writes 1000, which is K of ImageNet.
public struct ConservativeEntropy: Objective {
  /// No options.
  public init() {}
  /// Each image has its own loss.
  public func part(_ images: Range<Int>) -> Self? { self }
  /// One loss and one gradient row per image.
  public func losses(of output: Output) -> Losses { LossFunctions.conservativeEntropy(output.logits) }
}

/// −Σ p log(p / (1 − p)): gradients that do not vanish for certain predictions.
///
/// Mummadi et al., "Test-Time Adaptation to Distribution Shift by Confidence Maximization and Input Transformation", 2021; as ROID uses it,
/// with p clipped at 0.99.
public struct SoftLikelihoodRatio: Objective {
  /// No options.
  public init() {}
  /// Each image has its own loss.
  public func part(_ images: Range<Int>) -> Self? { self }
  /// One loss and one gradient row per image.
  public func losses(of output: Output) -> Losses { LossFunctions.softLikelihoodRatio(output.logits) }
}

/// The conjugate of the polynomial loss: what a model trained with PolyLoss should minimise on unlabelled images. ε = 0 is the entropy.
///
/// Goyal et al., "Test-Time Adaptation via Conjugate Pseudo-labels", NeurIPS 2022, with the K × K system solved by the Sherman–Morrison formula.
public struct ConjugatePolynomial: Objective {
  /// ε of the source model's loss.
  public struct Options: ComponentOptions {
    /// ε; 0 for a model trained with cross entropy.
    public var epsilon: Float = 0
    /// Cross entropy.
    public init() {}
    /// For `tta list`.
    public static let meanings = ["epsilon": "ε of the PolyLoss that the source was trained with; 0 for cross entropy"]
    /// At least 0.
    public func validate() throws {
      guard epsilon.isFinite, epsilon >= 0 else { throw TTAError(.usage, "epsilon: expected a number of at least 0, got \(epsilon)") }
    }
  }
  let epsilon: Float
  /// The objective for a source loss.
  public init(_ options: Options = Options()) { epsilon = options.epsilon }
  /// Each image has its own loss.
  public func part(_ images: Range<Int>) -> Self? { self }
  /// One loss and one gradient row per image.
  public func losses(of output: Output) -> Losses { LossFunctions.conjugatePolynomial(output.logits, epsilon: Double(epsilon)) }
}

/// (1 − p_y^q) / q with y the most likely class: between cross entropy (q → 0) and absolute error (q = 1), so that wrong labels weigh less.
///
/// Zhang and Sabuncu, NeurIPS 2018; q = 0.8 as in Rusak et al., "If your data distribution shifts, use self-learning", TMLR 2022.
public struct GeneralizedCrossEntropy: Objective {
  /// The exponent.
  public struct Options: ComponentOptions {
    /// Above 0, at most 1.
    public var q: Float = 0.8
    /// q = 0.8.
    public init() {}
    /// For `tta list`.
    public static let meanings = ["q": "exponent: near 0 as cross entropy, 1 as absolute error"]
    /// Above 0, at most 1.
    public func validate() throws {
      guard q > 0, q <= 1 else { throw TTAError(.usage, "q: expected a number above 0 and at most 1, got \(q)") }
    }
  }
  let q: Float
  /// The objective with an exponent.
  public init(_ options: Options = Options()) { q = options.q }
  /// Each image has its own loss.
  public func part(_ images: Range<Int>) -> Self? { self }
  /// One loss and one gradient row per image.
  public func losses(of output: Output) -> Losses { LossFunctions.generalizedCrossEntropy(output.logits, q: Double(q)) }
}
