// Writing NumPy array files row by row.

public import Engine
import Foundation
public import Vision

/// Writes a `.npy` file whose number of rows is not known at first.
///
/// Rows go to a temporary file beside the target; `close` writes the final header and renames it, so a reader sees a whole file or none. A symbolic link
/// stays one.
/// A writer that is dropped unclosed leaves nothing behind.
public struct NumpyWriter: ~Copyable {
  /// The target.
  public let path: String
  /// The element type.
  public let type: NumpyType
  /// Lengths of the axes of a row.
  public let rowShape: [Int]
  /// Rows written so far.
  public private(set) var count = 0
  private let place: String, temporary: String
  private var file: UnsafeMutablePointer<FILE>?

  /// Room for a header of any number of rows.
  private static let headerSize = 192

  /// Starts a file of rows of the given type and shape. Throws `cannotWrite`, also for devices and pipes: the number of rows stands in front of them and is
  /// known last.
  public init(path: String, type: NumpyType, rowShape: [Int]) throws(TTAError) {
    self.path = path
    self.type = type
    self.rowShape = rowShape
    place = AtomicFile.place(of: path)
    temporary = "\(place).\(getpid()).partial"
    let isDevice = AtomicFile.isDevice(path)
    file = isDevice ? nil : fopen(temporary, "wbe")
    guard !isDevice else {
      throw TTAError(
        .cannotWrite, "\"\(path)\" is no file: the number of rows stands in front of them and is known last",
        hint: "name a file ending in .npy")
    }
    guard file != nil else { throw Self.failure(path) }
    try write(NumpyHeader.encoded(type: type, shape: [0] + rowShape, minimum: Self.headerSize))
  }
  /// Keeps the first rows of the file that is there: a stream goes on. Throws `invalidData` where those are too few, or others.
  public mutating func keep(_ rows: Int, of earlier: NumpyArray) throws(TTAError) {
    guard earlier.type == type, !earlier.shape.isEmpty, earlier.shape.dropFirst() == rowShape[...], earlier.count >= rows else {
      let expected = "\(rows) rows of \(rowShape.map(String.init).joined(separator: "×")) \(type.name)"
      throw TTAError(
        .invalidData, "\"\(path)\" is \(earlier.description), expected at least \(expected)",
        hint: "name the file that the earlier part of the stream went to, or a new one")
    }
    let size = rowElements * type.size, most = 1_024
    for first in stride(from: 0, to: rows, by: most) {
      try write(earlier.withBytes { Array($0[first * size..<min(rows, first + most) * size]) })
    }
    count += rows
  }

  deinit {
    guard let file else { return }
    fclose(file)
    unlink(temporary)
  }

  /// Elements of one row.
  private var rowElements: Int { rowShape.reduce(1, *) }

  /// Appends the rows of a tensor; only in a float32 file.
  public mutating func append(_ rows: Tensor) throws(TTAError) {
    precondition(type == .float32 && rows.rowElementCount == rowElements, "rows \(rows.shape) in a file of \(rowShape) \(type.name)")
    try rows.withPointer { (values) throws(TTAError) in
      try write(UnsafeRawBufferPointer(start: values, count: rows.elementCount * 4))
    }
    count += rows.count
  }
  /// Appends one picture; only in a uint8 file.
  public mutating func append(_ image: Image) throws(TTAError) {
    precondition(
      type == .uint8 && rowShape == [image.height, image.width, 3], "a picture of \(image.sizeText) in a file of \(rowShape) \(type.name)")
    try write(image.pixels)
    count += 1
  }
  /// Appends one whole number; only in a uint8 or int64 file without row axes.
  public mutating func append(label: Int) throws(TTAError) {
    precondition(rowShape.isEmpty && (type == .uint8 || type == .int64), "a label in a file of \(rowShape) \(type.name)")
    if type == .uint8 {
      guard let byte = UInt8(exactly: label) else {
        throw TTAError(.usage, "label \(label) does not fit the uint8 file \"\(path)\"", hint: "write int64 labels")
      }
      try write([byte])
    } else {
      try write((0..<8).map { UInt8(truncatingIfNeeded: label >> ($0 * 8)) })
    }
    count += 1
  }

  /// Finishes the file and puts it in place.
  public consuming func close() throws(TTAError) {
    guard let file else { return }
    guard fseek(file, 0, SEEK_SET) == 0 else { throw Self.failure(path) }
    try write(NumpyHeader.encoded(type: type, shape: [count] + rowShape, minimum: Self.headerSize))
    guard fflush(file) == 0, fsync(fileno(file)) == 0, rename(temporary, place) == 0 else { throw Self.failure(path) }
    fclose(file)
    self.file = nil
  }

  private func write(_ bytes: [UInt8]) throws(TTAError) {
    try bytes.withUnsafeBufferPointer { (buffer) throws(TTAError) in try write(UnsafeRawBufferPointer(buffer)) }
  }
  private func write(_ bytes: UnsafeRawBufferPointer) throws(TTAError) {
    guard let base = bytes.baseAddress, bytes.count > 0 else { return }
    guard let file, fwrite(base, 1, bytes.count, file) == bytes.count else { throw Self.failure(path) }
  }
  private static func failure(_ path: String) -> TTAError {
    TTAError(
      .cannotWrite, "cannot write \"\(path)\": \(String(cString: strerror(errno)))",
      hint: "check the folder, its permissions and the free space")
  }
}
