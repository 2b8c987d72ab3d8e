// Resampling filters and their weights.

/// How a picture is resampled; all of them average over the source area when they shrink (antialiasing), as Pillow does.
public enum Interpolation: String, Codable, Sendable, CaseIterable {
  /// The mean of the covered pixels.
  case box
  /// A triangle over two pixels.
  case bilinear
  /// A cubic over four pixels, a = -0.5.
  case bicubic

  /// Half the width of the filter at scale 1.
  var support: Double {
    switch self {
    case .box: 0.5
    case .bilinear: 1
    case .bicubic: 2
    }
  }

  /// The filter at a distance from its centre.
  func weight(at position: Double) -> Double {
    let x = abs(position)
    switch self {
    case .box: return position > -0.5 && position <= 0.5 ? 1 : 0
    case .bilinear: return x < 1 ? 1 - x : 0
    case .bicubic:
      let a = -0.5
      if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
    }
  }
}

/// For each output position of one axis: where its source pixels start, and their weights in fixed point.
struct ResamplingWeights {
  /// Bits after the point: samples of 8 bits and two bits for overshoot leave 22.
  static let precision: Int32 = 32 - 8 - 2

  /// First source position of each output position.
  let starts: [Int]
  /// Number of source positions of each output position.
  let counts: [Int]
  /// `stride` weights per output position.
  let weights: [Int32]
  /// Distance between the weights of two output positions.
  let stride: Int

  /// The weights that turn `input` positions into `output` positions.
  init(from input: Int, to output: Int, _ interpolation: Interpolation) {
    let scale = Double(input) / Double(output)
    let filterScale = max(scale, 1)
    let support = interpolation.support * filterScale
    stride = Int(support.rounded(.up)) * 2 + 1
    var starts = [Int]()
    var counts = [Int]()
    var fixed = [Int32](repeating: 0, count: stride * output)
    let inverse = 1 / filterScale
    for position in 0..<output {
      let centre = (Double(position) + 0.5) * scale
      let first = max(Int(centre - support + 0.5), 0)
      let count = min(Int(centre + support + 0.5), input) - first
      let row = (0..<count).map { interpolation.weight(at: (Double($0 + first) - centre + 0.5) * inverse) }
      let total = row.reduce(0, +)
      for (index, weight) in row.enumerated() {
        let scaled = (total == 0 ? weight : weight / total) * Double(1 << Self.precision)
        fixed[position * stride + index] = Int32(scaled < 0 ? scaled - 0.5 : scaled + 0.5)
      }
      starts.append(first)
      counts.append(count)
    }
    self.starts = starts
    self.counts = counts
    weights = fixed
  }
}
