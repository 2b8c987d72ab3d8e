// Gaussian noise, as in low light.

import CVision

/// Adds normal noise to every sample.
struct GaussianNoise: TabulatedCorruption {
  static let parameters = SeverityTable(
    "deviation", none: 0, cifar: [0.04, 0.06, 0.08, 0.09, 0.10], imagenet: [0.08, 0.12, 0.18, 0.26, 0.38])
  /// Standard deviation in units of the full range.
  private let deviation: Double
  private let law: NoiseLaw

  init(_ row: [Double], _ context: CorruptionContext) {
    let deviation = row[0]
    self.deviation = deviation
    law = NoiseLaw(normalDeviation: { _ in deviation * 255 })
  }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let count = image.pixels.count
    switch draws.next(count) {
    case .words(let words): return law.sample(image, words)
    case .recorded(let normals): return image.changed { cvision_add_noise($0, normals, deviation, 0, $1, count) }
    }
  }
}
