// Fog.

import CVision

/// Lays a plasma fractal over the picture, the same for all channels.
struct Fog: TabulatedCorruption {
  static let parameters = SeverityTable(
    ["strength", "decay"], none: [0, 2], cifarNone: [0, 3], cifar: [[0.2, 3], [0.5, 3], [0.75, 2.5], [1, 2], [1.5, 1.75]],
    imagenet: [[1.5, 2], [2, 2], [2.5, 1.7], [2.5, 1.5], [3, 1.4]])
  private let strength: Double
  private let decay: Double
  private let smallestMap: Int

  init(_ row: [Double], _ context: CorruptionContext) {
    (strength, decay) = (row[0], row[1])
    smallestMap = context.table == .cifar ? 32 : 256
  }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    var side = smallestMap
    while side < max(image.width, image.height) { side *= 2 }
    let uniforms = draws.uniforms(side * side - 1)
    let map = [Double](unsafeUninitializedCapacity: side * side) { buffer, initialized in
      cvision_plasma(uniforms, side, decay, buffer.baseAddress)
      initialized = side * side
    }
    return image.changed { cvision_fog($0, image.loopSize, map, side, strength, $1) }
  }
}
