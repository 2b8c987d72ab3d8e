// Pixelation, as by enlarging a small picture.

/// Averages down to a share of the side and enlarges again by repetition.
struct Pixelate: Corruption {
  static let shares = SeverityRows(cifar: [0.95, 0.9, 0.85, 0.75, 0.65], imagenet: [0.6, 0.5, 0.4, 0.3, 0.25])
  /// Side of the small picture over the side of the large one.
  let share: Double

  init(_ table: CorruptionTable, _ severity: Int) { share = Self.shares[table, severity] }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let width = max(Int(Double(image.width) * share), 1)
    let height = max(Int(Double(image.height) * share), 1)
    return image.resized(width: width, height: height, .box).resized(width: image.width, height: image.height, .box)
  }
}
