// Where expectations lie, and how pictures are compared with them.

public import Engine
public import Foundation
public import Vision

/// Folders of expectations.
public enum References {
  /// The folder of the package.
  public static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  /// `Tests/Goldens`.
  public static let goldens = root.appending(path: "Tests/Goldens")
  /// The larger set of corrupted pictures, which is not in the repository: `TTA_CORRUPTION_REFERENCES`, or `refdata/corruptions` in
  /// `TTA_SHARED` (default: `../shared` beside the package). `nil` where there is none.
  public static let corruptions: URL? = {
    let environment = ProcessInfo.processInfo.environment
    let shared = environment["TTA_SHARED"].map { URL(fileURLWithPath: $0) } ?? root.deletingLastPathComponent().appending(path: "shared")
    let folder = environment["TTA_CORRUPTION_REFERENCES"].map { URL(fileURLWithPath: $0) } ?? shared.appending(path: "refdata/corruptions")
    guard FileManager.default.fileExists(atPath: folder.appending(path: "manifest.json").path) else {
      print("skipped: no corruption references at \(folder.path); set TTA_CORRUPTION_REFERENCES")
      return nil
    }
    return folder
  }()

  /// The published photographs of frost, which are not in the repository either: `TTA_FROST`. `nil` where there are none.
  public static let frost: URL? = {
    guard let path = ProcessInfo.processInfo.environment["TTA_FROST"] else {
      print("skipped: pictures with frost; set TTA_FROST to a folder of frost1.png to frost5.jpg")
      return nil
    }
    return URL(fileURLWithPath: path)
  }()

  /// A JSON file as a value.
  public static func decode<T: Decodable>(_ type: T.Type, _ url: URL) throws -> T {
    try JSONDecoder().decode(type, from: Data(contentsOf: url))
  }

  /// A new empty folder for a test, removed after it.
  public static func withTemporaryFolder<R>(_ body: (URL) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appending(path: "tta-tests-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder)
  }
}

/// The error that a body throws.
public func errorThrown<R>(by body: () throws -> R) -> TTAError? {
  do {
    _ = try body()
    return nil
  } catch {
    return error as? TTAError
  }
}

/// CRC-32 as zlib computes it.
public func crc32(_ bytes: some Sequence<UInt8>) -> UInt32 {
  ~bytes.reduce(~UInt32(0)) { crcTable[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ ($0 >> 8) }
}

private let crcTable: [UInt32] = (0..<256).map { start in
  (0..<8).reduce(UInt32(start)) { crc, _ in crc & 1 == 1 ? 0xEDB8_8320 ^ (crc >> 1) : crc >> 1 }
}

/// How two pictures differ.
public struct PictureDifference: Equatable, CustomStringConvertible {
  /// Largest difference of two samples.
  public var largest = 0
  /// Samples that differ.
  public var differing = 0
  /// All samples.
  public var samples = 0

  /// Compares two pictures of one size.
  public init(_ left: Image, _ right: Image) {
    precondition(left.width == right.width && left.height == right.height, "\(left.sizeText) against \(right.sizeText)")
    samples = left.pixels.count
    for (a, b) in zip(left.pixels, right.pixels) where a != b {
      differing += 1
      largest = max(largest, abs(Int(a) - Int(b)))
    }
  }
  /// `3 of 3072 samples, by 1 at most`.
  public var description: String { "\(differing) of \(samples) samples, by \(largest) at most" }
}
