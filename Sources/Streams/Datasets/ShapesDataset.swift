// The built-in data set: rendered pictures of ten shapes.

import CShapes
public import Engine
public import Vision

/// The built-in picture set "shapes": 32×32 pictures of ten classes, drawn by formulas, the same bytes on every machine.
///
/// A picture depends on its number and the seed only and is rendered when asked for.
public struct ShapesDataset: LabeledImages {
  /// The classes in the order of their numbers.
  public static let classes = ["disc", "square", "triangle", "star", "cross", "ring", "heart", "crescent", "arrow", "hourglass"]
  /// Side of a picture.
  public static let side = Int(CSHAPES_SIDE)
  /// The 10,000 test pictures.
  public static let test = ShapesDataset(0..<10_000)
  /// The 10,000 pictures on which settings may be chosen.
  public static let validation = ShapesDataset(100_000..<110_000)
  /// The pictures of one training run; each is used once.
  public static func training(seed: UInt32) -> ShapesDataset {
    let start = UInt64(1) << 20 + UInt64(seed) << 24
    return ShapesDataset(start..<start + 1 << 24)
  }

  /// The numbers of the pictures.
  public let range: Range<UInt64>
  /// Names the sequence; 0 for all published ranges.
  public let seed: UInt64
  /// How many pictures there are.
  public let count: Int

  /// The pictures of a range of numbers.
  public init(_ range: Range<UInt64>, seed: UInt64 = 0) {
    self.range = range
    self.seed = seed
    count = Int(clamping: range.upperBound - range.lowerBound)
  }

  /// The classes by name.
  public var classNames: [String]? { Self.classes }
  /// Renders a picture.
  public func image(at index: Int) throws(TTAError) -> Image { render(index) }
  /// Its class: a tenth of the first uniform draw.
  public func label(at index: Int) -> Int? {
    let number = identity(at: index)
    return min(Int(Float(Philox(seed: seed).block(0, number).x >> 8) * 0x1p-24 * 10), 9)
  }
  /// `shapes 17`.
  public func name(at index: Int) -> String { "shapes \(identity(at: index))" }
  /// The picture's number.
  public func identity(at index: Int) -> UInt64 { range.lowerBound + UInt64(index) }

  /// Renders a picture; cannot fail.
  public func render(_ index: Int) -> Image {
    Image(width: Self.side, height: Self.side) { pixels in
      var label: Int32 = 0
      _ = cshapes_render(CSHAPES_FASTEST, pixels, &label, seed, identity(at: index), 1)
    }
  }
}
