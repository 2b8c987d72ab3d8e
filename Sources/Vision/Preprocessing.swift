// What a model expects of its pictures.

public import Engine

/// How pictures are prepared for a model: resized, cropped, and turned into numbers in 0...1.
///
/// Mean and standard deviation are only carried: the first node of a network applies them, after augmentations.
public struct Preprocessing: Hashable, Codable, Sendable {
  /// The size to which pictures are resized first.
  public enum Resize: Hashable, Sendable {
    /// The shorter side; the ratio stays. Written as a number.
    case shortSide(Int)
    /// Both sides; the ratio may change. Written as `[height, width]`.
    case exact(height: Int, width: Int)
  }

  /// First step; `nil` leaves the size alone.
  public var resize: Resize?
  /// The filter of the first step.
  public var interpolation: Interpolation
  /// Whether the middle is cut out (or padded with black) when the size is still another; otherwise that is an error.
  public var centerCrop: Bool
  /// Rows that the model expects.
  public var inputHeight: Int
  /// Columns that the model expects.
  public var inputWidth: Int
  /// Mean of each channel in 0...1.
  public var mean: [Float]
  /// Standard deviation of each channel.
  public var std: [Float]

  /// The channel statistics of ImageNet.
  public static let imageNetMean: [Float] = [0.485, 0.456, 0.406]
  /// The channel deviations of ImageNet.
  public static let imageNetStd: [Float] = [0.229, 0.224, 0.225]

  /// A preparation; by default pictures must have the input size already.
  public init(
    resize: Resize? = nil, interpolation: Interpolation = .bilinear, centerCrop: Bool = false, inputHeight: Int, inputWidth: Int,
    mean: [Float] = imageNetMean, std: [Float] = imageNetStd
  ) {
    self.resize = resize
    self.interpolation = interpolation
    self.centerCrop = centerCrop
    self.inputHeight = inputHeight
    self.inputWidth = inputWidth
    self.mean = mean
    self.std = std
  }

  /// ImageNet's test protocol: shorter side 256, the middle 224×224.
  public static let imageNet = Preprocessing(resize: .shortSide(256), centerCrop: true, inputHeight: 224, inputWidth: 224)
  /// Pictures that are what the model expects.
  public static func exactly(_ side: Int) -> Preprocessing { Preprocessing(inputHeight: side, inputWidth: side) }

  /// The picture at the input size; `name` is what errors call it.
  public func apply(to image: Image, name: String) throws(TTAError) -> Image {
    var result = image
    guard image.width > 0, image.height > 0 else {
      throw TTAError(.invalidData, "\"\(name)\" has no pixels", hint: "leave the picture out")
    }
    switch resize {
    case nil: break
    case .shortSide(let side):
      guard side * max(image.width, image.height) / min(image.width, image.height) <= ImageLimits.standard.maxPixels / side else {
        throw TTAError(
          .invalidData, "\"\(name)\" has \(image.sizeText) pixels, too elongated for a shorter side of \(side)",
          hint: "leave the picture out or cut it")
      }
      result = result.resized(shortSide: side, interpolation)
    case .exact(let height, let width): result = result.resized(width: width, height: height, interpolation)
    }
    if result.width == inputWidth, result.height == inputHeight { return result }
    guard centerCrop else {
      let text = result.sizeText == image.sizeText ? image.sizeText : "\(result.sizeText) (from \(image.sizeText))"
      throw TTAError(
        .invalidData, "\"\(name)\" has \(text) pixels, the model expects \(inputWidth)×\(inputHeight)",
        hint: "give a resize size (--resize) or a centre crop")
    }
    return result.centerCropped(width: inputWidth, height: inputHeight)
  }
}

extension Preprocessing.Resize: Codable {
  /// A number, or two.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let side = try? container.decode(Int.self), side > 0 {
      self = .shortSide(side)
    } else if let sides = try? container.decode([Int].self), sides.count == 2, sides.allSatisfy({ $0 > 0 }) {
      self = .exact(height: sides[0], width: sides[1])
    } else {
      throw TTAError(.usage, "resize must be a positive number or [height, width]", hint: "256 makes the shorter side 256")
    }
  }
  /// A number, or two.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .shortSide(let side): try container.encode(side)
    case .exact(let height, let width): try container.encode([height, width])
    }
  }
}
