// Saturation, as by a filter or an old print.

import CVision

/// Scales and shifts the saturation of hue, saturation and value.
struct Saturate: TabulatedCorruption {
  static let parameters = SeverityTable(
    ["scale", "shift"], none: [1, 0], cifar: [[0.3, 0], [0.1, 0], [1.5, 0], [2, 0.1], [2.5, 0.2]],
    imagenet: [[0.3, 0], [0.1, 0], [2, 0], [5, 0.1], [20, 0.2]])
  private let scale: Double
  private let shift: Double

  init(_ row: [Double], _ context: CorruptionContext) { (scale, shift) = (row[0], row[1]) }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    image.changed { cvision_recolor($0, scale, shift, 0, $1, image.width * image.height) }
  }
}
