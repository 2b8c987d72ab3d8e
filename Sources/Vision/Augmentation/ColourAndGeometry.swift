// The augmentation of CoTTA, and its weaker form of ROID.

internal import CAugmentation
internal import CVision
public import Engine

/// One draw of all parameters of a view.
public struct AugmentationParameters: Codable, Hashable, Sendable {
  /// Colour steps in order: 0 brightness, 1 contrast, 2 saturation, 3 hue, 4 gamma.
  public var order = [0, 1, 2, 3, 4]
  /// Factors of the colour steps; hue is a part of the circle, gamma an exponent.
  public var brightness: Float = 1, contrast: Float = 1, saturation: Float = 1, hue: Float = 0, gamma: Float = 1
  /// Degrees, clockwise about the centre.
  public var angle: Float = 0
  /// Pixels right and down.
  public var shiftRight = 0, shiftDown = 0
  /// Zoom.
  public var scale: Float = 1
  /// Standard deviation of a 5 × 5 Gaussian in pixels; 0 for none.
  public var sigma: Float = 0
  /// Padding by reflection instead of the repeated edge.
  public var reflects = false
  /// Left and right exchanged.
  public var flips = false
  /// Standard deviation of noise added to each sample.
  public var noise: Float = 0

  /// Nothing changes.
  public init() {}

  /// The ranges of CoTTA's released code. Translation is drawn in pixels of the padded image, twice the side: up to an eighth of the side.
  public static func drawn(side: Int, strong: Bool, using random: inout RandomSource) -> AugmentationParameters {
    var drawn = AugmentationParameters()
    drawn.order.shuffle(using: &random)
    drawn.brightness = random.uniform(0.6, 1.4)
    drawn.contrast = random.uniform(0.7, 1.3)
    drawn.saturation = random.uniform(0.5, 1.5)
    drawn.hue = random.uniform(-0.06, 0.06)
    drawn.gamma = random.uniform(0.7, 1.3)
    drawn.angle = random.uniform(-15, 15)
    let reach = Float(2 * side) / 16
    drawn.shiftRight = Int(random.uniform(-reach, reach).rounded(.toNearestOrEven))
    drawn.shiftDown = Int(random.uniform(-reach, reach).rounded(.toNearestOrEven))
    drawn.scale = random.uniform(0.9, 1.1)
    let sigma = random.uniform(0.001, 0.5)
    drawn.flips = random.uniform() < 0.5
    drawn.reflects = !strong
    if strong { (drawn.sigma, drawn.noise) = (sigma, 0.005) }
    return drawn
  }

  /// The view of each image, one set of parameters for all of them; only the noise differs between images. Images are square, `[n, 3, side, side]` in 0…1.
  public func apply(to images: Tensor, noiseSeed: UInt64 = 0, on executor: Executor) throws(TTAError) -> Tensor {
    let dimensions = images.shape.dimensions
    guard dimensions.count == 4, dimensions[1] == 3, dimensions[2] == dimensions[3] else {
      throw TTAError(
        .usage, "augmentation: expected square colour images, got \(images.shape)",
        hint: "use a model with a square input of three channels")
    }
    let (side, count) = (dimensions[2], 3 * dimensions[2] * dimensions[2])
    let order = order.map(Int32.init)
    var parameters = caugmentation_parameters(
      order: (order[0], order[1], order[2], order[3], order[4]), brightness: brightness, contrast: contrast, saturation: saturation,
      hue: hue, gamma: gamma, angle: angle, shift_right: Int32(shiftRight), shift_down: Int32(shiftDown), scale: scale, sigma: sigma,
      reflects: reflects ? 1 : 0, flip: flips ? 1 : 0, noise: noise)
    var views = Tensor(uninitialized: images.shape)
    let scratchCount = caugmentation_scratch_count(side)
    views.withMutablePointer { target in
      images.withPointer { source in
        withUnsafePointer(to: &parameters) { parameters in
          executor.concurrently(images.count) { image in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: scratchCount + count) { buffer in
              guard let scratch = buffer.baseAddress else { return }
              let normals = parameters.pointee.noise > 0 ? scratch + scratchCount : nil
              if let normals {
                cvision_normals(cvision_words(seed: noiseSeed, tag: 0x6175_676D, picture: UInt64(image)), normals, count)
              }
              caugmentation_apply(parameters, source + image * count, side, normals, target + image * count, scratch)
            }
          }
        }
      }
    }
    return views
  }
  /// The colour steps alone.
  package func coloured(_ images: Tensor) -> Tensor {
    let order = order.map(Int32.init)
    var parameters = caugmentation_parameters()
    parameters.order = (order[0], order[1], order[2], order[3], order[4])
    (parameters.brightness, parameters.contrast, parameters.saturation) = (brightness, contrast, saturation)
    (parameters.hue, parameters.gamma) = (hue, gamma)
    var result = images
    let area = images.rowElementCount / 3
    result.withMutablePointer { for image in 0..<images.count { caugmentation_colour(&parameters, $0 + 3 * area * image, area) } }
    return result
  }
}

/// CoTTA's views: colour steps in random order, rotation, shift and zoom about the padded image, blur, flip, noise.
///
/// Wang et al., CVPR 2022, `my_transforms.py` of the released code; one draw per view for the whole batch, noise per sample.
public struct StrongAugmentation: Augmentation {
  /// The published ranges.
  public init() {}
  /// One view.
  public func view(_ number: Int, of images: Tensor, using random: inout RandomSource, on executor: Executor) throws -> Tensor {
    let parameters = AugmentationParameters.drawn(side: images.shape.dimensions.last ?? 0, strong: true, using: &random)
    return try parameters.apply(to: images, noiseSeed: random.next(), on: executor)
  }
}

/// ROID's views: as CoTTA's, without blur and noise, padded by reflection.
///
/// Marsden et al., WACV 2024, in mariodoebler/test-time-adaptation.
public struct WeakAugmentation: Augmentation {
  /// The published ranges.
  public init() {}
  /// One view.
  public func view(_ number: Int, of images: Tensor, using random: inout RandomSource, on executor: Executor) throws -> Tensor {
    try AugmentationParameters.drawn(side: images.shape.dimensions.last ?? 0, strong: false, using: &random).apply(to: images, on: executor)
  }
}
