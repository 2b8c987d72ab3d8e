// Elastic transform: stretched and wrung.

import CVision

/// Moves three points of the picture affinely, then every pixel along smooth random fields.
struct ElasticTransform: TabulatedCorruption {
  // The published ImageNet parameters multiply a side of 244, not 224.
  static let parameters = SeverityTable(
    ["strength", "deviation", "affine"], none: [0, 999, 0], cifarNone: [0, 0, 0],
    cifar: [[0, 0, 0.08], [0.05, 0.2, 0.07], [0.08, 0.06, 0.06], [0.1, 0.04, 0.05], [0.1, 0.03, 0.03]].map { $0.map { 32 * $0 } },
    imagenet: [[2, 0.7, 0.1], [2, 0.08, 0.2], [0.05, 0.01, 0.02], [0.07, 0.01, 0.02], [0.12, 0.01, 0.02]].map { $0.map { 244 * $0 } })
  private let strength: Double
  private let kernel: GaussianKernel
  private let affine: Double

  init(_ row: [Double], _ context: CorruptionContext) {
    strength = row[0]
    kernel = GaussianKernel(deviation: row[1], truncate: 3)
    affine = row[2]
  }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let shifts = draws.uniforms(6).map { Float(-affine + 2 * affine * Double($0)) }
    let columns = draws.uniforms(image.width * image.height)
    let rows = draws.uniforms(image.width * image.height)
    let inverse = Self.inverse(width: image.width, height: image.height, shifts)
    return image.changed { samples, out in
      kernel.withLoopKernel { cvision_elastic(samples, image.loopSize, inverse, columns, rows, $0, strength, out) }
    }
  }

  /// The affine map back from the moved points: where each pixel comes from.
  private static func inverse(width: Int, height: Int, _ shifts: [Float]) -> [Double] {
    let (x, y, q) = (Float(width / 2), Float(height / 2), Float(min(width, height) / 3))
    let from = [(x + q, y + q), (x + q, y - q), (x - q, y - q)].map { (x: Double($0.0), y: Double($0.1)) }
    let to = from.indices.map { (x: Double(Float(from[$0].x) + shifts[2 * $0]), y: Double(Float(from[$0].y) + shifts[2 * $0 + 1])) }
    // Both axes of the square of points: the first edge runs along the rows, the second along the columns.
    let edges = (
      (x: to[0].x - to[1].x, y: to[0].y - to[1].y), (x: to[1].x - to[2].x, y: to[1].y - to[2].y)
    )
    let side = 2 * Double(q)
    guard side > 0 else { return [1, 0, 0, 0, 1, 0] }
    let m = (xx: edges.1.x / side, xy: edges.0.x / side, yx: edges.1.y / side, yy: edges.0.y / side)
    let offset = (x: to[0].x - m.xx * from[0].x - m.xy * from[0].y, y: to[0].y - m.yx * from[0].x - m.yy * from[0].y)
    let determinant = m.xx * m.yy - m.xy * m.yx
    let scale = determinant == 0 ? 0 : 1 / determinant
    let (a, b, c, d) = (m.yy * scale, -m.xy * scale, -m.yx * scale, m.xx * scale)
    return [a, b, -a * offset.x - b * offset.y, c, d, -c * offset.x - d * offset.y]
  }
}
