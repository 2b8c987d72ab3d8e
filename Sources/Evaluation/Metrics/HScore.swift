// The harmonic mean of two rates.

/// The harmonic mean of two rates, so that neither can make up for the other.
public enum HScore {
  /// Of two shares 0...1, in per cent; 0 where both are 0.
  public static func percent(_ known: Double, _ unknown: Double) -> Double {
    known + unknown > 0 ? 200 * known * unknown / (known + unknown) : 0
  }
}
