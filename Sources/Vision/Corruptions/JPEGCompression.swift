// JPEG compression.

/// Compresses and decodes.
struct JPEGCompression: TabulatedCorruption {
  static let parameters = SeverityTable("quality", none: 85, cifar: [80, 65, 58, 50, 40], imagenet: [25, 18, 15, 10, 7])
  private let quality: Int

  init(_ row: [Double], _ context: CorruptionContext) { quality = Int(row[0].rounded(.toNearestOrEven)) }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    guard !image.pixels.isEmpty else { return image }
    do {
      return try ImageCodec.decode(ImageCodec.jpeg(image, quality: quality), name: "a compressed picture")
    } catch {
      // Only a picture beyond 65500 pixels a side or a process without memory gets here.
      preconditionFailure("a picture of \(image.sizeText) pixels cannot be a JPEG: \(error)")
    }
  }
}
