// Low contrast, as in flat light.

/// Draws every sample towards the mean of its channel.
struct Contrast: Corruption {
  static let factors = SeverityRows(cifar: [0.75, 0.5, 0.4, 0.3, 0.15], imagenet: [0.4, 0.3, 0.2, 0.1, 0.05])
  /// What is left of the distance to the mean.
  let factor: Double

  init(_ table: CorruptionTable, _ severity: Int) { factor = Self.factors[table, severity] }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    let pixels = Double(image.width * image.height)
    return Image(width: image.width, height: image.height) { target in
      image.withPixels { source in
        for channel in 0..<3 {
          // Summed pixel by pixel in double: another order would move whole levels of flat pictures.
          var sum = 0.0
          for i in stride(from: channel, to: image.pixels.count, by: 3) { sum += Double(source[i]) / 255 }
          let mean = sum / pixels
          let table = (0..<256).map { sample((Double($0) / 255 - mean) * factor + mean) }
          table.withUnsafeBufferPointer { table in
            for i in stride(from: channel, to: image.pixels.count, by: 3) { target[i] = table[Int(source[i])] }
          }
        }
      }
    }
  }
}
