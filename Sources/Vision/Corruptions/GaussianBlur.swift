// Gaussian blur.

import CVision

/// Blurs every channel with a Gaussian.
struct GaussianBlur: TabulatedCorruption {
  static let parameters = SeverityTable("deviation", none: 0, cifar: [0.4, 0.6, 0.7, 0.8, 1], imagenet: [1, 2, 3, 4, 6])
  private let kernel: GaussianKernel

  init(_ row: [Double], _ context: CorruptionContext) { kernel = GaussianKernel(deviation: row[0]) }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    image.changed { samples, out in kernel.withLoopKernel { cvision_gaussian_blur(samples, image.loopSize, $0, out) } }
  }
}
