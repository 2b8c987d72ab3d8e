// Defocus blur, as by a lens out of focus.

import CVision

/// Correlates every channel with a disc whose edge is slightly blurred.
struct DefocusBlur: Corruption {
  /// Radius of the disc, deviation of the Gaussian that smooths its edge.
  typealias Row = (radius: Double, deviation: Double)
  static let rows = SeverityRows<Row>(
    cifar: [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
    imagenet: [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)])
  /// The blurred disc.
  let kernel: DiscKernel

  init(_ table: CorruptionTable, _ severity: Int) {
    let row = Self.rows[table, severity]
    kernel = DiscKernel(radius: row.radius, deviation: row.deviation)
  }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    Image(width: image.width, height: image.height) { target in
      image.withPixels { source in
        let done = cvision_correlate(CVISION_FASTEST, source, image.width, image.height, kernel.weights, kernel.reach, target)
        precondition(done == 1, "out of memory for a picture of \(image.sizeText)")
      }
    }
  }
}
