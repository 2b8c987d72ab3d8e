// Statistics of a corrupted picture against its clean one, as the reference set defines them.

public import Vision

/// Statistics of one picture, or their means over several.
public struct PictureStatistics {
  /// By the names of the reference set: `mse`, `dmean_r`, `frac0`, `ac_x`, …
  public private(set) var values: [String: Double] = [:]

  /// The mean over pairs of clean and corrupted pictures.
  public init(meanOf pairs: [(clean: Image, corrupted: Image)]) {
    // Power of two or not, all pictures of a set have one size.
    let transform = pairs.first.map { FourierTransform(count: $0.clean.width) }
    for pair in pairs {
      if let transform {
        for (name, value) in Self.spectra(pair.clean, pair.corrupted, transform) { values[name, default: 0] += value / Double(pairs.count) }
      }
      values["ssim", default: 0] += Self.similarity(pair.clean, pair.corrupted) / Double(pairs.count)
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
    let scale = (product(left, left) * product(right, right)).squareRoot()
    return scale > 0 ? product(left, right) / scale : 0
  }
  /// Mean product of neighbours over the variance.
  private static func neighbours(_ values: [Double], width: Int, step: Int) -> Double {
    var sum = 0.0
    var pairs = 0
    for i in 0..<values.count - step where step > 1 || (i + 1) % width != 0 {
      sum += values[i] * values[i + step]
      pairs += 1
    }
    let variance = product(values, values)
    return variance > 0 ? sum / Double(pairs) / variance : 0
  }

  private static func luminance(_ image: Image) -> [Double] {
    (0..<image.width * image.height).map { (place: Int) -> Double in
      let red = Double(image.pixels[3 * place])
      let green = Double(image.pixels[3 * place + 1])
      let blue = Double(image.pixels[3 * place + 2])
      return 0.299 * red + 0.587 * green + 0.114 * blue
    }
  }

  /// Mean power of the difference (`pd0`…) and of the corrupted picture (`po0`…) in rings of a sixteenth of a cycle per pixel.
  private static func spectra(_ clean: Image, _ corrupted: Image, _ transform: FourierTransform) -> [String: Double] {
    let side = clean.width
    var output = luminance(corrupted)
    var difference = zip(output, luminance(clean)).map { $0 - $1 }
    transform.transform(&output, &difference)
    var sums = [Double](repeating: 0, count: 24)
    for v in 0..<side {
      for u in 0..<side where u + v > 0 {
        let x = Double(min(u, side - u)) / Double(side)
        let y = Double(min(v, side - v)) / Double(side)
        let ring = Int((x * x + y * y).squareRoot() * 16)
        guard ring < 8 else { continue }
        let (i, j) = (v * side + u, (side - v) % side * side + (side - u) % side)
        // Two real planes were transformed at once.
        let (sumR, sumI) = (output[i] + output[j], difference[i] - difference[j])
        let (otherR, otherI) = (difference[i] + difference[j], output[j] - output[i])
        sums[ring] += (otherR * otherR + otherI * otherI) / 4
        sums[8 + ring] += (sumR * sumR + sumI * sumI) / 4
        sums[16 + ring] += 1
      }
    }
    var result = [String: Double]()
    for ring in 0..<8 {
      result["pd\(ring)"] = sums[ring] / sums[16 + ring] / Double(side * side)
      result["po\(ring)"] = sums[8 + ring] / sums[16 + ring] / Double(side * side)
    }
    return result
  }

  /// Structural similarity of the luminance: windows of 7×7, sample covariances.
  private static func similarity(_ clean: Image, _ corrupted: Image) -> Double {
    let (width, height) = (clean.width, clean.height)
    let (a, b) = (luminance(clean), luminance(corrupted))
    // Sums over windows by running sums over columns, for five planes.
    let planes = [a, b, zip(a, a).map(*), zip(b, b).map(*), zip(a, b).map(*)].map { windowSums($0, width, height) }
    let (c1, c2) = (0.01 * 255 * 0.01 * 255, 0.03 * 255 * 0.03 * 255)
    var total = 0.0
    for i in planes[0].indices {
      let (meanA, meanB) = (planes[0][i] / 49, planes[1][i] / 49)
      let varianceA = (planes[2][i] / 49 - meanA * meanA) * 49 / 48
      let varianceB = (planes[3][i] / 49 - meanB * meanB) * 49 / 48
      let covariance = (planes[4][i] / 49 - meanA * meanB) * 49 / 48
      let above = (2 * meanA * meanB + c1) * (2 * covariance + c2)
      let below = (meanA * meanA + meanB * meanB + c1) * (varianceA + varianceB + c2)
      total += above / below
    }
    return total / Double(planes[0].count)
  }
  private static func windowSums(_ plane: [Double], _ width: Int, _ height: Int) -> [Double] {
    var columns = [Double](repeating: 0, count: width)
    var sums = [Double]()
    for y in 0..<height {
      for x in 0..<width { columns[x] += plane[y * width + x] - (y >= 7 ? plane[(y - 7) * width + x] : 0) }
      guard y >= 6 else { continue }
      var sum = columns[..<6].reduce(0, +)
      for x in 6..<width {
        sum += columns[x]
        sums.append(sum)
        sum -= columns[x - 6]
      }
    }
    return sums
  }
}
