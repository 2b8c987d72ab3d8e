// Speckle noise: stronger where it is bright.

import CVision

/// Adds normal noise in proportion to every sample.
struct SpeckleNoise: TabulatedCorruption {
  static let parameters = SeverityTable(
    "deviation", none: 0, cifar: [0.06, 0.1, 0.12, 0.16, 0.2], imagenet: [0.15, 0.2, 0.35, 0.45, 0.6])
  /// Standard deviation in units of the sample.
  private let deviation: Double
  private let law: NoiseLaw

  init(_ row: [Double], _ context: CorruptionContext) {
    let deviation = row[0]
    self.deviation = deviation
    law = NoiseLaw(normalDeviation: { deviation * Double($0) })
  }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let count = image.pixels.count
    switch draws.next(count) {
    case .words(let words): return law.sample(image, words)
    case .recorded(let normals): return image.changed { cvision_add_noise($0, normals, deviation, 1, $1, count) }
    }
  }
}
