// Pictures as the numbers a network reads.

public import Engine

/// Turns 8-bit pictures into batches.
public enum ImageBatch {
  /// `[n, 3, height, width]` with every sample divided by 255; the pictures have one size.
  public static func tensor(of images: [Image]) -> Tensor {
    let (height, width) = (images.first?.height ?? 0, images.first?.width ?? 0)
    precondition(images.allSatisfy { $0.height == height && $0.width == width }, "pictures of several sizes in one batch")
    var batch = Tensor(uninitialized: [images.count, 3, height, width])
    batch.withMutablePointer { target in
      for (position, image) in images.enumerated() {
        image.withPixels { spread($0, over: target + position * 3 * height * width, count: height * width) }
      }
    }
    return batch
  }

  /// The same for `count` pictures that lie one behind the other in memory, rows of R G B.
  public static func tensor(of pixels: UnsafeRawBufferPointer, count: Int, height: Int, width: Int) -> Tensor {
    precondition(pixels.count == count * height * width * 3, "\(pixels.count) samples for \(count) pictures of \(width)×\(height)")
    var batch = Tensor(uninitialized: [count, 3, height, width])
    guard let source = pixels.bindMemory(to: UInt8.self).baseAddress else { return batch }
    let size = height * width * 3
    batch.withMutablePointer { target in
      for position in 0..<count { spread(source + position * size, over: target + position * size, count: height * width) }
    }
    return batch
  }

  /// One picture of a batch, rounded back to 8 bits.
  public static func image(_ position: Int, of batch: Tensor) -> Image {
    precondition(
      batch.shape.rank == 4 && batch.shape[1] == 3 && batch.shape[0] > position, "picture \(position) of a tensor \(batch.shape)")
    let (height, width) = (batch.shape[2], batch.shape[3])
    let plane = height * width
    return Image(width: width, height: height) { target in
      batch.withPointer { values in
        let source = values + position * 3 * plane
        for i in 0..<plane {
          for channel in 0..<3 {
            target[i * 3 + channel] = UInt8(min(max((source[channel * plane + i] * 255).rounded(), 0), 255))
          }
        }
      }
    }
  }

  /// `value / 255` in float for the 256 samples.
  private static let quotients = (0..<256).map { Float($0) / 255 }

  private static func spread(_ source: UnsafePointer<UInt8>, over target: UnsafeMutablePointer<Float>, count: Int) {
    quotients.withUnsafeBufferPointer { table in
      guard let table = table.baseAddress else { return }
      let (red, green, blue) = (target, target + count, target + 2 * count)
      var pixel = source
      for i in 0..<count {
        red[i] = table[Int(pixel[0])]
        green[i] = table[Int(pixel[1])]
        blue[i] = table[Int(pixel[2])]
        pixel += 3
      }
    }
  }
}
