// The two protocols of the TTAB benchmark.

public import Engine

/// Shuffled domains, the model starts again before every batch; the evaluation then picks the best step by labels, an upper bound.
///
/// TTAB's first protocol (Zhao et al., ICML 2023).
public struct EpisodicOracle: StreamSetting {
  /// Order of the domains: a name of `DomainOrder`.
  public var order = "given"

  /// The defaults.
  public init() {}
  /// Before each batch.
  public var resets: StreamPlan.Reset { .eachBatch }
  /// All pictures, once per domain, shuffled.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    try DomainSequence(order: order, pictures: .shuffled).segments(of: contents, random)
  }
}

/// Shuffled domains, the model starts again before each; the evaluation reports the best cell of a grid of options.
///
/// TTAB's second protocol (Zhao et al., ICML 2023).
public struct OnlineGrid: StreamSetting {
  /// Order of the domains: a name of `DomainOrder`.
  public var order = "given"

  /// The defaults.
  public init() {}
  /// Before each domain.
  public var resets: StreamPlan.Reset { .eachDomain }
  /// All pictures, once per domain, shuffled.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    try DomainSequence(order: order, pictures: .shuffled).segments(of: contents, random)
  }
}
