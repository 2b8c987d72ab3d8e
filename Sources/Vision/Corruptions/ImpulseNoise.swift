// Impulse noise: salt and pepper, as from bit errors.

import CVision

/// Replaces samples by the largest or the smallest value; channels are hit independently.
struct ImpulseNoise: Corruption {
  static let shares = SeverityRows(cifar: [0.01, 0.02, 0.03, 0.05, 0.07], imagenet: [0.03, 0.06, 0.09, 0.17, 0.27])
  /// Share of the samples that are replaced.
  let share: Double

  init(_ table: CorruptionTable, _ severity: Int) { share = Self.shares[table, severity] }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let hits = draws.uniforms(image.pixels.count)
    let sides = draws.uniforms(image.pixels.count)
    return Image(width: image.width, height: image.height) { target in
      image.withPixels { source in
        _ = cvision_add_impulses(CVISION_FASTEST, source, hits, sides, share, target, hits.count)
      }
    }
  }
}
