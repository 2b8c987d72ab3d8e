// The stream of a cell.

public import Engine
public import Streams
public import Vision

/// The pictures of a replay, and the stream that each cell sees.
public struct ReplaySource: Sendable {
  /// The pictures, those of unknown classes behind the others.
  public let images: any LabeledImages
  /// Classes of the model.
  public let classCount: Int
  private let preprocessing: Preprocessing?

  /// Pictures and what brings them to the model.
  public init(_ images: any LabeledImages, classCount: Int, preprocessing: Preprocessing?) throws(TTAError) {
    (self.images, self.classCount, self.preprocessing) = (images, classCount, preprocessing)
    guard let labels = images.labels else {
      throw TTAError(.usage, "the data set has no labels, so errors cannot be counted", hint: "give --labels FILE.npy, or use tta adapt")
    }
    if let place = labels.firstIndex(where: { $0 >= classCount }) {
      throw TTAError(
        .invalidData, "label \(labels[place]) at place \(place), expected less than \(classCount), the number of the model's classes",
        hint: "check that model and labels belong together")
    }
  }

  /// The stream of a cell, and how it treats resets.
  public func stream(_ cell: ReplayCell, _ configuration: ReplayConfiguration) throws -> (stream: DomainStream, plan: StreamPlan) {
    let setting = try SettingKind.named(cell.setting.name).make(cell.setting.options)
    var domains: [Domain] = []
    for name in configuration.corruptions {
      domains.append(name == "clean" ? .clean : Domain(name, severity: cell.severity ?? configuration.severities.first ?? 5))
    }
    if domains.isEmpty { domains = images.parts.isEmpty ? [.clean] : images.parts.map { Domain(name: $0.name) } }
    let plan = try StreamPlan(setting, for: StreamContents(images, classCount: classCount, domains: domains), seed: cell.seed)
    var options = DomainStream.Options()
    (options.seed, options.preprocessing, options.frostDirectory) = (cell.seed, preprocessing, configuration.frostDirectory)
    return (try DomainStream(images, plan: plan, batchSize: configuration.batch, options: options), plan)
  }

  /// A digest of the number of pictures, of all labels and of the pixels of 16 pictures spread over the data set.
  public func digest() throws -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    let labels = (images.labels ?? []).map { Int64($0) }
    hash = labels.withUnsafeBytes { Digest.of($0, after: hash) }
    let count = min(16, images.count)
    for number in 0..<count {
      let image = try images.image(at: number * images.count / count)
      hash = image.pixels.withUnsafeBytes { Digest.of($0, after: hash) }
    }
    return Digest.text(hash)
  }
}
