// An 8-bit RGB picture.

/// An 8-bit RGB picture: rows of R G B bytes, top row first.
public struct Image: Hashable, Sendable {
  /// Columns.
  public let width: Int
  /// Rows.
  public let height: Int
  /// `height × width × 3` samples.
  public private(set) var pixels: [UInt8]

  /// A picture of the given samples; their number must be `height × width × 3`.
  public init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(width >= 0 && height >= 0 && pixels.count == width * height * 3, "\(pixels.count) samples for \(width)×\(height) pixels")
    self.width = width
    self.height = height
    self.pixels = pixels
  }
  /// A picture whose samples are written by `fill`, which must write all of them.
  public init<E: Error>(width: Int, height: Int, fill: (UnsafeMutablePointer<UInt8>) throws(E) -> Void) throws(E) {
    let count = width * height * 3
    var pixels = [UInt8](repeating: 0, count: max(count, 1))
    try pixels.withUnsafeMutableBufferPointer { (buffer) throws(E) in
      if let base = buffer.baseAddress { try fill(base) }
    }
    if count == 0 { pixels = [] }
    self.init(width: width, height: height, pixels: pixels)
  }

  /// `640×480`.
  public var sizeText: String { "\(width)×\(height)" }

  /// Read access to the samples.
  public func withPixels<R, E: Error>(_ body: (UnsafePointer<UInt8>) throws(E) -> R) throws(E) -> R {
    try pixels.withUnsafeBufferPointer { (buffer) throws(E) in
      guard let base = buffer.baseAddress else {
        var nothing: UInt8 = 0
        return try body(&nothing)
      }
      return try body(base)
    }
  }
}
