// Spatter: drops on the lens.

import CVision

/// Drops of water (severities below 4) or mud.
struct Spatter: TabulatedCorruption {
  static let parameters = SeverityTable(
    ["mean", "deviation", "blur", "threshold", "intensity or second blur", "mud"], none: [0.65, 0.3, 4, 0.69, 0, 0],
    cifarNone: [0.62, 0.1, 0.7, 0.7, 0, 0],
    cifar: [
      [0.62, 0.1, 0.7, 0.7, 0.5, 0], [0.65, 0.1, 0.8, 0.7, 0.5, 0], [0.65, 0.3, 1, 0.69, 0.5, 0], [0.65, 0.1, 0.7, 0.69, 0.6, 1],
      [0.65, 0.1, 0.5, 0.68, 0.6, 1],
    ],
    imagenet: [
      [0.65, 0.3, 4, 0.69, 0.6, 0], [0.65, 0.3, 3, 0.68, 0.6, 0], [0.65, 0.3, 2, 0.68, 0.5, 0], [0.65, 0.3, 1, 0.65, 1.5, 1],
      [0.67, 0.4, 1, 0.65, 1.5, 1],
    ])
  private let row: [Double]
  private let liquid: GaussianKernel
  private let mud: GaussianKernel

  init(_ row: [Double], _ context: CorruptionContext) {
    self.row = row
    liquid = GaussianKernel(deviation: row[2])
    mud = GaussianKernel(deviation: row[5] == 1 ? row[4] : 0)
  }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let normals = draws.normals(image.width * image.height)
    return image.changed { samples, out in
      liquid.withLoopKernel { liquid in
        mud.withLoopKernel { mud in
          let splash = cvision_splash(
            mean: row[0], deviation: row[1], threshold: row[3], intensity: row[4], liquid: liquid, mud: mud, is_mud: row[5] == 1 ? 1 : 0)
          cvision_spatter(samples, image.loopSize, normals, splash, out)
        }
      }
    }
  }
}
