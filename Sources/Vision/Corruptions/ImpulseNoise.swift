// Impulse noise: salt and pepper, as from bit errors.

import CVision

/// Replaces samples by the largest or the smallest value; channels are hit independently.
struct ImpulseNoise: TabulatedCorruption {
  static let parameters = SeverityTable(
    "share", none: 0, cifar: [0.01, 0.02, 0.03, 0.05, 0.07], imagenet: [0.03, 0.06, 0.09, 0.17, 0.27])
  /// Share of the samples that are replaced.
  private let share: Double

  init(_ row: [Double], _ context: CorruptionContext) { share = row[0] }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let count = image.pixels.count
    switch draws.next(count) {
    case .words(let words):
      let both = UInt32((share * 0x1p32).rounded())
      return image.changed { cvision_sample_impulses(words, both / 2, both, $0, $1, count) }
    case .recorded(let hits):
      let sides = draws.uniforms(count)
      return image.changed { cvision_add_impulses($0, hits, sides, share, $1, count) }
    }
  }
}
