// Frost on a window.

import CVision
import Engine

/// Blends the picture with a random part of a texture of frost.
///
/// The original draws one of five photographs, of which two are the same. They cannot be shipped; without them the textures are
/// procedural, and results say so.
struct Frost: TabulatedCorruption {
  static let parameters = SeverityTable(
    ["picture", "frost"], none: [1, 0], cifar: [[1, 0.2], [1, 0.3], [0.9, 0.4], [0.85, 0.4], [0.75, 0.45]],
    imagenet: [[1, 0.4], [0.8, 0.6], [0.7, 0.7], [0.65, 0.7], [0.6, 0.75]])
  private let own: Double
  private let other: Double
  private let textures: [Image]

  init(_ row: [Double], _ context: CorruptionContext) throws(TTAError) {
    (own, other) = (row[0], row[1])
    let whole =
      if let folder = context.frostDirectory { try FrostTextures.photographs(in: folder) } else { FrostTextures.procedural(context.seed) }
    textures = context.table == .cifar ? whole.map(FrostTextures.shrunk) : whole
  }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let texture = textures[Int(draws.integers(1, in: 0..<textures.count)[0])]
    let top = Int(draws.integers(1, in: 0..<max(1, texture.height - image.height))[0])
    let left = Int(draws.integers(1, in: 0..<max(1, texture.width - image.width))[0])
    let part = FrostTextures.part(of: texture, left: left, top: top, width: image.width, height: image.height)
    return image.changed { cvision_blend($0, part, own, other, $1, part.count) }
  }
}
