// A data set under changing corruptions, cut into batches.

public import Engine
public import Vision

/// What happens when a picture cannot be read.
public enum BadImagePolicy: String, Codable, Sendable, CaseIterable {
  /// It is left out of its batch and reported with it; the other pictures keep their batches.
  case skip
  /// The stream ends with its error.
  case stop
}

/// Pictures under one domain after the other, in batches.
///
/// A value that computes any batch from its number alone: batches can be made on any thread, in any order, and a run can be continued in
/// the middle. A domain's last batch may be short; batches never mix domains.
public struct DomainStream: Sendable {
  /// Pictures of a domain, by their places in the data set.
  public struct Segment: Sendable {
    /// What they have in common.
    public var domain: Domain
    /// Which pictures, in order.
    public var places: [Int]

    /// Some pictures under a domain.
    public init(domain: Domain, places: [Int]) {
      self.domain = domain
      self.places = places
    }
  }

  /// How pictures get from the data set into a batch.
  public struct Options: Sendable {
    /// Key of all random corruptions.
    public var seed: UInt64 = 1
    /// Brings pictures to a model's size; `nil` takes them as they are.
    public var preprocessing: Preprocessing?
    /// Corrupts pictures before preprocessing rather than after it. The published corrupted ImageNet was corrupted after it, at the
    /// model's size; pictures that are enlarged for a model are corrupted before.
    public var corruptsOriginals = false
    /// Whose parameters corruptions use; `nil` goes by the size of the pictures.
    public var table: CorruptionTable?
    /// Passes corrupted pictures through a JPEG of quality 85, as the published corrupted ImageNet has.
    public var jpeg85 = false
    /// A folder with the published photographs of frost; `nil` makes frost procedural.
    public var frostDirectory: String?
    /// What happens when a picture cannot be read.
    public var onBadImage = BadImagePolicy.skip

    /// The defaults.
    public init() {}
  }

  /// The pictures.
  public let images: any LabeledImages
  /// The domains in order.
  public let segments: [Segment]
  /// Pictures in a full batch.
  public let batchSize: Int
  /// How pictures get into a batch.
  public let options: Options
  /// How many batches there are.
  public let count: Int
  private let corruptors: [[CorruptionTable: Corruptor]]
  /// Number of the first batch of each segment.
  private let starts: [Int]

  /// A stream over the given parts of a data set.
  public init(_ images: any LabeledImages, segments: [Segment], batchSize: Int, options: Options = Options()) throws(TTAError) {
    guard batchSize > 0 else { throw TTAError(.usage, "batch size \(batchSize), expected 1 or more", hint: "the benchmarks use 200 or 64") }
    var corruptors = [[CorruptionTable: Corruptor]]()
    var starts = [Int]()
    var total = 0
    for segment in segments {
      precondition(segment.places.allSatisfy { (0..<images.count).contains($0) }, "a place outside the data set")
      var tables = [CorruptionTable: Corruptor]()
      if let name = segment.domain.corruption {
        let kind = try CorruptionKind.named(name)
        for table in CorruptionTable.allCases where options.table == nil || options.table == table {
          tables[table] = try Corruptor(
            kind, severity: segment.domain.severity, table: table, seed: options.seed, frostDirectory: options.frostDirectory)
        }
      }
      corruptors.append(tables)
      starts.append(total)
      total += (segment.places.count + batchSize - 1) / batchSize
    }
    self.images = images
    self.segments = segments.map { segment in
      var segment = segment
      segment.domain.hasFrostPhotographs = options.frostDirectory != nil && segment.domain.corruption == "frost"
      return segment
    }
    self.batchSize = batchSize
    self.options = options
    self.corruptors = corruptors
    self.starts = starts
    count = total
  }

  /// A stream over the whole data set, in its order, once per domain.
  public init(_ images: any LabeledImages, domains: [Domain], batchSize: Int, options: Options = Options()) throws(TTAError) {
    let places = Array(0..<images.count)
    try self.init(images, segments: domains.map { Segment(domain: $0, places: places) }, batchSize: batchSize, options: options)
  }

  /// Pictures in all batches.
  public var imageCount: Int { segments.reduce(0) { $0 + $1.places.count } }

  /// The batch of a number.
  public func batch(at index: Int) throws(TTAError) -> LabeledBatch {
    precondition((0..<count).contains(index), "batch \(index) of \(count)")
    let domainIndex = starts.indices.last { starts[$0] <= index && !segments[$0].places.isEmpty } ?? 0
    let segment = segments[domainIndex]
    let first = (index - starts[domainIndex]) * batchSize
    let places = segment.places[first..<min(first + batchSize, segment.places.count)]
    var pictures = [Image]()
    var kept = [Int]()
    var failures = [ImageFailure]()
    for place in places {
      do throws(TTAError) {
        let picture = try self.picture(at: place, corruptors[domainIndex])
        try checkSize(picture, like: pictures.first, at: place)
        pictures.append(picture)
        kept.append(place)
      } catch {
        if options.onBadImage == .stop { throw error }
        failures.append(ImageFailure(place: place, name: images.name(at: place), error: error))
      }
    }
    let labels = kept.compactMap { images.label(at: $0) }
    return LabeledBatch(
      images: ImageBatch.tensor(of: pictures), labels: labels.count == kept.count ? labels : [], places: kept, domain: segment.domain,
      domainIndex: domainIndex, index: index, startsDomain: first == 0, failures: failures)
  }

  /// The batches from a number on, each made on a background thread while the one before is used.
  public func prefetched(from first: Int = 0) -> Prefetcher<LabeledBatch> {
    Prefetcher(first..<count) { (index) throws(TTAError) in try batch(at: index) }
  }

  private func picture(at place: Int, _ corruptors: [CorruptionTable: Corruptor]) throws(TTAError) -> Image {
    var picture = try images.image(at: place)
    if options.corruptsOriginals { picture = try corrupted(picture, at: place, corruptors) }
    if let preprocessing = options.preprocessing { picture = try preprocessing.apply(to: picture, name: images.name(at: place)) }
    return options.corruptsOriginals ? picture : try corrupted(picture, at: place, corruptors)
  }

  private func corrupted(_ picture: Image, at place: Int, _ corruptors: [CorruptionTable: Corruptor]) throws(TTAError) -> Image {
    let table = options.table ?? .suited(toHeight: picture.height, width: picture.width)
    guard let corruptor = corruptors[table] else { return picture }
    let result = corruptor.apply(to: picture, index: images.identity(at: place))
    guard options.jpeg85 else { return result }
    return try ImageCodec.decode(ImageCodec.jpeg(result, quality: 85), name: images.name(at: place))
  }

  private func checkSize(_ picture: Image, like first: Image?, at place: Int) throws(TTAError) {
    guard let first, first.width != picture.width || first.height != picture.height else { return }
    throw TTAError(
      .invalidData, "\"\(images.name(at: place))\" has \(picture.sizeText) pixels, the first picture of its batch \(first.sizeText)",
      hint: "give an input size, so that all pictures are brought to it")
  }
}
