// The way of a picture from the data set to the batch under one domain.

import Engine
import Vision

/// Where the pictures of a domain come from and what is done to them.
struct DomainRoute: Sendable {
  private let images: any LabeledImages
  /// The corruptions in order, each for every table that may be needed.
  private let steps: [[CorruptionTable: Corruptor]]
  private let options: DomainStream.Options

  /// Throws for unknown corruptions and severities, and where the data set cannot show the domain.
  init(_ domain: Domain, _ images: any LabeledImages, _ options: DomainStream.Options) throws(TTAError) {
    self.options = options
    if let corrupted = try images.images(of: domain) {
      guard corrupted.count >= images.count else {
        throw TTAError(
          .invalidData, "\(domain) has \(corrupted.count) pictures, the data set \(images.count)",
          hint: "all domains of a corrupted data set show the same pictures")
      }
      self.images = corrupted
      steps = []
      return
    }
    self.images = images
    var steps = [[CorruptionTable: Corruptor]]()
    for step in domain.steps where step.severity != 0 {
      let kind = try CorruptionKind.named(step.corruption)
      var tables = [CorruptionTable: Corruptor]()
      for table in CorruptionTable.allCases where options.table == nil || options.table == table {
        tables[table] = try Self.corruptor(kind, step, table, seed: options.seed)
      }
      steps.append(tables)
    }
    self.steps = steps
  }

  private static func corruptor(
    _ kind: CorruptionKind, _ step: Domain.Step, _ table: CorruptionTable, seed: UInt64
  ) throws(TTAError) -> Corruptor {
    guard let severity = Int(exactly: step.severity) else {
      throw TTAError(.unsupported, "severity \(step.severity) of \(kind.name), expected 1, 2, 3, 4 or 5", hint: "choose a whole severity")
    }
    return try Corruptor(kind, severity: severity, table: table, seed: seed)
  }

  /// The picture of a place at the model's size.
  func picture(at place: Int) throws(TTAError) -> Image {
    var picture = try images.image(at: place)
    if options.corruptsOriginals { picture = try corrupted(picture, at: place) }
    if let preprocessing = options.preprocessing { picture = try preprocessing.apply(to: picture, name: images.name(at: place)) }
    return options.corruptsOriginals ? picture : try corrupted(picture, at: place)
  }
  /// What to call the picture of a place.
  func name(at place: Int) -> String { images.name(at: place) }

  private func corrupted(_ picture: Image, at place: Int) throws(TTAError) -> Image {
    if steps.isEmpty { return picture }
    let table = options.table ?? .suited(toHeight: picture.height, width: picture.width)
    var result = picture
    for step in steps {
      if let corruptor = step[table] { result = corruptor.apply(to: result, index: images.identity(at: place)) }
    }
    guard options.jpeg85 else { return result }
    return try ImageCodec.decode(ImageCodec.jpeg(result, quality: 85), name: images.name(at: place))
  }
}
