// A little of the source comes back at every step.

import Engine

/// Each adapted element goes back to its source value with a small probability after every step.
///
/// Stochastic restoration of CoTTA (Wang et al., CVPR 2022, equations 7–8). 0.01 on CIFAR; the released ImageNet code uses 0.001.
public struct StochasticRestore: UpdateRule {
  /// The probability.
  public struct Options: ComponentOptions {
    /// Probability per element and step.
    public var rate: Float = 0.01
    /// 0.01.
    public init() {}
    /// A rate.
    public init(rate: Float) { self.rate = rate }
    /// For `tta list`.
    public static let meanings = ["rate": "probability with which an element goes back to the source at each step"]
    /// From 0 to 1.
    public func validate() throws {
      try requireShare(rate, "rate")
    }
  }
  let options: Options
  /// Recorded places in the concatenation of all adapted tensors, one step after the other, in place of random ones.
  package var recorded: [[Int]] = []
  /// A rule with a rate.
  public init(_ options: Options = Options()) { self.options = options }
  /// Restores after a step.
  public mutating func didStep(for loss: Loss, in context: inout AdaptationContext) {
    if !recorded.isEmpty {
      restore(recorded.removeFirst(), in: &context)
    } else if options.rate > 0 {
      context.parameters.restore(from: context.source, fraction: options.rate, over: context.adapted, using: &context.random)
    }
  }
  private func restore(_ places: [Int], in context: inout AdaptationContext) {
    var start = 0
    for id in context.adapted.ids {
      let original = context.source[id]
      let own = places.filter { $0 >= start && $0 < start + original.elementCount }.map { $0 - start }
      if !own.isEmpty {
        context.parameters.update(id) { tensor in
          tensor.update { span in original.withSpan { source in for place in own { span[place] = source[place] } } }
        }
      }
      start += original.elementCount
    }
  }
}
