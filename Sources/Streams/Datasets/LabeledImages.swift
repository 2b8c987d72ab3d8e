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
}

extension LabeledImages {
  /// Not known.
  public var classNames: [String]? { nil }
  /// The place.
  public func identity(at index: Int) -> UInt64 { UInt64(index) }
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
}

/// Several sources one after the other; identities are places in the whole.
public struct ConcatenatedImages: LabeledImages {
  private let parts: [any LabeledImages]
  private let starts: [Int]
  /// Pictures in all parts.
  public let count: Int

  /// The sources in order.
  public init(_ parts: [any LabeledImages]) {
    self.parts = parts
    var starts = [Int]()
    var total = 0
    for part in parts {
      starts.append(total)
      total += part.count
    }
    self.starts = starts
    count = total
  }
  /// The classes of the first part, if all parts agree on them.
  public var classNames: [String]? {
    let names = parts.map(\.classNames)
    return names.allSatisfy { $0 == names.first } ? names.first ?? nil : nil
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
  private func find(_ index: Int) -> (any LabeledImages, Int) {
    precondition((0..<count).contains(index), "picture \(index) of \(count)")
    var (low, high) = (0, starts.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= index { low = middle } else { high = middle }
    }
    return (parts[low], index - starts[low])
  }
}
