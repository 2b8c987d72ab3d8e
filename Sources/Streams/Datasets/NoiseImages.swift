// Pictures of noise.

public import Engine
public import Vision

/// Pictures of independent normal samples: OWTTT's noise as an open set (Li et al., ICCV 2023), with the channel statistics of ImageNet as a
/// normalising model sees them, in 8 bits.
public struct NoiseImages: LabeledImages {
  /// How many pictures there are.
  public let count: Int
  /// Columns and rows.
  public let side: Int
  /// Names the pictures.
  public let seed: UInt64

  /// Square pictures of noise. Throws for a count below 0 or a side outside 1...4096.
  public init(count: Int, side: Int, seed: UInt64) throws(TTAError) {
    guard count >= 0, (1...4096).contains(side) else {
      throw TTAError(
        .usage, "\(count) pictures of noise with side \(side), expected at least 0 with side 1...4096", hint: "32 is the side of CIFAR's")
    }
    self.count = count
    self.side = side
    self.seed = seed
  }

  /// A picture, the same whenever it is asked for.
  public func image(at index: Int) throws(TTAError) -> Image {
    let size = side * side * 3
    var draws = CorruptionDraws(seed: seed, corruption: 0, severity: 0, picture: UInt64(index))
    let normals = draws.normals(size)
    let scales = Preprocessing.imageNetStd.map { 255 * $0 }
    let shifts = Preprocessing.imageNetMean.map { 255 * $0 + 0.5 }
    return Image(width: side, height: side) { pixels in
      normals.withUnsafeBufferPointer { normals in
        for i in 0..<size { pixels[i] = UInt8(min(max(normals[i] * scales[i % 3] + shifts[i % 3], 0), 255)) }
      }
    }
  }
  /// Nobody's class.
  public func label(at index: Int) -> Int? { -1 }
  /// `noise 17`.
  public func name(at index: Int) -> String { "noise \(index)" }
}
