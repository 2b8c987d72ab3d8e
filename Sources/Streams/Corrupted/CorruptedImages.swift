// A data set under many corruptions, for writing it to files.

public import Engine
import Foundation
import Synchronization
public import Vision

/// Pictures under corruptions at severities. A picture depends on the seed and its own number only, whoever makes it and when.
public struct CorruptedImages: Sendable {
  /// How pictures are corrupted.
  public struct Options: Sendable {
    /// Key of all random corruptions.
    public var seed: UInt64 = 1
    /// Whose parameters corruptions use; `nil` goes by the size of each picture.
    public var table: CorruptionTable?
    /// A folder with the published photographs of frost; `nil` makes frost procedural.
    public var frostDirectory: String?
    /// Passes corrupted pictures through a JPEG of quality 85, as the published corrupted ImageNet has.
    public var jpeg85 = false
    /// Pictures that are made at the same time.
    public var threads = 1

    /// The defaults.
    public init() {}
  }
  /// One corruption at one severity.
  public struct Domain: Sendable {
    /// Which corruption.
    public let kind: CorruptionKind
    /// 0...5 in steps of a quarter.
    public let severity: Double
    /// The corruption's name for results.
    public let label: String
    fileprivate let corruptors: [CorruptionTable: Corruptor]

    /// `5`, `2.25`.
    public var severityText: String { severity == severity.rounded() ? "\(Int(severity))" : "\(severity)" }
  }

  /// The pictures as they are.
  public let images: any LabeledImages
  /// All severities of the first corruption, then those of the next.
  public let domains: [Domain]
  /// How pictures are corrupted.
  public let options: Options

  /// Pictures under each of the corruptions at each of the severities. Throws where a severity is not one of 0, 0.25, … 5, or a
  /// photograph of frost cannot be used.
  public init(
    _ images: any LabeledImages, corruptions: [CorruptionKind], severities: [Double], options: Options = Options()
  ) throws(TTAError) {
    var domains = [Domain]()
    for kind in corruptions {
      for severity in severities {
        var corruptors = [CorruptionTable: Corruptor]()
        for table in CorruptionTable.allCases where options.table == nil || options.table == table {
          corruptors[table] = try Corruptor(
            kind, severity: severity, table: table, seed: options.seed, frostDirectory: options.frostDirectory)
        }
        domains.append(
          Domain(
            kind: kind, severity: severity, label: kind.label(hasPhotographs: options.frostDirectory != nil), corruptors: corruptors))
      }
    }
    self.images = images
    self.domains = domains
    self.options = options
  }

  /// The table for a picture's size.
  public func table(for image: Image) -> CorruptionTable { options.table ?? .suited(toHeight: image.height, width: image.width) }

  /// The picture of a place, which is given as it is, under a domain.
  func corrupted(_ image: Image, at place: Int, _ domain: Domain, asJPEG: Bool = false) throws(TTAError) -> Image {
    guard let corruptor = domain.corruptors[table(for: image)] else { return image }
    let result = corruptor.apply(to: image, index: images.identity(at: place))
    guard options.jpeg85, !asJPEG else { return result }
    return try ImageCodec.decode(ImageCodec.jpeg(result, quality: 85), name: images.name(at: place))
  }

  /// The picture of a place as it is; the error of a damaged one says which it is.
  func original(at place: Int) throws(TTAError) -> Image {
    do throws(TTAError) { return try images.image(at: place) } catch {
      throw TTAError(error.code, "picture \(place + 1) of \(images.count): \(error.message)", hint: error.hint, cause: error)
    }
  }

  /// The results of a body for 0 ..< count, computed by all threads; of several errors the first one in order is thrown.
  func concurrently<T: Sendable>(_ count: Int, _ body: @Sendable (Int) throws(TTAError) -> T) throws(TTAError) -> [T] {
    let results = Mutex([Int: Result<T, TTAError>]())
    let threads = min(max(1, options.threads), count)
    DispatchQueue.concurrentPerform(iterations: threads) { thread in
      for index in stride(from: thread, to: count, by: threads) {
        let result = Result<T, TTAError> { () throws(TTAError) in try body(index) }
        results.withLock { $0[index] = result }
        if case .failure = result { return }
      }
    }
    let found = results.withLock { $0 }
    for index in 0..<count { if case .failure(let error)? = found[index] { throw error } }
    var all = [T]()
    for index in 0..<count { if case .success(let value)? = found[index] { all.append(value) } }
    return all
  }
}

/// How far the writing of corrupted pictures is.
public struct CorruptionProgress: Sendable {
  /// Pictures written, of all domains.
  public var written: Int
  /// Pictures of all domains.
  public var total: Int
  /// What is being written: `fog 5`, or the name of a picture.
  public var text: String
  /// Whether this ends a block that deserves a line where there is no terminal.
  public var endsBlock: Bool
}

/// A folder that is made where it is missing.
func makeFolder(_ path: String) throws(TTAError) {
  do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
    throw TTAError(.cannotWrite, "cannot make the folder \"\(path)\"", hint: "check the path and its permissions", cause: error)
  }
}
