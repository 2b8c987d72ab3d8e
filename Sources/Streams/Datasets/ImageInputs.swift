// What a user names as input.

public import Engine
import Foundation
public import Vision

/// Opens what is named on a command line.
public enum ImageInputs {
  /// The pictures of files (`.npy`, PNG, JPEG) and folders, in the order given; neighbouring picture files become one source.
  ///
  /// `labels` is a `.npy` file with one label per picture of all inputs together.
  public static func open(_ paths: [String], labels: String? = nil) throws(TTAError) -> any LabeledImages {
    let parts = try parts(paths)
    let all = parts.count == 1 ? parts[0] : ConcatenatedImages(parts)
    guard let labels else { return all }
    return try RelabeledImages(all, labels: NumpyArray(path: labels).labels())
  }
  /// The places of each folder, array, or run of neighbouring picture files among the pictures of all inputs.
  public static func ranges(_ paths: [String]) throws(TTAError) -> [Range<Int>] {
    var ranges = [Range<Int>]()
    for part in try parts(paths) {
      let start = ranges.last?.upperBound ?? 0
      ranges.append(start..<start + part.count)
    }
    return ranges
  }
  private static func parts(_ paths: [String]) throws(TTAError) -> [any LabeledImages] {
    var parts = [any LabeledImages]()
    var files = [String]()
    func flush() throws(TTAError) {
      if !files.isEmpty { parts.append(try ImageFiles(files)) }
      files = []
    }
    for path in paths {
      var isFolder: ObjCBool = false
      guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
        throw TTAError(.missingInput, "\"\(path)\" does not exist", hint: "check the path")
      }
      if isFolder.boolValue {
        try flush()
        parts.append(try ImageFiles.folder(path))
      } else if path.hasSuffix(".npy") {
        try flush()
        parts.append(try NumpyImages(path: path))
      } else {
        files.append(path)
      }
    }
    try flush()
    return parts
  }
}

/// A data set with other labels.
public struct RelabeledImages: LabeledImages {
  private let base: any LabeledImages
  private let classes: [Int]

  /// The pictures of `base`; there must be one label each.
  public init(_ base: any LabeledImages, labels: [Int]) throws(TTAError) {
    guard labels.count == base.count else {
      throw TTAError(
        .invalidData, "\(labels.count) labels for \(base.count) pictures", hint: "give one label per picture, in the order of the inputs")
    }
    self.base = base
    classes = labels
  }
  /// How many pictures there are.
  public var count: Int { base.count }
  /// The classes by name.
  public var classNames: [String]? { base.classNames }
  /// The picture.
  public func image(at index: Int) throws(TTAError) -> Image { try base.image(at: index) }
  /// The given label.
  public func label(at index: Int) -> Int? { classes[index] }
  /// The picture's name.
  public func name(at index: Int) -> String { base.name(at: index) }
  /// The picture's identity.
  public func identity(at index: Int) -> UInt64 { base.identity(at: index) }
  /// The data set's own domains.
  public var parts: [StreamContents.Part] { base.parts }
  /// The corruptions that the data set holds.
  public var corruptions: [String] { base.corruptions }
  /// The same labels for the pictures under a domain.
  public func images(of domain: Domain) throws(TTAError) -> (any LabeledImages)? {
    guard let images = try base.images(of: domain) else { return nil }
    return try RelabeledImages(images, labels: classes)
  }
}
