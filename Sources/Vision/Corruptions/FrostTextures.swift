// Textures of frost: photographs of a user, or procedural ones.

import CVision
import Engine
import Synchronization

/// The five textures that frost draws from.
enum FrostTextures {
  /// The published photographs; the sixth is never drawn.
  private static let names = ["frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg"]
  /// Side of a procedural texture.
  private static let side = 512

  /// The photographs of a folder. Throws where one is missing, damaged, or too small for the published crops.
  static func photographs(in folder: String) throws(TTAError) -> [Image] {
    var images = [Image]()
    for name in names {
      let image = try ImageCodec.load("\(folder)/\(name)")
      guard image.width > 224, image.height > 224 else {
        throw TTAError(
          .invalidData, "\"\(folder)/\(name)\" has \(image.sizeText) pixels, expected more than 224×224",
          hint: "take the photographs of github.com/hendrycks/robustness, or leave the folder out for procedural frost")
      }
      images.append(image)
    }
    return images
  }

  /// Textures with the statistics of the photographs, the same for the same seed; those of the last seed are kept.
  static func procedural(_ seed: UInt64) -> [Image] {
    kept.withLock { kept in
      if let kept, kept.seed == seed { return kept.textures }
      let distinct = FrostTarget.all.indices.map { texture($0, seed) }
      let textures = FrostTarget.slots.map { distinct[$0] }
      kept = (seed, textures)
      return textures
    }
  }
  private static let kept = Mutex<(seed: UInt64, textures: [Image])?>(nil)

  private static func texture(_ number: Int, _ seed: UInt64) -> Image {
    let target = FrostTarget.all[number]
    // Corruption number 0 has no pictures of its own: its words are free for the textures.
    var draws = CorruptionDraws(seed: seed, corruption: 0, severity: 0, picture: UInt64(number))
    let normals = draws.normals(side * side)
    let c = target.colours
    return Image(width: side, height: side) { out in
      FrostTarget.bandEdges.withUnsafeBufferPointer { edges in
        target.bandVariances.withUnsafeBufferPointer { variances in
          target.quantiles.withUnsafeBufferPointer { quantiles in
            let frost = cvision_frost(
              band_edges: edges.baseAddress, band_variances: variances.baseAddress, quantiles: quantiles.baseAddress,
              bands: variances.count,
              colours: (c[0], c[1], c[2], c[3], c[4], c[5]))
            cvision_frost_texture(normals, side, frost, out)
          }
        }
      }
    }
  }

  /// A fifth of the size for the small pictures, without averaging: OpenCV's bilinear scaling by five takes the middle pixels.
  static func shrunk(_ image: Image) -> Image {
    Image(width: image.width / 5, height: image.height / 5) { out in image.withPixels { cvision_every_fifth($0, image.loopSize, out) } }
  }

  /// A part of a texture, which is repeated or mirrored beyond its right and lower border.
  static func part(of texture: Image, left: Int, top: Int, size: cvision_size, repeats: Bool) -> Image {
    Image(width: size.width, height: size.height) { out in
      texture.withPixels { cvision_take_part($0, texture.loopSize, left, top, repeats ? 1 : 0, size, out) }
    }
  }
}
