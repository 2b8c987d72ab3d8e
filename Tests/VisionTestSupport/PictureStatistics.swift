// Statistics of a corrupted picture against its clean one, as the reference set defines them.

public import Vision

/// Statistics of one picture, or their means over several.
public struct PictureStatistics {
  /// By the names of the reference set: `mse`, `dmean_r`, `frac0`, `ac_x`, …
  public private(set) var values: [String: Double] = [:]

  /// The mean over pairs of clean and corrupted pictures.
  public init(meanOf pairs: [(clean: Image, corrupted: Image)]) {
    for pair in pairs {
      for (name, value) in Self.statistics(pair.clean, pair.corrupted) { values[name, default: 0] += value / Double(pairs.count) }
    }
  }

  private static func statistics(_ clean: Image, _ corrupted: Image) -> [String: Double] {
    let plane = clean.width * clean.height
    let samples = Double(plane * 3)
    let channels = (0..<3).map { channel in
      (0..<plane).map { Double(corrupted.pixels[$0 * 3 + channel]) - Double(clean.pixels[$0 * 3 + channel]) }
    }
    let outputs = (0..<3).map { channel in (0..<plane).map { Double(corrupted.pixels[$0 * 3 + channel]) } }
    let centred = channels.map(withoutMean)
    let luminance = (0..<plane).map { 0.299 * centred[0][$0] + 0.587 * centred[1][$0] + 0.114 * centred[2][$0] }
    var result = [
      "mse": channels.reduce(0) { $0 + product($1, $1) } / 3,
      "dstd": centred.reduce(0) { $0 + product($1, $1).squareRoot() } / 3,
      "ostd": outputs.map(withoutMean).reduce(0) { $0 + product($1, $1).squareRoot() } / 3,
      "frac0": Double(corrupted.pixels.count { $0 == 0 }) / samples,
      "frac255": Double(corrupted.pixels.count { $0 == 255 }) / samples,
      "corr_rg": correlation(centred[0], centred[1]),
      "corr_gb": correlation(centred[1], centred[2]),
      "ac_x": neighbours(luminance, width: clean.width, step: 1),
      "ac_y": neighbours(luminance, width: clean.width, step: clean.width),
    ]
    for (channel, name) in ["r", "g", "b"].enumerated() { result["dmean_\(name)"] = mean(channels[channel]) }
    return result
  }

  private static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
  private static func withoutMean(_ values: [Double]) -> [Double] {
    let mean = mean(values)
    return values.map { $0 - mean }
  }
  /// Mean of the products.
  private static func product(_ left: [Double], _ right: [Double]) -> Double {
    zip(left, right).reduce(0) { $0 + $1.0 * $1.1 } / Double(left.count)
  }
  private static func correlation(_ left: [Double], _ right: [Double]) -> Double {
    product(left, right) / (product(left, left) * product(right, right)).squareRoot()
  }
  /// Mean product of neighbours over the variance.
  private static func neighbours(_ values: [Double], width: Int, step: Int) -> Double {
    var sum = 0.0
    var pairs = 0
    for i in 0..<values.count - step where step > 1 || (i + 1) % width != 0 {
      sum += values[i] * values[i + step]
      pairs += 1
    }
    return sum / Double(pairs) / product(values, values)
  }
}
