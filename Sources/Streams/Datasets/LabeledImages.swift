// Numbered pictures with labels beside them.

public import Engine
public import Vision

/// A source of numbered pictures; any of them can be asked for at any time, from any thread.
public protocol LabeledImages: Sendable {
  /// How many pictures there are.
  var count: Int { get }
  /// The classes by name where they are known.
  var classNames: [String]? { get }
  /// The picture at a place 0 ..< count.
  func image(at index: Int) throws(TTAError) -> Image
  /// The class of a picture; -1 is a class that the model does not know, `nil` that nobody said.
  func label(at index: Int) -> Int?
  /// What to call a picture: a path, or the file and the place in it.
  func name(at index: Int) -> String
  /// The number that random corruptions are keyed by: the same picture has the same one in every part of a data set.
  func identity(at index: Int) -> UInt64
  /// Domains that the data set has of its own, such as photos and sketches; their places do not overlap.
  var parts: [StreamContents.Part] { get }
  /// The corruptions that the data set holds, by the names of its files.
  var corruptions: [String] { get }
  /// The same pictures under a domain, where the data set holds them corrupted already; `nil` where they are to be corrupted.
  func images(of domain: Domain) throws(TTAError) -> (any LabeledImages)?
}

extension LabeledImages {
  /// Not known.
  public var classNames: [String]? { nil }
  /// The place.
  public func identity(at index: Int) -> UInt64 { UInt64(index) }
  /// None.
  public var parts: [StreamContents.Part] { [] }
  /// None.
  public var corruptions: [String] { [] }
  /// They are to be corrupted.
  public func images(of domain: Domain) throws(TTAError) -> (any LabeledImages)? { nil }
  /// All labels, or `nil` where a picture has none.
  public var labels: [Int]? {
    var labels = [Int]()
    labels.reserveCapacity(count)
    for index in 0..<count {
      guard let label = label(at: index) else { return nil }
      labels.append(label)
    }
    return labels
  }
}

/// A part of a data set; pictures keep their names and identities.
public struct ImageRange: LabeledImages {
  private let base: any LabeledImages
  private let range: Range<Int>

  /// The pictures at the given places.
  public init(_ base: any LabeledImages, _ range: Range<Int>) throws(TTAError) {
    guard range.lowerBound >= 0, range.upperBound <= base.count else {
      throw TTAError(
        .usage, "pictures \(range.lowerBound)..<\(range.upperBound), the data set has \(base.count)",
        hint: "choose a range within the data set")
    }
    self.base = base
    self.range = range
  }
  /// Pictures in the part.
  public var count: Int { range.count }
  /// The classes of the whole.
  public var classNames: [String]? { base.classNames }
  /// The picture at a place of the part.
  public func image(at index: Int) throws(TTAError) -> Image { try base.image(at: range.lowerBound + index) }
  /// Its class.
  public func label(at index: Int) -> Int? { base.label(at: range.lowerBound + index) }
  /// Its name in the whole.
  public func name(at index: Int) -> String { base.name(at: range.lowerBound + index) }
  /// Its identity in the whole.
  public func identity(at index: Int) -> UInt64 { base.identity(at: range.lowerBound + index) }
  /// The domains of the whole, as far as they lie in the part.
  public var parts: [StreamContents.Part] {
    base.parts.compactMap { part in
      let places = part.places.clamped(to: range)
      let start = range.lowerBound
      return places.isEmpty
        ? nil : StreamContents.Part(name: part.name, places: places.lowerBound - start..<places.upperBound - start)
    }
  }
  /// The corruptions that the whole holds.
  public var corruptions: [String] { base.corruptions }
  /// The same part of the whole under a domain.
  public func images(of domain: Domain) throws(TTAError) -> (any LabeledImages)? {
    guard let images = try base.images(of: domain) else { return nil }
    return try ImageRange(images, range)
  }
}

/// Several sources one after the other; identities are places in the whole.
public struct ConcatenatedImages: LabeledImages {
  private let sources: [any LabeledImages]
  private let starts: [Int]
  /// Pictures in all sources.
  public let count: Int

  /// The sources in order.
  public init(_ sources: [any LabeledImages]) {
    self.sources = sources
    var starts = [Int]()
    var total = 0
    for source in sources {
      starts.append(total)
      total += source.count
    }
    self.starts = starts
    count = total
  }
  /// The classes of those sources that name them, if they agree.
  public var classNames: [String]? {
    let names = sources.compactMap(\.classNames)
    return names.allSatisfy { $0 == names.first } ? names.first : nil
  }
  /// The picture at a place.
  public func image(at index: Int) throws(TTAError) -> Image {
    let (part, place) = find(index)
    return try part.image(at: place)
  }
  /// Its class.
  public func label(at index: Int) -> Int? {
    let (part, place) = find(index)
    return part.label(at: place)
  }
  /// Its name.
  public func name(at index: Int) -> String {
    let (part, place) = find(index)
    return part.name(at: place)
  }
  /// The domains of all sources, shifted to their places in the whole.
  public var parts: [StreamContents.Part] {
    zip(sources, starts).flatMap { source, start in
      source.parts.map { StreamContents.Part(name: $0.name, places: $0.places.lowerBound + start..<$0.places.upperBound + start) }
    }
  }
  /// The sources under a domain, where all of them hold it.
  public func images(of domain: Domain) throws(TTAError) -> (any LabeledImages)? {
    var corrupted = [any LabeledImages]()
    for source in sources { if let images = try source.images(of: domain) { corrupted.append(images) } }
    if corrupted.isEmpty { return nil }
    guard corrupted.count == sources.count else {
      throw TTAError(
        .usage, "\(corrupted.count) of \(sources.count) data sets hold \(domain) already corrupted",
        hint: "join data sets that all hold corrupted pictures, or that all hold clean ones")
    }
    return ConcatenatedImages(corrupted)
  }
  private func find(_ index: Int) -> (any LabeledImages, Int) {
    precondition((0..<count).contains(index), "picture \(index) of \(count)")
    var (low, high) = (0, starts.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= index { low = middle } else { high = middle }
    }
    return (sources[low], index - starts[low])
  }
}
