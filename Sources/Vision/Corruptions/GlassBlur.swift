// Glass blur, as by frosted glass.

import CVision

/// Blurs, moves pixels about near their places, and blurs again.
///
/// The original means to swap pixels but copies them, and its steps reach one pixel further up and left than down and right; the
/// published pictures are made so.
struct GlassBlur: TabulatedCorruption {
  static let parameters = SeverityTable(
    ["deviation", "distance", "rounds"], none: [0, 0, 0],
    cifar: [[0.05, 1, 1], [0.25, 1, 1], [0.4, 1, 1], [0.25, 1, 2], [0.4, 1, 2]],
    imagenet: [[0.7, 1, 2], [0.9, 2, 1], [1, 2, 3], [1.1, 3, 2], [1.5, 4, 2]])
  private let kernel: GaussianKernel
  private let distance: Int
  private let rounds: Int

  init(_ row: [Double], _ context: CorruptionContext) {
    kernel = GaussianKernel(deviation: row[0])
    distance = max(1, Int(row[1].rounded(.toNearestOrEven)))
    rounds = Int(row[2].rounded(.toNearestOrEven))
  }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let visited = max(0, image.width - 2 * distance) * max(0, image.height - 2 * distance) * rounds
    let steps = draws.integers(2 * visited, in: -distance..<distance)
    return image.changed { samples, out in
      kernel.withLoopKernel { cvision_glass(samples, image.loopSize, $0, distance, visited > 0 ? rounds : 0, steps, out) }
    }
  }
}
