// Shot noise: light comes in photons.

import CVision

/// Replaces every sample by a count of photons that has it as its mean.
struct ShotNoise: TabulatedCorruption {
  static let parameters = SeverityTable(
    "photons", none: .infinity, cifar: [500, 250, 100, 75, 50], imagenet: [60, 25, 12, 5, 3], reciprocals: true)
  /// Photons of the brightest level.
  private let photons: Double
  private let law: NoiseLaw

  init(_ row: [Double], _ context: CorruptionContext) {
    let photons = row[0]
    self.photons = photons
    law = NoiseLaw { value in
      // The law of Poisson; counts that saturate are the rest.
      let mean = photons * Double(value) / 255
      var probabilities = [Double](repeating: 0, count: 256)
      guard mean.isFinite else {
        probabilities[value] = 1
        return probabilities
      }
      var (probability, count, total) = (NoiseLaw.exponential(-mean), 0.0, 0.0)
      while count < photons {
        probabilities[Int(count / photons * 255)] += probability
        total += probability
        count += 1
        probability *= mean / count
      }
      probabilities[255] += max(0, 1 - total)
      return probabilities
    }
  }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let count = image.pixels.count
    switch draws.next(count) {
    case .words(let words): return law.sample(image, words)
    case .recorded(let counts): return image.changed { cvision_counts(counts, photons, $1, count) }
    }
  }
}
