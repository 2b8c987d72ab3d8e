// Gaussian noise, as in low light.

import CVision

/// Adds normal noise to every sample.
struct GaussianNoise: Corruption {
  static let deviations = SeverityRows(cifar: [0.04, 0.06, 0.08, 0.09, 0.10], imagenet: [0.08, 0.12, 0.18, 0.26, 0.38])
  /// Standard deviation in units of the full range.
  let deviation: Double

  init(_ table: CorruptionTable, _ severity: Int) { deviation = Self.deviations[table, severity] }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let normals = draws.normals(image.pixels.count)
    return Image(width: image.width, height: image.height) { target in
      image.withPixels { source in
        _ = cvision_add_noise(CVISION_FASTEST, source, normals, deviation, target, normals.count)
      }
    }
  }
}

/// A value of the unit range as a sample: clipped, then truncated.
@inline(__always) func sample(_ value: Double) -> UInt8 { UInt8(truncatingIfNeeded: Int32(min(max(value, 0), 1) * 255)) }
