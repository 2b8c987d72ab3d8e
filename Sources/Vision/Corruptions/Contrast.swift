// Low contrast, as in flat light.

import CVision

/// Draws every sample towards the mean of its channel.
struct Contrast: TabulatedCorruption {
  static let parameters = SeverityTable("factor", none: 1, cifar: [0.75, 0.5, 0.4, 0.3, 0.15], imagenet: [0.4, 0.3, 0.2, 0.1, 0.05])
  /// What is left of the distance to the mean.
  private let factor: Double

  init(_ row: [Double], _ context: CorruptionContext) { factor = row[0] }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    image.changed { cvision_contrast($0, factor, $1, image.width * image.height) }
  }
}
