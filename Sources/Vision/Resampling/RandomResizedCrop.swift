// The random cut that training programs of ImageNet make.

public import Engine
import Foundation

/// Mirrors a picture with probability one half, takes a random part of it and brings that to the model's size: torchvision's `RandomHorizontalFlip`
/// and `RandomResizedCrop`, as the streams of CCC use them (Press et al., NeurIPS 2023).
public struct RandomResizedCrop: Hashable, Codable, Sendable {
  /// The part's area as a share of the picture's.
  public var area: ClosedRange<Double> = 0.08...1
  /// Width over height, drawn with a uniform logarithm.
  public var ratio: ClosedRange<Double> = 3.0 / 4...4.0 / 3

  /// torchvision's ranges.
  public init() {}

  /// Rows and columns of the part, and whether it is mirrored. Ten tries to fit; then the middle, as wide or as high as the ratio allows.
  func part(width: Int, height: Int, _ random: inout RandomSource) -> (left: Int, top: Int, width: Int, height: Int, isMirrored: Bool) {
    func uniform(_ range: ClosedRange<Double>) -> Double {
      range.lowerBound + (range.upperBound - range.lowerBound) * Double(random.uniform())
    }
    let isMirrored = random.uniform() < 0.5
    for _ in 0..<10 {
      let size = Double(width * height) * uniform(area)
      let form = exp(uniform(log(ratio.lowerBound)...log(ratio.upperBound)))
      let (w, h) = (Int((size * form).squareRoot().rounded(.toNearestOrEven)), Int((size / form).squareRoot().rounded(.toNearestOrEven)))
      guard 0 < w, w <= width, 0 < h, h <= height else { continue }
      let top = Int(Double(random.uniform()) * Double(height - h + 1))
      let left = Int(Double(random.uniform()) * Double(width - w + 1))
      return (left, top, w, h, isMirrored)
    }
    let form = min(max(Double(width) / Double(height), ratio.lowerBound), ratio.upperBound)
    let w = min(width, Int((Double(height) * form).rounded(.toNearestOrEven)))
    let h = min(height, Int((Double(width) / form).rounded(.toNearestOrEven)))
    return ((width - w) / 2, (height - h) / 2, w, h, isMirrored)
  }

  /// The part at the given size, resampled as Pillow does with its bilinear filter.
  public func apply(to image: Image, width: Int, height: Int, _ random: inout RandomSource) -> Image {
    let part = part(width: image.width, height: image.height, &random)
    let cut = Image(width: part.width, height: part.height) { target in
      image.withPixels { source in
        for y in 0..<part.height {
          let row = source + ((part.top + y) * image.width + part.left) * 3
          for x in 0..<part.width {
            let from = row + (part.isMirrored ? part.width - 1 - x : x) * 3
            (target + (y * part.width + x) * 3).update(from: from, count: 3)
          }
        }
      }
    }
    return cut.resized(width: width, height: height, .bilinear)
  }
}
