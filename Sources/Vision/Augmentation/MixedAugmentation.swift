// Mixtures of chains of picture operations: the views of MEMO.

public import Engine
import Foundation

/// AugMix views without noise: a random crop and flip, then a random mixture of three chains of one to three operations, mixed with the picture itself.
///
/// Hendrycks et al., "AugMix", ICLR 2020, as MEMO (Zhang et al., NeurIPS 2022) uses it: mixture weights from Dirichlet(1, 1, 1) and Beta(1, 1); operations
/// autocontrast, equalize, posterize, rotate, solarize, shear and translate along both axes, at level 1 of 10; crops out of the picture padded by
/// an eighth of its side. Pixels that an operation brings in are black, resampling takes the nearest pixel, as Pillow's transform does.
/// Each image of a batch has draws of its own.
public struct MixedAugmentation: Augmentation {
  /// Strongest level of an operation, of 10.
  public var level: Float
  /// MEMO's level.
  public init(level: Float = 1) { self.level = level }

  /// One view of each image.
  public func view(_ number: Int, of images: Tensor, using random: inout RandomSource, on executor: Executor) throws -> Tensor {
    let dimensions = images.shape.dimensions
    guard dimensions.count == 4, dimensions[1] == 3 else {
      throw TTAError(
        .usage, "augmentation: expected colour images, got \(images.shape)", hint: "use a model with an input of three channels")
    }
    let (height, width) = (dimensions[2], dimensions[3])
    let size = 3 * height * width
    // Draws depend on the place of the image and the position of the generator alone.
    let seed = random.next()
    let values = images.values
    var views = [Float](repeating: 0, count: values.count)
    views.withUnsafeMutableBufferPointer { target in
      let base = SendableBase(target.baseAddress)
      executor.concurrently(images.count) { image in
        guard let target = base.pointer else { return }
        var draws = RandomSource(seed: seed).stream(UInt64(image))
        let picture = Planes(values[image * size..<(image + 1) * size].map { UInt8(max(0, min(255, $0 * 255 + 0.5))) }, height, width)
        let view = mixture(of: picture, &draws)
        for i in 0..<size { target[image * size + i] = view[i] }
      }
    }
    return Tensor(views, shape: images.shape)
  }
  private struct SendableBase: @unchecked Sendable {
    let pointer: UnsafeMutablePointer<Float>?
    init(_ pointer: UnsafeMutablePointer<Float>?) { self.pointer = pointer }
  }

  private func mixture(of picture: Planes, _ draws: inout RandomSource) -> [Float] {
    let cropped = picture.cropped(padding: picture.height / 8, &draws)
    let weights = (0..<3).map { _ in -log(max(draws.uniform(), 1e-12)) }
    let total = weights.reduce(0, +)
    let share = draws.uniform()
    var mixed = cropped.samples.map { share * Float($0) / 255 }
    for weight in weights {
      var chain = cropped
      for _ in 0..<Int.random(in: 1...3, using: &draws) {
        let operation = Operation.allCases[Int.random(in: Operation.allCases.indices, using: &draws)]
        chain = chain.applying(operation, level: draws.uniform(0.1, max(0.1, level)), &draws)
      }
      let factor = (1 - share) * weight / total / 255
      for i in mixed.indices { mixed[i] += factor * Float(chain.samples[i]) }
    }
    return mixed
  }

  enum Operation: CaseIterable {
    case autocontrast, equalize, posterize, rotate, solarize, shearX, shearY, translateX, translateY
  }
}

/// A colour picture in bytes, plane after plane.
private struct Planes {
  var samples: [UInt8]
  let height: Int, width: Int

  init(_ samples: [UInt8], _ height: Int, _ width: Int) { (self.samples, self.height, self.width) = (samples, height, width) }

