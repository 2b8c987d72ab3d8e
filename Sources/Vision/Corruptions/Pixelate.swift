// Pixelation, as by enlarging a small picture.

import CVision

/// Averages down to a share of the side and enlarges again by repetition.
struct Pixelate: TabulatedCorruption {
  static let parameters = SeverityTable("share", none: 1, cifar: [0.95, 0.9, 0.85, 0.75, 0.65], imagenet: [0.6, 0.5, 0.4, 0.3, 0.25])
  /// Side of the small picture over the side of the large one.
  private let share: Double

  init(_ row: [Double], _ context: CorruptionContext) { share = row[0] }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let small = cvision_size(
      width: max(Int(Double(image.width) * share), 1), height: max(Int(Double(image.height) * share), 1))
    return image.changed { cvision_pixelate($0, image.loopSize, small, $1) }
  }
}
