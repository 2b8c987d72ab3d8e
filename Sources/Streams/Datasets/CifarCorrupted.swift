// CIFAR-10-C and CIFAR-100-C as they are published.

public import Engine
import Foundation
public import Vision

/// A folder of `<corruption>.npy` files, each five blocks of the same pictures at severities 1 to 5, and `labels.npy`.
///
/// Hendrycks and Dietterich, ICLR 2019. As a data set it is the first corruption's severity 1; a stream shows it under any domain.
public struct CifarCorrupted: LabeledImages {
  /// The folder.
  public let path: String
  /// The corruptions, sorted by their file names.
  public let corruptions: [String]
  /// Pictures of one domain.
  public let count: Int
  private let classes: [Int]
  private let first: NumpyImages

  /// A folder. Throws where there are no labels or no corruption, and where their lengths do not fit.
  public init(path: String) throws(TTAError) {
    self.path = path
    corruptions = Self.corruptions(in: path)
    guard let name = corruptions.first else {
      throw TTAError(
        .missingInput, "\"\(path)\" has no <corruption>.npy beside labels.npy", hint: "expected for example \(path)/gaussian_noise.npy")
    }
    let labels = try NumpyArray(path: "\(path)/labels.npy").labels()
    let pictures = try NumpyImages(path: "\(path)/\(name).npy")
    guard pictures.count % 5 == 0, pictures.count > 0 else {
      throw TTAError(
        .invalidData, "\"\(path)/\(name).npy\" has \(pictures.count) pictures, expected five blocks of one length",
        hint: "copy or download the file again")
    }
    count = pictures.count / 5
    guard labels.count == 5 * count || labels.count == count else {
      throw TTAError(
        .invalidData, "\"\(path)/labels.npy\" has \(labels.count) labels for \(5 * count) pictures, expected \(5 * count) or \(count)",
        hint: "labels.npy repeats the labels of the test set five times")
    }
    classes = Array(labels.prefix(count))
    first = pictures
  }

  /// The names of the files of a folder that has labels.
  static func corruptions(in path: String) -> [String] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    guard files.contains("labels.npy") else { return [] }
    return files.filter { $0.hasSuffix(".npy") && $0 != "labels.npy" && !$0.hasPrefix(".") }.map { String($0.dropLast(4)) }.sorted()
  }

  /// A picture of the first corruption at severity 1.
  public func image(at index: Int) throws(TTAError) -> Image { try first.image(at: index) }
  /// The class of a picture, the same in every domain.
  public func label(at index: Int) -> Int? { classes[index] }
  /// The file and the place in it.
  public func name(at index: Int) -> String { first.name(at: index) }

  /// The block of a corruption and a severity. Throws where the folder does not hold it.
  public func images(of domain: Domain) throws(TTAError) -> (any LabeledImages)? {
    let (file, severity) = try PublishedDomain.find(domain, in: corruptions, of: path)
    let pictures = try NumpyImages(path: "\(path)/\(file).npy")
    guard pictures.count == 5 * count else {
      throw TTAError(
        .invalidData, "\"\(path)/\(file).npy\" has \(pictures.count) pictures, expected \(5 * count) as in the other files",
        hint: "copy or download the file again")
    }
    return try RelabeledImages(ImageRange(pictures, (severity - 1) * count..<severity * count), labels: classes)
  }
}

/// Domains of data sets that are published corrupted.
enum PublishedDomain {
  /// The file name of a domain's corruption, and its severity. Throws where there is none.
  static func find(_ domain: Domain, in corruptions: [String], of path: String) throws(TTAError) -> (file: String, severity: Int) {
    guard domain.steps.count == 1, domain.name == nil, let corruption = domain.corruption else {
      throw TTAError(
        .usage, "\"\(path)\" holds pictures of single corruptions only, not of \(domain)",
        hint: "name one of its corruptions: \(corruptions.prefix(3).joined(separator: ", ")), …")
    }
    guard let file = corruptions.first(where: { DomainOrder.hyphenated($0) == DomainOrder.hyphenated(corruption) }) else {
      let near = NearestNames.nearest(to: corruption, in: corruptions).joined(separator: ", ")
      throw TTAError(.missingInput, "\"\(path)\" has no corruption \"\(corruption)\"", hint: "nearest names: \(near)")
    }
    guard let severity = Int(exactly: domain.severity), (1...5).contains(severity) else {
      throw TTAError(
        .usage, "\"\(path)\" holds severities 1...5 of \(corruption), not \(domain.severity)", hint: "5 is the benchmarks' default")
    }
    return (file, severity)
  }
}
