// Snow.

import CVision

/// Falling flakes over a whitened picture.
struct Snow: TabulatedCorruption {
  static let parameters = SeverityTable(
    ["mean", "deviation", "zoom", "threshold", "fall radius", "fall deviation", "mix"], none: [0.1, 0.3, 3, 1, 10, 4, 1],
    cifarNone: [0.1, 0.2, 1, 1, 8, 3, 1],
    cifar: [
      [0.1, 0.2, 1, 0.6, 8, 3, 0.95], [0.1, 0.2, 1, 0.5, 10, 4, 0.9], [0.15, 0.3, 1.75, 0.55, 10, 4, 0.9],
      [0.25, 0.3, 2.25, 0.6, 12, 6, 0.85], [0.3, 0.3, 1.25, 0.65, 14, 12, 0.8],
    ],
    imagenet: [
      [0.1, 0.3, 3, 0.5, 10, 4, 0.8], [0.2, 0.3, 2, 0.5, 12, 4, 0.7], [0.55, 0.3, 4, 0.9, 12, 8, 0.7],
      [0.55, 0.3, 4.5, 0.85, 12, 8, 0.65], [0.55, 0.3, 2.5, 0.85, 12, 12, 0.55],
    ])
  private let row: [Double]

  init(_ row: [Double], _ context: CorruptionContext) { self.row = row }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let normals = draws.normals(image.width * image.height)
    let taps = MotionTaps(radius: row[4], deviation: row[5], degrees: draws.uniform(in: -135 ... -45))
    let snowfall = cvision_snowfall(mean: row[0], deviation: row[1], zoom: row[2], threshold: row[3], mix: row[6])
    return image.changed { samples, out in
      taps.withLoopTaps { cvision_snow(samples, image.loopSize, normals, snowfall, $0, out) }
    }
  }
}
