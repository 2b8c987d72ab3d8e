// Streams that do not wait.

public import Engine

/// Pictures that arrive at a constant rate: what a method does not answer in time, the last model answers; no reset.
///
/// Alfarra et al., "Evaluation of Test-Time Adaptation Under Computational Time Constraints", ICML 2024.
public struct TimeConstrained: StreamSetting {
  /// Pictures per unit of time; 1 per source forward is the published rate.
  public var rate = 1.0
  /// The unit of time.
  public var unit = StreamPlan.Arrival.Unit.sourceForwards
  /// Order of the domains: a name of `DomainOrder`.
  public var order = "given"
  /// Order of the pictures within a domain.
  public var pictures = PictureOrder.file

  /// The defaults.
  public init() {}
  /// At the rate.
  public var arrival: StreamPlan.Arrival? { StreamPlan.Arrival(unit: unit, interval: 1 / rate) }
  /// All pictures, once per domain.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    guard rate > 0, rate.isFinite else {
      throw TTAError(.usage, "rate \(rate), expected more than 0", hint: "1 picture per source forward is the published rate")
    }
    return try DomainSequence(order: order, pictures: pictures).segments(of: contents, random)
  }
}
