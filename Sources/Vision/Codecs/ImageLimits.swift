// How large a picture may be.

/// What a decoder accepts; a file beyond it is refused before memory is spent on it.
public struct ImageLimits: Hashable, Codable, Sendable {
  /// Width times height.
  public var maxPixels: Int
  /// Length of the file.
  public var maxFileBytes: Int

  /// By default 64 million pixels and 256 MB.
  public init(maxPixels: Int = 64_000_000, maxFileBytes: Int = 256 << 20) {
    self.maxPixels = maxPixels
    self.maxFileBytes = maxFileBytes
  }
  /// The defaults.
  public static let standard = ImageLimits()
}
