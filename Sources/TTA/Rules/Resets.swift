// Rules that send a stream back to its start.

import Engine

/// Asks for a reset after every so many steps.
///
/// Press et al., "RDumb: A simple approach that questions our progress in continual test-time adaptation", NeurIPS 2023, as a rule for any
/// gradient strategy. Steps are counted, not batches; the strategy `rdumb` counts batches.
public struct PeriodicReset: UpdateRule {
  /// The period.
  public struct Options: ComponentOptions {
    /// Steps between resets.
    public var every = 1_000
    /// 1,000.
    public init() {}
    /// For `tta list`.
    public static let meanings = ["every": "steps between resets"]
    /// At least 1.
    public func validate() throws {
      guard every >= 1 else { throw TTAError(.usage, "every: expected at least 1, got \(every)") }
    }
  }
  let options: Options
  private var steps = 0
  /// A rule with its period.
  public init(_ options: Options = Options()) { self.options = options }
  /// Counts, and asks.
  public mutating func didStep(for loss: Loss, in context: inout AdaptationContext) {
    steps += 1
    if steps >= options.every { context.requestReset() }
  }
}

/// Asks for a reset when the moving average of the loss falls below a level: an entropy near 0 for everything is a collapsed model.
///
/// The recovery scheme of SAR (Niu et al., ICLR 2023) as a rule for any entropy-minimising strategy; the average starts afresh after a reset.
public struct CollapseReset: UpdateRule {
  /// The level.
  public struct Options: ComponentOptions {
    /// Moving average of the loss below which the model counts as collapsed.
    public var level: Float = 0.2
    /// 0.2.
    public init() {}
    /// For `tta list`.
    public static let meanings = ["level": "moving average of the loss below which the stream is reset"]
  }
  let options: Options
  private var average: Float?
  /// A rule with its level.
  public init(_ options: Options = Options()) { self.options = options }
  /// Follows the loss, and asks.
  public mutating func didStep(for loss: Loss, in context: inout AdaptationContext) {
    average = average.map { 0.9 * $0 + 0.1 * loss.value } ?? loss.value
    if let average, average < options.level { context.requestReset() }
  }
}
