// Defocus blur, as by a lens out of focus.

import CVision

/// Correlates every channel with a disc whose edge is slightly blurred.
struct DefocusBlur: TabulatedCorruption {
  static let parameters = SeverityTable(
    ["radius", "edge deviation"], none: [0, 0], cifar: [[0.3, 0.4], [0.4, 0.5], [0.5, 0.6], [1, 0.2], [1.5, 0.1]],
    imagenet: [[3, 0.1], [4, 0.5], [6, 0.5], [8, 0.5], [10, 0.5]])
  private let kernel: DiscKernel

  init(_ row: [Double], _ context: CorruptionContext) { kernel = DiscKernel(radius: row[0], deviation: row[1]) }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    image.changed { cvision_correlate($0, image.loopSize, kernel.weights, kernel.reach, kernel.isEven ? 1 : 0, $1) }
  }
}
