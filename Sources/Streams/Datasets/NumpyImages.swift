// Pictures in NumPy arrays.

public import Engine
public import Vision

/// Pictures of a uint8 array [n, height, width, 3], as CIFAR-10-C is published; the pixels stay in the file until they are asked for.
public struct NumpyImages: LabeledImages {
  private let pixels: NumpyArray
  /// Where the pixels are read from; `nil` where they are in memory.
  private let file: PictureFile?
  private let classes: [Int]?
  /// Columns of every picture.
  public let width: Int
  /// Rows of every picture.
  public let height: Int

  /// Pictures of an array, and their labels; both must have the same length.
  public init(_ pixels: NumpyArray, labels: [Int]? = nil) throws(TTAError) {
    try self.init(pixels, labels: labels, file: nil)
  }
  private init(_ pixels: NumpyArray, labels: [Int]?, file: PictureFile?) throws(TTAError) {
    guard pixels.type == .uint8, pixels.shape.count == 4, pixels.shape[3] == 3, pixels.shape[1] > 0, pixels.shape[2] > 0
    else {
      throw TTAError(
        .invalidData, "\"\(pixels.name)\" is \(pixels.description), expected pictures: N×height×width×3 uint8",
        hint: pixels.shape.count == 4 && pixels.shape[1] == 3
          ? "channels come last: array.transpose(0, 2, 3, 1)" : "samples are 0...255, channels come last")
    }
    if let labels, labels.count != pixels.count {
      throw TTAError(
        .invalidData, "\(labels.count) labels for the \(pixels.count) pictures of \"\(pixels.name)\"",
        hint: "both files must have the same order and length")
    }
    self.pixels = pixels
    self.file = file
    classes = labels
    height = pixels.shape[1]
    width = pixels.shape[2]
  }
  /// Pictures of a file, and the labels of another.
  public init(path: String, labels: String? = nil) throws(TTAError) {
    let classes: [Int]? = if let labels { try NumpyArray(path: labels).labels() } else { nil }
    try self.init(NumpyArray(path: path), labels: classes, file: PictureFile(path: path))
  }

  /// How many pictures there are.
  public var count: Int { pixels.count }
  /// A copy of a picture.
  public func image(at index: Int) throws(TTAError) -> Image {
    precondition((0..<count).contains(index), "picture \(index) of \(count)")
    let size = height * width * 3
    if let file {
      return try Image(width: width, height: height) { (target) throws(TTAError) in
        try file.read(size, at: pixels.offset + index * size, into: target, "picture \(index)")
      }
    }
    return pixels.withBytes { Image(width: width, height: height, pixels: Array($0[index * size..<(index + 1) * size])) }
  }
  /// Its class.
  public func label(at index: Int) -> Int? { classes?[index] }
  /// The file and the place in it.
  public func name(at index: Int) -> String { "\(pixels.name)[\(index)]" }
}