  /// A random window of the picture with a black border, possibly mirrored.
  func cropped(padding: Int, _ draws: inout RandomSource) -> Planes {
    let (dx, dy) = (Int.random(in: -padding...padding, using: &draws), Int.random(in: -padding...padding, using: &draws))
    let flips = draws.uniform() < 0.5
    return moved { x, y in ((flips ? width - 1 - x : x) + dx, y + dy) }
  }
  /// Every pixel from where `source` says; black where that is outside.
  private func moved(_ source: (Int, Int) -> (Int, Int)) -> Planes {
    var result = Planes([UInt8](repeating: 0, count: samples.count), height, width)
    for y in 0..<height {
      for x in 0..<width {
        let (sx, sy) = source(x, y)
        guard sx >= 0, sy >= 0, sx < width, sy < height else { continue }
        for channel in 0..<3 { result.samples[(channel * height + y) * width + x] = samples[(channel * height + sy) * width + sx] }
      }
    }
    return result
  }
  /// The nearest pixel under the affine map a x + b y + c, d x + e y + f of pixel centres.
  private func affine(_ a: Float, _ b: Float, _ c: Float, _ d: Float, _ e: Float, _ f: Float) -> Planes {
    moved { x, y in
      let (px, py) = (Float(x) + 0.5, Float(y) + 0.5)
      return (Int((a * px + b * py + c).rounded(.down)), Int((d * px + e * py + f).rounded(.down)))
    }
  }
  /// Each plane through a table that its histogram gives.
  private func mapped(_ table: (_ histogram: [Int]) -> [UInt8]) -> Planes {
    var result = self
    let area = height * width
    for channel in 0..<3 {
      var histogram = [Int](repeating: 0, count: 256)
      for i in channel * area..<(channel + 1) * area { histogram[Int(samples[i])] += 1 }
      let table = table(histogram)
      for i in channel * area..<(channel + 1) * area { result.samples[i] = table[Int(samples[i])] }
    }
    return result
  }

  func applying(_ operation: MixedAugmentation.Operation, level: Float, _ draws: inout RandomSource) -> Planes {
    let share = level / 10
    func signed(_ value: Float) -> Float { draws.uniform() > 0.5 ? -value : value }
    switch operation {
    case .autocontrast:
      return mapped { histogram in
        guard let low = histogram.firstIndex(where: { $0 > 0 }), let high = histogram.lastIndex(where: { $0 > 0 }), high > low else {
          return (0...255).map(UInt8.init)
        }
        let scale = 255 / Float(high - low)
        return (0...255).map { UInt8(max(0, min(255, (Float($0 - low) * scale)))) }
      }
    case .equalize:
      return mapped { histogram in
        let occupied = histogram.filter { $0 > 0 }
        let step = (occupied.dropLast().reduce(0, +)) / 255
        guard occupied.count > 1, step > 0 else { return (0...255).map(UInt8.init) }
        var sum = step / 2
        return histogram.map { count in
          defer { sum += count }
          return UInt8(min(255, sum / step))
        }
      }
    case .posterize:
      let bits = 4 - Int(share * 4)
      let mask = UInt8(truncatingIfNeeded: 0xFF << (8 - bits))
      return mapped { _ in (0...255).map { UInt8($0) & mask } }
    case .solarize:
      let threshold = 256 - Int(share * 256)
      return mapped { _ in (0...255).map { UInt8($0 < threshold ? $0 : 255 - $0) } }
    case .rotate:
      let angle = signed(Float(Int(share * 30))) * .pi / 180
      let (c, s, cx, cy) = (cos(angle), sin(angle), Float(width) / 2, Float(height) / 2)
      return affine(c, -s, cx - c * cx + s * cy, s, c, cy - s * cx - c * cy)
    case .shearX: return affine(1, signed(share * 0.3), 0, 0, 1, 0)
    case .shearY: return affine(1, 0, 0, signed(share * 0.3), 1, 0)
    case .translateX: return affine(1, 0, signed(Float(Int(share * Float(width) / 3))), 0, 1, 0)
    case .translateY: return affine(1, 0, 0, 0, 1, signed(Float(Int(share * Float(height) / 3))))
    }
  }
}
