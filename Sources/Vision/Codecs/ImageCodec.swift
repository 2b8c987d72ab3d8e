// PNG and JPEG, told apart by their first bytes.

import CImageCodecs
public import Engine

/// Reads and writes pictures.
public enum ImageCodec {
  /// A file format.
  public enum Format: String, Codable, Sendable, CaseIterable {
    /// Lossless.
    case png
    /// Lossy; decoded with the accurate integer transform and smooth chroma upsampling, as Pillow and torchvision do.
    case jpeg

    /// Told by the first bytes, never by a name.
    public init?(magic bytes: UnsafeRawBufferPointer) {
      if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
        self = .png
      } else if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
        self = .jpeg
      } else {
        return nil
      }
    }
  }

  /// The picture in a file.
  public static func load(_ path: String, limits: ImageLimits = .standard) throws(TTAError) -> Image {
    try decode(FileBytes.read(path, limit: limits.maxFileBytes), name: path, limits: limits)
  }

  /// The picture in the bytes of a file; `name` is what errors call it.
  ///
  /// Grey is replicated, 16-bit samples keep their high byte, transparency is dropped, CMYK is multiplied out, orientation tags are
  /// ignored. A truncated or damaged file is an error, never a half-grey picture.
  public static func decode(_ bytes: [UInt8], name: String, limits: ImageLimits = .standard) throws(TTAError) -> Image {
    try bytes.withUnsafeBufferPointer { (buffer) throws(TTAError) in
      try decode(UnsafeRawBufferPointer(buffer), name: name, limits: limits)
    }
  }

  /// The same for bytes in memory.
  public static func decode(_ bytes: UnsafeRawBufferPointer, name: String, limits: ImageLimits = .standard) throws(TTAError) -> Image {
    guard let format = Format(magic: bytes), let base = bytes.bindMemory(to: UInt8.self).baseAddress else {
      let start = bytes.isEmpty ? "it is empty" : "it starts with \(hex(bytes.prefix(8)))"
      throw TTAError(.invalidData, "\"\(name)\" is neither PNG nor JPEG: \(start)", hint: "convert it to PNG or JPEG")
    }
    var picture = cic_image()
    let limit = UInt64(max(limits.maxPixels, 0))
    let (status, text) = withMessage { message in
      switch format {
      case .png: cic_png_decode(base, bytes.count, limit, &picture, message)
      case .jpeg: cic_jpeg_decode(base, bytes.count, limit, &picture, message)
      }
    }
    guard status == CIC_OK, let pixels = picture.pixels else { throw failure(status, text, format: format, name: name) }
    defer { cic_free(pixels) }
    let count = Int(picture.width) * Int(picture.height) * 3
    let samples = Array(UnsafeBufferPointer(start: pixels, count: count))
    return Image(width: Int(picture.width), height: Int(picture.height), pixels: samples)
  }

  /// The bytes of a PNG file; `level` is zlib's 0...9.
  public static func png(_ image: Image, level: Int = 6) throws(TTAError) -> [UInt8] {
    precondition((0...9).contains(level), "zlib level \(level)")
    return try encode(image, as: .png, setting: level)
  }

  /// The bytes of a JPEG file with libjpeg's quality 1...100 and chroma halved in both directions; `optimized` takes longer for a smaller
  /// file of the same pixels.
  public static func jpeg(_ image: Image, quality: Int, optimized: Bool = false) throws(TTAError) -> [UInt8] {
    guard (1...100).contains(quality) else {
      throw TTAError(.usage, "JPEG quality \(quality), expected 1...100", hint: "the published corrupted ImageNet pictures use 85")
    }
    return try encode(image, as: .jpeg, setting: quality, optimized: optimized)
  }

  private static func encode(_ image: Image, as format: Format, setting: Int, optimized: Bool = false) throws(TTAError) -> [UInt8] {
    guard let width = UInt32(exactly: image.width), let height = UInt32(exactly: image.height) else {
      throw TTAError(.unsupported, "a picture of \(image.sizeText) pixels does not fit a \(format.rawValue) file")
    }
    var encoded = cic_bytes()
    let (status, text) = withMessage { message in
      image.withPixels { pixels in
        switch format {
        case .png: cic_png_encode(pixels, width, height, Int32(setting), &encoded, message)
        case .jpeg: cic_jpeg_encode(pixels, width, height, Int32(setting), optimized ? 1 : 0, &encoded, message)
        }
      }
    }
    guard status == CIC_OK, let bytes = encoded.bytes else {
      throw failure(status, text, format: format, name: "a picture of \(image.sizeText) pixels")
    }
    defer { cic_free(bytes) }
    return Array(UnsafeBufferPointer(start: bytes, count: encoded.size))
  }

  private static func withMessage(_ body: (UnsafeMutablePointer<CChar>) -> cic_status) -> (cic_status, String) {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(CIC_MESSAGE_SIZE)) { buffer in
      buffer.initialize(repeating: 0)
      guard let base = buffer.baseAddress else { return (CIC_NO_MEMORY, "no memory for a message") }
      let status = body(base)
      return (status, String(cString: base))
    }
  }

  private static func failure(_ status: cic_status, _ text: String, format: Format, name: String) -> TTAError {
    let kind = format == .png ? "PNG" : "JPEG"
    switch status {
    case CIC_TOO_LARGE:
      return TTAError(.invalidData, "\"\(name)\": \(text)", hint: "scale the picture down or raise the limit")
    case CIC_UNSUPPORTED:
      return TTAError(.unsupported, "\"\(name)\" cannot be a \(kind) here: \(text)", hint: "convert it to an RGB PNG")
    case CIC_NO_MEMORY:
      return TTAError(.internal, "\"\(name)\": \(text)", hint: "free memory or scale the picture down")
    default:
      return TTAError(.invalidData, "\"\(name)\" is a damaged \(kind): \(text)", hint: "copy or download the file again")
    }
  }

  private static func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined(separator: " ")
  }
}
