// Resizing and cropping, to the bit as Pillow and torchvision do it.

extension Image {
  /// The picture at another size: horizontally, then vertically, with 8-bit samples in between.
  public func resized(width newWidth: Int, height newHeight: Int, _ interpolation: Interpolation) -> Image {
    precondition(newWidth > 0 && newHeight > 0 && width > 0 && height > 0, "\(sizeText) to \(newWidth)×\(newHeight)")
    var result = self
    let vertical = newHeight == height ? nil : ResamplingWeights(from: height, to: newHeight, interpolation)
    if newWidth != width {
      let horizontal = ResamplingWeights(from: width, to: newWidth, interpolation)
      result = result.resampledRows(to: newWidth, horizontal)
    }
    if let vertical { result = result.resampledColumns(to: newHeight, vertical) }
    return result
  }

  /// The shorter side becomes `side`, the longer one keeps the ratio, rounded down.
  public func resized(shortSide side: Int, _ interpolation: Interpolation) -> Image {
    let longer = side * max(width, height) / min(width, height)
    return width <= height
      ? resized(width: side, height: longer, interpolation) : resized(width: longer, height: side, interpolation)
  }

  /// The middle part; where the picture is smaller, it is padded with black. An odd rest is halved to the even neighbour.
  public func centerCropped(width newWidth: Int, height newHeight: Int) -> Image {
    func offset(_ size: Int, _ target: Int) -> Int {
      let difference = size - target
      if difference < 0 { return -(-difference / 2) }
      let half = difference / 2
      return difference % 2 == 0 || half % 2 == 0 ? half : half + 1
    }
    let left = offset(width, newWidth)
    let top = offset(height, newHeight)
    let columns = max(left, 0)..<min(left + newWidth, width)
    var pixels = [UInt8](repeating: 0, count: newWidth * newHeight * 3)
    for y in max(top, 0)..<min(top + newHeight, height) {
      let source = (y * width + columns.lowerBound) * 3
      let target = ((y - top) * newWidth + columns.lowerBound - left) * 3
      pixels.replaceSubrange(target..<target + columns.count * 3, with: self.pixels[source..<source + columns.count * 3])
    }
    return Image(width: newWidth, height: newHeight, pixels: pixels)
  }

  private func resampledRows(to newWidth: Int, _ table: ResamplingWeights) -> Image {
    let (rows, columns) = (height, width)
    return Image(width: newWidth, height: rows) { target in
      withPixels { source in
        table.starts.withUnsafeBufferPointer { starts in
          table.counts.withUnsafeBufferPointer { counts in
            table.weights.withUnsafeBufferPointer { weights in
              for y in 0..<rows {
                let row = source + y * columns * 3
                var out = target + y * newWidth * 3
                for x in 0..<newWidth {
                  var pixel = row + starts[x] * 3
                  let first = x &* table.stride
                  var (red, green, blue) = (half, half, half)
                  for k in first..<first &+ counts[x] {
                    let weight = weights[k]
                    red &+= Int32(pixel[0]) &* weight
                    green &+= Int32(pixel[1]) &* weight
                    blue &+= Int32(pixel[2]) &* weight
                    pixel += 3
                  }
                  out[0] = byte(red)
                  out[1] = byte(green)
                  out[2] = byte(blue)
                  out += 3
                }
              }
            }
          }
        }
      }
    }
  }

  private func resampledColumns(to newHeight: Int, _ table: ResamplingWeights) -> Image {
    let stride = width * 3
    return Image(width: width, height: newHeight) { target in
      withPixels { source in
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: stride) { buffer in
          guard let sums = buffer.baseAddress else { return }
          for y in 0..<newHeight {
            sums.initialize(repeating: half, count: stride)
            for k in 0..<table.counts[y] {
              let row = source + (table.starts[y] + k) * stride
              let weight = table.weights[y * table.stride + k]
              for i in 0..<stride { sums[i] &+= Int32(row[i]) &* weight }
            }
            let out = target + y * stride
            for i in 0..<stride { out[i] = byte(sums[i]) }
          }
        }
      }
    }
  }
}

/// One half in fixed point, for rounding.
private let half: Int32 = 1 << (ResamplingWeights.precision - 1)

/// A rounded fixed-point sum as a sample.
@inline(__always) private func byte(_ sum: Int32) -> UInt8 {
  UInt8(truncatingIfNeeded: min(max(sum >> ResamplingWeights.precision, 0), 255))
}
