// The way of a picture from the data set to the batch under one domain.

import Engine
import Vision

/// Where the pictures of a domain come from and what is done to them.
struct DomainRoute: Sendable {
  private let images: any LabeledImages
  /// The corruptions in order, each for every table that may be needed.
  private let steps: [[CorruptionTable: Corruptor]]
  private let options: DomainStream.Options
  /// Whether the data set holds the domain corrupted, as it was published.
  let isPublished: Bool

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
      isPublished = true
      return
    }
    self.images = images
    isPublished = false
    var steps = [[CorruptionTable: Corruptor]]()
    for step in domain.steps where step.severity != 0 {
      let kind = try CorruptionKind.named(step.corruption)
      var tables = [CorruptionTable: Corruptor]()
      for table in CorruptionTable.allCases where options.table == nil || options.table == table {
        tables[table] = try Corruptor(
          kind, severity: step.severity, table: table, seed: options.seed, frostDirectory: options.frostDirectory)
      }
      steps.append(tables)
    }
    self.steps = steps
  }

  /// The picture of a place at the model's size; `occurrence` is its number in the stream, on which a random cut depends.
  func picture(at place: Int, occurrence: Int) throws(TTAError) -> Image {
    var picture = try images.image(at: place)
    if options.corruptsOriginals { picture = try corrupted(picture, at: place) }
    if let crop = options.crop {
      var random = RandomSource(seed: options.seed).stream(0x6372_6F70).stream(UInt64(occurrence))
      let size = options.preprocessing.map { ($0.inputWidth, $0.inputHeight) } ?? (picture.width, picture.height)
      picture = crop.apply(to: picture, width: size.0, height: size.1, &random)
    } else if let preprocessing = options.preprocessing {
      picture = try preprocessing.apply(to: picture, name: images.name(at: place))
    }
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
