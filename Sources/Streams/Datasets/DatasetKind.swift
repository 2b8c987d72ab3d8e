// The table of data sets: a new one is a row here and a file beside this one.

public import Engine
import Foundation

/// A form of data set, found by looking at a path.
public struct DatasetKind: Sendable {
  /// The name: `cifar-c`.
  public let name: String
  /// What it is, in one line.
  public let summary: String
  /// The files by which it is known.
  public let layout: String
  /// Opens a path if it looks like this kind; `nil` if not.
  let open: @Sendable (_ path: String, DatasetFolder.Options) throws(TTAError) -> (any LabeledImages)?

  init(
    _ name: String, _ summary: String, _ layout: String,
    open: @escaping @Sendable (String, DatasetFolder.Options) throws(TTAError) -> (any LabeledImages)?
  ) {
    self.name = name
    self.summary = summary
    self.layout = layout
    self.open = open
  }

  /// All kinds in the order in which a path is looked at.
  public static let all: [DatasetKind] = [
    DatasetKind("shapes", "the built-in rendered pictures of ten shapes", "the name shapes") { (path, _) throws(TTAError) in
      path == "shapes" ? ShapesDataset.test : nil
    },
    DatasetKind("npy", "one NumPy array, uint8 N×height×width×3", "IMAGES.npy, labels in IMAGES_labels.npy if there") {
      (path, options) throws(TTAError) in
      guard path.hasSuffix(".npy") else { return nil }
      let beside = String(path.dropLast(4)) + "_labels.npy"
      return try NumpyImages(path: path, labels: options.labels ?? (exists(beside) ? beside : nil))
    },
    DatasetKind("npy-pair", "a folder of two NumPy arrays", "images.npy, labels.npy") { (path, options) throws(TTAError) in
      guard exists("\(path)/images.npy") else { return nil }
      let labels = "\(path)/labels.npy"
      return try NumpyImages(path: "\(path)/images.npy", labels: options.labels ?? (exists(labels) ? labels : nil))
    },
    DatasetKind(
      "cifar-c", "CIFAR-10-C or CIFAR-100-C as published, or generated", "<corruption>.npy of five blocks by severity, labels.npy"
    ) { (path, _) throws(TTAError) in
      CifarCorrupted.corruptions(in: path).isEmpty ? nil : try CifarCorrupted(path: path)
    },
    DatasetKind("cifar10-binary", "CIFAR-10, binary version", "test_batch.bin, data_batch_1.bin … 5") { (path, options) throws(TTAError) in
      let files = options.part == .test ? ["test_batch.bin"] : (1...5).map { "data_batch_\($0).bin" }
      guard exists("\(path)/test_batch.bin") else { return nil }
      return try CifarBinary(files.map { "\(path)/\($0)" }, kind: .cifar10)
    },
    DatasetKind("cifar100-binary", "CIFAR-100, binary version, fine classes", "test.bin, train.bin") { (path, options) throws(TTAError) in
      guard exists("\(path)/test.bin") else { return nil }
      return try CifarBinary(["\(path)/\(options.part == .test ? "test" : "train").bin"], kind: .cifar100)
    },
    DatasetKind("mnist", "MNIST digits, enlarged to 32×32 and three channels", "t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte") {
      (path, options) throws(TTAError) in
      let part = options.part == .test ? "t10k" : "train"
      guard exists("\(path)/t10k-images-idx3-ubyte") else { return nil }
      return try IdxImages(path: "\(path)/\(part)-images-idx3-ubyte", labels: "\(path)/\(part)-labels-idx1-ubyte")
    },
    DatasetKind("imagenet-c", "ImageNet-C as published", "<corruption>/<severity>/<class>/<picture>") { (path, options) throws(TTAError) in
      if ImageNetCorrupted.severities(in: path).isEmpty { return nil }
      return try ImageNetCorrupted(path: path, files: try options.fileList(), classNames: try options.classList())
    },
    DatasetKind("domain-folders", "PACS and its like: domains of the same classes", "<domain>/<class>/<picture>") {
      (path, options) throws(TTAError) in
      let folders = ImageFiles.subfolders(of: path)
      guard let first = folders.first, !ImageFiles.subfolders(of: "\(path)/\(first)").isEmpty else { return nil }
      return try DomainFolders(path: path, classNames: try options.classList())
    },
    DatasetKind("class-folders", "ImageNet and its like: a folder per class", "<class>/<picture>") { (path, options) throws(TTAError) in
      guard !ImageFiles.subfolders(of: path).isEmpty else { return nil }
      if let files = try options.fileList() {
        return try ImageFiles.classFolders(path, files: files, classNames: options.classList() ?? ImageFiles.subfolders(of: path))
      }
      return try ImageFiles.classFolders(path, classNames: options.classList())
    },
    DatasetKind("pictures", "a folder of PNG and JPEG files", "<picture>") { (path, _) throws(TTAError) in try ImageFiles.folder(path) },
  ]

