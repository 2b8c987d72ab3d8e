// Folders of domains, as PACS has them.

public import Engine
import Foundation
public import Vision

/// A folder of `<domain>/<class>/<picture>`: photos, sketches and others of the same classes, one domain after the other.
///
/// Li et al., "Deeper, Broader and Artier Domain Generalization" (PACS), ICCV 2017; Office-Home and others have the same form.
public struct DomainFolders: LabeledImages {
  /// The folder.
  public let path: String
  /// The domains, sorted by name.
  public let parts: [StreamContents.Part]
  private let files: ImageFiles

  /// A folder. Throws where the domains do not have the same classes, by default those of all domains together.
  public init(path: String, classNames: [String]? = nil) throws(TTAError) {
    self.path = path
    let domains = ImageFiles.subfolders(of: path)
    let classes = classNames ?? Set(domains.flatMap { ImageFiles.subfolders(of: "\(path)/\($0)") }).sorted(by: ImageFiles.bytewise)
    var (parts, all) = ([StreamContents.Part](), [(folder: String, files: ImageFiles)]())
    var start = 0
    for domain in domains {
      let files = try ImageFiles.classFolders("\(path)/\(domain)", classNames: classes)
      parts.append(StreamContents.Part(name: domain, places: start..<start + files.count))
      start += files.count
      all.append((domain, files))
    }
    guard !all.isEmpty else {
      throw TTAError(.missingInput, "\"\(path)\" has no <domain>/<class> folders", hint: "expected for example \(path)/sketch/dog")
    }
    self.parts = parts
    files = ImageFiles.joined(all, in: path, classNames: classes)
  }

  /// The domains for a stream, in the order of their names.
  public var domains: [Domain] { parts.map { Domain(name: $0.name) } }
  /// Pictures of all domains.
  public var count: Int { files.count }
  /// The classes by name.
  public var classNames: [String]? { files.classNames }
  /// The picture.
  public func image(at index: Int) throws(TTAError) -> Image { try files.image(at: index) }
  /// Its class.
  public func label(at index: Int) -> Int? { files.label(at: index) }
  /// Its path.
  public func name(at index: Int) -> String { files.name(at: index) }
}
