// Brightness, as by daylight.

import CVision

/// Raises the value of hue, saturation and value.
struct Brightness: TabulatedCorruption {
  static let parameters = SeverityTable("rise", none: 0, cifar: [0.05, 0.1, 0.15, 0.2, 0.3], imagenet: [0.1, 0.2, 0.3, 0.4, 0.5])
  /// What is added to the value.
  private let rise: Double

  init(_ row: [Double], _ context: CorruptionContext) { rise = row[0] }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    image.changed { cvision_recolor($0, 1, 0, rise, $1, image.width * image.height) }
  }
}
