// Motion blur, as by a moving camera.

import CVision

/// Smears the picture along a line near the horizontal.
struct MotionBlur: TabulatedCorruption {
  static let parameters = SeverityTable(
    ["radius", "deviation"], none: [0, 0], cifar: [[6, 1], [6, 1.5], [6, 2], [8, 2], [9, 2.5]],
    imagenet: [[10, 3], [15, 5], [15, 8], [15, 12], [20, 15]])
  private let radius: Double
  private let deviation: Double

  init(_ row: [Double], _ context: CorruptionContext) { (radius, deviation) = (row[0], row[1]) }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let taps = MotionTaps(radius: radius, deviation: deviation, degrees: draws.uniform(in: -45...45))
    return image.changed { samples, out in taps.withLoopTaps { cvision_motion(samples, image.loopSize, $0, out) } }
  }
}
