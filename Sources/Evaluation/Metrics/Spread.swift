// How much a number varies between runs.

/// A mean and its standard error over runs, such as seeds.
public struct Spread: Codable, Hashable, Sendable {
  /// The mean.
  public var mean: Double
  /// Standard error of the mean; nil for fewer than two runs.
  public var standardError: Double?

  /// Over one value per run; 0 without any.
  public init(_ values: [Double]) {
    let mean = values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count)
    self.mean = mean
    guard values.count > 1 else { return }
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    standardError = (squares / Double(values.count - 1) / Double(values.count)).squareRoot()
  }
}
