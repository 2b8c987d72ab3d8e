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
  private let isProcedural: Bool

  init(_ row: [Double], _ context: CorruptionContext) throws(TTAError) {
    (own, other) = (row[0], row[1])
    isProcedural = context.frostDirectory == nil
    let whole =
      if let folder = context.frostDirectory { try FrostTextures.photographs(in: folder) } else { FrostTextures.procedural(context.seed) }
    textures = context.table == .cifar ? whole.map(FrostTextures.shrunk) : whole
  }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let texture = textures[Int(draws.integers(1, in: 0..<textures.count)[0])]
    // Procedural textures have no border: a part may start anywhere.
    func start(_ length: Int, _ part: Int) -> Range<Int> { 0..<(isProcedural ? length : max(1, length - part)) }
    let top = Int(draws.integers(1, in: start(texture.height, image.height))[0])
    let left = Int(draws.integers(1, in: start(texture.width, image.width))[0])
    let part = FrostTextures.part(of: texture, left: left, top: top, size: image.loopSize, repeats: isProcedural)
    return part.withPixels { frost in
      image.changed { cvision_blend($0, frost, own, other, $1, image.pixels.count) }
    }
  }
}
