// Pictures in files and folders.

public import Engine
import Foundation
public import Vision

/// Pictures in PNG and JPEG files; a file is read when its picture is asked for.
public struct ImageFiles: LabeledImages {
  /// Their folder with a slash at its end, or nothing.
  private let folder: String
  /// The files in order, by their paths within the folder.
  let files: [String]
  /// The classes by name where folders told them.
  public let classNames: [String]?
  private let classes: [Int]?
  private let limits: ImageLimits

  /// Pictures in the given files, and their labels; both must have the same length.
  public init(_ paths: [String], labels: [Int]? = nil, limits: ImageLimits = .standard) throws(TTAError) {
    if let labels, labels.count != paths.count {
      throw TTAError(
        .invalidData, "\(labels.count) labels for \(paths.count) picture files", hint: "give one label per file, in the files' order")
    }
    self.init(paths, folder: "", classes: labels, classNames: nil, limits: limits)
  }

  private init(_ files: [String], folder: String, classes: [Int]?, classNames: [String]?, limits: ImageLimits) {
    self.files = files
    self.folder = folder
    self.classes = classes
    self.classNames = classNames
    self.limits = limits
  }

  /// All PNG and JPEG files below a folder, sorted by their path within it; hidden ones are left out.
  public static func folder(_ path: String, limits: ImageLimits = .standard) throws(TTAError) -> ImageFiles {
    ImageFiles(try pictures(below: path), folder: prefix(path), classes: nil, classNames: nil, limits: limits)
  }

  /// The same where the first folder of a file's path is its class.
  ///
  /// Classes are numbered by `classNames`, by default the sorted names of the folders. Give the names where a model has more classes than
  /// there are folders, or another order: a rank would then be a wrong number.
  public static func classFolders(
    _ path: String, classNames: [String]? = nil, limits: ImageLimits = .standard
  ) throws(TTAError) -> ImageFiles {
    try classFolders(path, files: pictures(below: path), classNames: classNames, limits: limits)
  }

  /// The same for some files, given by their paths within the folder; they are looked at when they are asked for.
  public static func classFolders(
    _ path: String, files: [String], classNames: [String]? = nil, limits: ImageLimits = .standard
  ) throws(TTAError) -> ImageFiles {
    let folders = files.map { file in file.contains("/") ? String(file.prefix { $0 != "/" }) : "" }
    if let place = folders.firstIndex(of: "") {
      throw TTAError(
        .invalidData, "\"\(path)/\(files[place])\" is in no class folder",
        hint: "move it into a folder named like its class, or leave labels out")
    }
    let names = classNames ?? Array(Set(folders)).sorted(by: bytewise)
    let numbers = Dictionary(zip(names, 0...)) { first, _ in first }
    var classes = [Int]()
    for folder in folders {
      guard let number = numbers[folder] else {
        throw TTAError(
          .invalidData, "folder \"\(path)/\(folder)\" is not one of the \(names.count) classes",
          hint: "nearest names: \(NearestNames.nearest(to: folder, in: names).joined(separator: ", "))")
      }
      classes.append(number)
    }
    return ImageFiles(files, folder: prefix(path), classes: classes, classNames: names, limits: limits)
  }
  /// What stands in front of the names of a folder's files, however the folder was written.
  private static func prefix(_ path: String) -> String { path.hasSuffix("/") ? path : path + "/" }

  /// The files of several folders of one parent, one after the other; their classes are numbered alike.
  static func joined(_ parts: [(folder: String, files: ImageFiles)], in parent: String, classNames: [String]) -> ImageFiles {
    ImageFiles(
      parts.flatMap { part in part.files.files.map { "\(part.folder)/\($0)" } }, folder: "\(parent)/",
      classes: parts.flatMap { $0.files.classes ?? [] }, classNames: classNames, limits: .standard)
  }
  /// The same files and classes in another folder.
  func moved(to folder: String) -> ImageFiles {
    ImageFiles(files, folder: "\(folder)/", classes: classes, classNames: classNames, limits: limits)
  }

  /// How many pictures there are.
  public var count: Int { files.count }
  /// The paths of the files in order.
  public var paths: [String] { files.map { folder + $0 } }
  /// Reads and decodes a file.
  public func image(at index: Int) throws(TTAError) -> Image { try ImageCodec.load(name(at: index), limits: limits) }
  /// Its class.
  public func label(at index: Int) -> Int? { classes?[index] }
  /// Its path.
  public func name(at index: Int) -> String { folder + files[index] }

  /// Paths within a folder.
  private static func pictures(below path: String) throws(TTAError) -> [String] {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw TTAError(.missingInput, "\"\(path)\" does not exist", hint: "check the path")
    }
    guard isFolder.boolValue, let entries = FileManager.default.enumerator(atPath: path) else {
      throw TTAError(.missingInput, "\"\(path)\" is not a readable folder", hint: "check the path and its permissions")
    }
    let files = entries.compactMap { $0 as? String }.filter { file in
      let parts = file.split(separator: "/")
      guard !parts.contains(where: { $0.hasPrefix(".") }), let last = parts.last?.lowercased() else { return false }
      return [".png", ".jpg", ".jpeg"].contains { last.hasSuffix($0) }
    }
    guard !files.isEmpty else {
      throw TTAError(.missingInput, "\"\(path)\" holds no PNG or JPEG file", hint: "names must end in .png, .jpg or .jpeg")
    }
    return files.sorted(by: bytewise)
  }

  /// The folders in a folder, sorted; hidden ones are left out.
  static func subfolders(of path: String) -> [String] {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return entries.filter { entry in
      var isFolder: ObjCBool = false
      return !entry.hasPrefix(".") && FileManager.default.fileExists(atPath: "\(path)/\(entry)", isDirectory: &isFolder)
        && isFolder.boolValue
    }.sorted(by: bytewise)
  }

  /// Order by bytes, the same in every locale.
  static func bytewise(_ left: String, _ right: String) -> Bool { left.utf8.lexicographicallyPrecedes(right.utf8) }
}
