// ImageNet-C as it is published.

public import Engine
import Foundation
public import Vision

/// A folder of `<corruption>/<severity>/<class>/<picture>`. The pictures are listed once, in one domain; all domains have the same ones.
///
/// Hendrycks and Dietterich, ICLR 2019. As a data set it is the first corruption's lowest severity; a stream shows it under any domain.
public struct ImageNetCorrupted: LabeledImages {
  /// The folder.
  public let path: String
  /// The corruptions, sorted by their folder names.
  public let corruptions: [String]
  private let first: ImageFiles
  private let severities: [String: [String]]

  /// A folder. `files` are the pictures to be used, `<class>/<picture>` each, by default all; `classNames` the classes in the order of their
  /// numbers, by default the sorted folders. Throws where there is no domain, or a picture is of no class.
  public init(path: String, files: [String]? = nil, classNames: [String]? = nil) throws(TTAError) {
    self.path = path
    severities = Self.severities(in: path)
    corruptions = severities.keys.sorted()
    guard let corruption = corruptions.first, let severity = severities[corruption]?.first else {
      throw TTAError(
        .missingInput, "\"\(path)\" has no <corruption>/<severity> folders", hint: "expected for example \(path)/gaussian_noise/5/n01440764"
      )
    }
    let folder = "\(path)/\(corruption)/\(severity)"
    if let files {
      first = try ImageFiles.classFolders(folder, files: files, classNames: classNames ?? ImageFiles.subfolders(of: folder))
    } else {
      first = try ImageFiles.classFolders(folder, classNames: classNames)
    }
  }

  /// The corruptions of a folder and the severities of each.
  static func severities(in path: String) -> [String: [String]] {
    var result = [String: [String]]()
    for name in ImageFiles.subfolders(of: path) {
      let severities = ImageFiles.subfolders(of: "\(path)/\(name)")
      if !severities.isEmpty, severities.allSatisfy({ ["1", "2", "3", "4", "5"].contains($0) }) { result[name] = severities }
    }
    return result
  }

  /// Pictures of one domain.
  public var count: Int { first.count }
  /// The classes by name.
  public var classNames: [String]? { first.classNames }
  /// A picture of the first domain.
  public func image(at index: Int) throws(TTAError) -> Image { try first.image(at: index) }
  /// The class of a picture, the same in every domain.
  public func label(at index: Int) -> Int? { first.label(at: index) }
  /// Its path in the first domain.
  public func name(at index: Int) -> String { first.name(at: index) }

  /// The pictures of a corruption and a severity. Throws where the folder does not hold it; a single missing picture is found when it is
  /// asked for.
  public func images(of domain: Domain) throws(TTAError) -> (any LabeledImages)? {
    let (folder, severity) = try PublishedDomain.find(domain, in: corruptions, of: path)
    guard severities[folder]?.contains("\(severity)") == true else {
      throw TTAError(
        .missingInput, "\"\(path)/\(folder)\" has no severity \(severity)",
        hint: "it has \(severities[folder]?.joined(separator: ", ") ?? "none")")
    }
    return first.moved(to: "\(path)/\(folder)/\(severity)")
  }
}
