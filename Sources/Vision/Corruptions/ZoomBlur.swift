// Zoom blur, as by a camera that moves towards its subject.

import CVision

/// The mean of a picture and its enlargements.
///
/// The factors are 1, 1 + step, … below `end`, counted as NumPy's arange counts them: rounding lets some series include their end.
struct ZoomBlur: TabulatedCorruption {
  static let parameters = SeverityTable(
    ["end", "step"], none: [1, 0.01], cifar: [[1.06, 0.01], [1.11, 0.01], [1.16, 0.01], [1.21, 0.01], [1.26, 0.01]],
    imagenet: [[1.11, 0.01], [1.16, 0.01], [1.21, 0.02], [1.26, 0.02], [1.31, 0.03]])
  private let step: Double
  /// How many enlargements, with the factor 1.
  let count: Int

  init(_ row: [Double], _ context: CorruptionContext) {
    step = row[1]
    count = Int(((row[0] - 1) / row[1]).rounded(.up))
  }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    image.changed { cvision_zoom_blur($0, image.loopSize, step, count, $1) }
  }
}