  private static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}

/// Opens data sets by looking at them.
public enum DatasetFolder {
  /// What a path alone does not tell.
  public struct Options: Sendable {
    /// Parts of data sets that have two.
    public enum Part: String, Codable, Sendable, CaseIterable {
      /// Pictures to be judged by.
      case test
      /// Pictures to be learned from.
      case train
    }
    /// Which part.
    public var part = Part.test
    /// A `.npy` file of labels for an array.
    public var labels: String?
    /// A text file with one class per line, in the order of their numbers, such as the thousand WordNet ids of ImageNet.
    public var classes: String?
    /// A text file with one `class/picture` per line, such as the 5,000 of RobustBench.
    public var files: String?

    /// The defaults.
    public init() {}

    func classList() throws(TTAError) -> [String]? { try classes.map { (path) throws(TTAError) in try DatasetFolder.lines(of: path) } }
    func fileList() throws(TTAError) -> [String]? {
      guard let files else { return nil }
      let lines = try DatasetFolder.lines(of: files)
      for (number, line) in lines.enumerated() where line.hasPrefix("/") || line.split(separator: "/").contains("..") {
        throw TTAError(
          .invalidData, "\"\(files)\" line \(number + 1): \"\(line)\", expected class/picture", hint: "paths are within the data set")
      }
      return lines
    }
  }

  /// The data set at a path, and its kind. Throws where nothing is there or it looks like no kind, naming what was looked for.
  public static func open(_ path: String, options: Options = Options()) throws(TTAError) -> (kind: DatasetKind, images: any LabeledImages) {
    guard path == "shapes" || FileManager.default.fileExists(atPath: path) else {
      throw TTAError(.missingInput, "\"\(path)\" does not exist", hint: "name a folder, a .npy file or shapes")
    }
    for kind in DatasetKind.all {
      do throws(TTAError) {
        if let images = try kind.open(path, options) { return (kind, images) }
      } catch {
        guard kind.name == "pictures" else { throw error }
      }
    }
    let layouts = DatasetKind.all.filter { $0.name != "shapes" }.map { "\($0.layout) (\($0.name))" }
    throw TTAError(
      .missingInput, "\"\(path)\" is no data set; looked for " + layouts.joined(separator: "; "),
      hint: "tta list datasets shows the layouts")
  }

  /// The lines of a text file without blanks at their ends; empty ones and comments (#) are left out.
  static func lines(of path: String) throws(TTAError) -> [String] {
    let file = try MappedFile(path: path)
    let text = withExtendedLifetime(file) { String(decoding: file.bytes, as: UTF8.self) }
    let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
    let kept = lines.filter { !$0.isEmpty && !$0.hasPrefix("#") }
    guard !kept.isEmpty else { throw TTAError(.invalidData, "\"\(path)\" has no lines", hint: "write one name per line") }
    return kept
  }
}
