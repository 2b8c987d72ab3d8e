// Brightness, as by daylight.

/// Raises the value of hue, saturation and value.
struct Brightness: Corruption {
  static let rises = SeverityRows(cifar: [0.05, 0.1, 0.15, 0.2, 0.3], imagenet: [0.1, 0.2, 0.3, 0.4, 0.5])
  /// What is added to the value.
  let rise: Double

  init(_ table: CorruptionTable, _ severity: Int) { rise = Self.rises[table, severity] }

  func apply(to image: Image, draws: inout CorruptionDraws) -> Image {
    Image(width: image.width, height: image.height) { target in
      image.withPixels { source in
        for i in stride(from: 0, to: image.pixels.count, by: 3) {
          var colour = HueSaturationValue(
            red: Double(source[i]) / 255, green: Double(source[i + 1]) / 255, blue: Double(source[i + 2]) / 255)
          colour.value = min(max(colour.value + rise, 0), 1)
          let (red, green, blue) = colour.rgb
          target[i] = sample(red)
          target[i + 1] = sample(green)
          target[i + 2] = sample(blue)
        }
      }
    }
  }
}
