// The two numbers that are called mean corruption error.

/// Mean corruption error over the standard corruptions (Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
/// Perturbations", ICLR 2019). Two numbers go by that name; they are kept apart here.
public enum MeanCorruptionError {
  /// Mean over corruptions of the mean over severities of the error, in per cent. `errors` holds per corruption one error per severity.
  public static func unnormalizedPercent(_ errors: [String: [Double]]) -> Double? {
    guard !errors.isEmpty, errors.values.allSatisfy({ !$0.isEmpty }) else { return nil }
    let means = errors.sorted { $0.key < $1.key }.map { $0.value.reduce(0, +) / Double($0.value.count) }
    return means.reduce(0, +) / Double(means.count)
  }
  /// Mean over the fifteen corruptions of the error divided by AlexNet's, in per cent. Nil unless every one of them has all five severities:
  /// AlexNet's published errors are means over five. They are of ImageNet-C and mean nothing elsewhere.
  public static func alexNetNormalizedPercent(_ errors: [String: [Double]]) -> Double? {
    var sum = 0.0
    for (name, reference) in AlexNetErrors.percent {
      guard let own = errors[name], own.count == 5 else { return nil }
      sum += own.reduce(0, +) / 5 / reference
    }
    return 100 * sum / Double(AlexNetErrors.percent.count)
  }
}
