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
/// the middle. A segment's last batch may be short; batches never cross segments, and only mixed segments mix domains.
public struct DomainStream: Sendable {
  /// A part of the stream.
  public typealias Segment = StreamSegment

  /// How pictures get from the data set into a batch.
  public struct Options: Sendable {
    /// Key of all random corruptions.
    public var seed: UInt64 = 1
    /// Brings pictures to a model's size; `nil` takes them as they are.
    public var preprocessing: Preprocessing?
    /// Cuts pictures at random to the model's size instead of preparing them; each time a picture comes it is cut anew.
    public var crop: RandomResizedCrop?
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
  /// When pictures arrive; `nil` where the stream waits for its consumer.
  public let arrival: StreamPlan.Arrival?
  private let routes: [DomainRoute]
  /// For each segment the routes of its domains.
  private let routeNumbers: [[Int]]
  /// Number of the first batch of each segment.
  private let starts: [Int]
  /// Number of the first picture of each segment.
  private let pictureStarts: [Int]

  /// A stream over the given parts of a data set. A data set that holds corrupted pictures shows those; others are corrupted here.
  public init(
    _ images: any LabeledImages, segments: [Segment], batchSize: Int, options: Options = Options(), arrival: StreamPlan.Arrival? = nil
  ) throws(TTAError) {
    guard batchSize > 0 else { throw TTAError(.usage, "batch size \(batchSize), expected 1 or more", hint: "the benchmarks use 200 or 64") }
    var routes = [DomainRoute]()
    var known = [Domain: Int]()
    var routeNumbers = [[Int]]()
    var (starts, pictureStarts) = ([Int](), [Int]())
    var (total, pictures) = (0, 0)
    var hasPhotographs = options.frostDirectory != nil
    for segment in segments {
      precondition(segment.places.allSatisfy { (0..<images.count).contains($0) }, "a place outside the data set")
      var numbers = [Int]()
      for domain in segment.allDomains {
        let number = known[domain] ?? routes.count
        if number == routes.count {
          let route = try DomainRoute(domain, images, options)
          hasPhotographs = hasPhotographs || route.isPublished
          routes.append(route)
          known[domain] = number
        }
        numbers.append(number)
      }
      routeNumbers.append(numbers)
      starts.append(total)
      pictureStarts.append(pictures)
      total += (segment.places.count + batchSize - 1) / batchSize
      pictures += segment.places.count
    }
    self.images = images
    self.segments = hasPhotographs ? segments.map { $0.withFrostPhotographs() } : segments
    self.batchSize = batchSize
    self.options = options
    self.arrival = arrival
    self.routes = routes
    self.routeNumbers = routeNumbers
    self.starts = starts
    self.pictureStarts = pictureStarts
    count = total
  }

  /// The batches of a plan. Throws where the plan was made for another data set.
  public init(_ images: any LabeledImages, plan: StreamPlan, batchSize: Int, options: Options = Options()) throws(TTAError) {
    try plan.check(StreamContents(images, domains: []))
    var options = options
    options.crop = plan.crop ?? options.crop
    try self.init(images, segments: plan.segments, batchSize: batchSize, options: options, arrival: plan.arrival)
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
    var pictures = [PictureResult]()
    for position in 0..<size(ofBatch: index) { pictures.append(try picture(position, ofBatch: index)) }
    return try assembled(index, pictures)
  }

  /// The batches from a number on, made ahead by `threads` background threads while others are used.
  ///
  /// The order and the contents do not depend on the number of threads. At most `depth` finished batches wait.
  public func prefetched(from first: Int = 0, threads: Int = 1, depth: Int = 1) -> Prefetcher<LabeledBatch> {
    Prefetcher(first..<count, depth: depth, threads: threads) {
      size(ofBatch: $0)
    } make: { (index, position) throws(TTAError) in
      try picture(position, ofBatch: index)
    } join: { (index, pictures) throws(TTAError) in
      try assembled(index, pictures)
    }
  }

  private typealias PictureResult = Result<Image, TTAError>
  private func segmentNumber(ofBatch index: Int) -> Int {
    precondition((0..<count).contains(index), "batch \(index) of \(count)")
    var (low, high) = (0, starts.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= index { low = middle } else { high = middle }
    }
    return low
  }
  private func size(ofBatch index: Int) -> Int {
    let number = segmentNumber(ofBatch: index)
    return min(batchSize, segments[number].places.count - (index - starts[number]) * batchSize)
  }
  /// A picture of a batch, or why there is none; throws that where the stream is to stop.
  private func picture(_ position: Int, ofBatch index: Int) throws(TTAError) -> PictureResult {
    let number = segmentNumber(ofBatch: index)
    let segment = segments[number]
    let item = (index - starts[number]) * batchSize + position
    do throws(TTAError) {
      return .success(try route(of: item, in: number).picture(at: segment.places[item], occurrence: pictureStarts[number] + item))
    } catch {
      if options.onBadImage == .stop { throw error }
      return .failure(error)
    }
  }

  private func route(of item: Int, in segment: Int) -> DomainRoute {
    let mixture = segments[segment].mixtureNumbers
    return routes[routeNumbers[segment][mixture.isEmpty ? 0 : mixture[item]]]
  }

  private func assembled(_ index: Int, _ results: [PictureResult]) throws(TTAError) -> LabeledBatch {
    let number = segmentNumber(ofBatch: index)
    let segment = segments[number]
    let first = (index - starts[number]) * batchSize
    var (pictures, kept, failures) = ([Image](), [Int](), [ImageFailure]())
    for (position, result) in results.enumerated() {
      let place = segment.places[first + position]
      let name = { route(of: first + position, in: number).name(at: place) }
      do throws(TTAError) {
        let picture = try result.get()
        try checkSize(picture, like: pictures.first, name)
        pictures.append(picture)
        kept.append(first + position)
      } catch {
        if options.onBadImage == .stop { throw error }
        failures.append(ImageFailure(place: place, name: name(), error: error))
      }
    }
    let places = kept.map { segment.places[$0] }
    let labels = places.compactMap { images.label(at: $0) }
    return LabeledBatch(
      images: ImageBatch.tensor(of: pictures), labels: labels.count == kept.count ? labels : [], places: places, domain: segment.domain,
      domains: segment.mixture.isEmpty ? [] : kept.map { segment.domain(at: $0) }, domainIndex: number, index: index,
      startsDomain: first == 0, failures: failures,
      arrivals: arrival.map { arrival in kept.map { arrival.time(at: pictureStarts[number] + $0) } } ?? [])
  }

  private func checkSize(_ picture: Image, like first: Image?, _ name: () -> String) throws(TTAError) {
    guard let first, first.width != picture.width || first.height != picture.height else { return }
    throw TTAError(
      .invalidData, "\"\(name())\" has \(picture.sizeText) pixels, the first picture of its batch \(first.sizeText)",
      hint: "give an input size, so that all pictures are brought to it")
  }
}
