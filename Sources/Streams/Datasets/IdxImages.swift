// Handwritten digits in the idx form of MNIST.

public import Engine
public import Vision

/// Grey pictures of an idx file, repeated to three channels and enlarged where asked for: digits as an open set for 32×32 classifiers.
///
/// LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998.
public struct IdxImages: LabeledImages {
  /// How many pictures there are.
  public let count: Int
  private let file: PictureFile
  private let classes: [UInt8]?
  private let width: Int
  private let height: Int
  private let side: Int?

  /// The pictures of a file and the labels of another; `side` is the size to which they are enlarged, bilinearly. Throws where a header
  /// is not that of an idx file, a file has another length than its header says, or the numbers of pictures and labels differ.
  public init(path: String, labels: String?, side: Int? = 32) throws(TTAError) {
    let shape = try Self.header(MappedFile(path: path), axes: 3)
    file = try PictureFile(path: path)
    (count, height, width) = (shape[0], shape[1], shape[2])
    guard width > 0, height > 0 else {
      throw TTAError(.invalidData, "\"\(path)\" has pictures of \(width)×\(height) pixels", hint: "copy or download the file again")
    }
    self.side = side
    guard let labels else {
      classes = nil
      return
    }
    let labelFile = try MappedFile(path: labels)
    let labelCount = try Self.header(labelFile, axes: 1)[0]
    guard labelCount == count else {
      throw TTAError(
        .invalidData, "\(labelCount) labels in \"\(labels)\" for the \(count) pictures of \"\(path)\"",
        hint: "both files must belong to one part of the data set")
    }
    classes = withExtendedLifetime(labelFile) { Array(labelFile.bytes.dropFirst(8)) }
  }

  /// The lengths of the axes of a file of bytes.
  private static func header(_ file: MappedFile, axes: Int) throws(TTAError) -> [Int] {
    let start = 4 + 4 * axes
    guard file.bytes.count >= start, file.bytes.starts(with: [0, 0, 8, UInt8(axes)]) else {
      let found = file.bytes.prefix(4).map { String($0) }.joined(separator: " ")
      throw TTAError(
        .invalidData, "\"\(file.path)\" is no idx file of bytes with \(axes) axes: it starts with \(found), expected 0 0 8 \(axes)",
        hint: "unpack it with gunzip; pictures have 3 axes, labels 1")
    }
    let shape = (0..<axes).map { axis in (0..<4).reduce(0) { $0 << 8 | Int(file.bytes[4 + 4 * axis + $1]) } }
    var size = 1
    for length in shape {
      let (product, overflow) = size.multipliedReportingOverflow(by: length)
      size = overflow ? Int.max : product
    }
    guard file.bytes.count - start == size else {
      throw TTAError(
        .invalidData,
        "\"\(file.path)\" promises \(shape.map(String.init).joined(separator: "×")) bytes, \(file.bytes.count - start) follow its header",
        hint: "copy or download the file again")
    }
    return shape
  }

  /// A picture.
  public func image(at index: Int) throws(TTAError) -> Image {
    precondition((0..<count).contains(index), "picture \(index) of \(count)")
    let size = width * height
    var grey = [UInt8](repeating: 0, count: size)
    try grey.withUnsafeMutableBufferPointer { (buffer) throws(TTAError) in
      if let base = buffer.baseAddress { try file.read(size, at: 16 + index * size, into: base, "picture \(index)") }
    }
    let picture = Image(width: width, height: height) { pixels in
      grey.withUnsafeBufferPointer { grey in
        for i in 0..<size {
          pixels[3 * i] = grey[i]
          pixels[3 * i + 1] = grey[i]
          pixels[3 * i + 2] = grey[i]
        }
      }
    }
    return side.map { picture.resized(width: $0, height: $0, .bilinear) } ?? picture
  }
  /// Its digit.
  public func label(at index: Int) -> Int? { classes.map { Int($0[index]) } }
  /// The file and the place in it.
  public func name(at index: Int) -> String { "\(file.path)[\(index)]" }
}
