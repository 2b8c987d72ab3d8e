// CIFAR-10 and CIFAR-100 in their binary form.

public import Engine
import Foundation
public import Vision

/// Pictures of the binary CIFAR files: one or two bytes of labels, then 1,024 red, green and blue samples each. Pictures are read when
/// they are asked for.
///
/// Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
public struct CifarBinary: LabeledImages {
  /// Which of the two data sets.
  public enum Kind: Sendable {
    /// One label byte, 10 classes.
    case cifar10
    /// Two label bytes, coarse and fine, 100 fine classes.
    case cifar100

    /// Bytes before the samples.
    var labelBytes: Int { self == .cifar10 ? 1 : 2 }
    /// How many classes there are.
    public var classCount: Int { self == .cifar10 ? 10 : 100 }
  }
  /// Columns and rows of a picture.
  public static let side = 32
  private static let plane = side * side

  /// Which data set.
  public let kind: Kind
  /// How many pictures there are.
  public let count: Int
  /// The classes by name, where `batches.meta.txt` or `fine_label_names.txt` lies beside the files.
  public let classNames: [String]?
  private let files: [PictureFile]
  private let starts: [Int]
  private let classes: [UInt8]

  /// Pictures of some files in order. Throws where a file's length is no multiple of a record or a label is too large.
  public init(_ paths: [String], kind: Kind) throws(TTAError) {
    let record = kind.labelBytes + 3 * Self.plane
    var (files, starts, classes) = ([PictureFile](), [Int](), [UInt8]())
    for path in paths {
      let file = try MappedFile(path: path)
      guard file.bytes.count > 0, file.bytes.count % record == 0 else {
        throw TTAError(
          .invalidData, "\"\(path)\" has \(file.bytes.count) bytes, expected a multiple of \(record) (\(kind) in binary form)",
          hint: "copy or download the file again; the Python version of the data set is another form")
      }
      starts.append(classes.count)
      for number in 0..<file.bytes.count / record {
        let label = file.bytes[number * record + kind.labelBytes - 1]
        guard label < kind.classCount else {
          throw TTAError(
            .invalidData, "\"\(path)\": label \(label) of picture \(number), expected less than \(kind.classCount)",
            hint: "check that the file is \(kind) in binary form")
        }
        classes.append(label)
      }
      files.append(try PictureFile(path: path))
    }
    self.kind = kind
    self.files = files
    self.starts = starts
    self.classes = classes
    count = classes.count
    classNames = paths.first.flatMap { Self.names(beside: $0, kind) }
  }

  private static func names(beside path: String, _ kind: Kind) -> [String]? {
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
    let file = folder.appending(path: kind == .cifar10 ? "batches.meta.txt" : "fine_label_names.txt")
    guard let text = try? String(contentsOf: file, encoding: .utf8) else { return nil }
    let names = text.split(whereSeparator: \.isNewline).map(String.init)
    return names.count == kind.classCount ? names : nil
  }

  private func find(_ index: Int) -> (file: PictureFile, number: Int) {
    precondition((0..<count).contains(index), "picture \(index) of \(count)")
    let file = starts.lastIndex { $0 <= index } ?? 0
    return (files[file], index - starts[file])
  }
  /// Reads a picture.
  public func image(at index: Int) throws(TTAError) -> Image {
    let (file, number) = find(index)
    let offset = number * (kind.labelBytes + 3 * Self.plane) + kind.labelBytes
    var planes = [UInt8](repeating: 0, count: 3 * Self.plane)
    try planes.withUnsafeMutableBufferPointer { (buffer) throws(TTAError) in
      if let base = buffer.baseAddress { try file.read(buffer.count, at: offset, into: base, "picture \(number)") }
    }
    return Image(width: Self.side, height: Self.side) { pixels in
      planes.withUnsafeBufferPointer { planes in
        for i in 0..<Self.plane {
          pixels[3 * i] = planes[i]
          pixels[3 * i + 1] = planes[i + Self.plane]
          pixels[3 * i + 2] = planes[i + 2 * Self.plane]
        }
      }
    }
  }
  /// Its class; of CIFAR-100 the fine one.
  public func label(at index: Int) -> Int? { Int(classes[index]) }
  /// The file and the place in it.
  public func name(at index: Int) -> String {
    let (file, number) = find(index)
    return "\(file.path)[\(number)]"
  }
}
