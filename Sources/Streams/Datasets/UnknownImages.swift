// Pictures of classes that a model does not know.

public import Engine
public import Vision

/// A data set all of whose pictures are of unknown classes: the second data set of an open-set stream.
public struct UnknownImages: LabeledImages {
  private let base: any LabeledImages

  /// The pictures of `base`; what it calls them does not matter.
  public init(_ base: any LabeledImages) { self.base = base }
  /// How many pictures there are.
  public var count: Int { base.count }
  /// The picture.
  public func image(at index: Int) throws(TTAError) -> Image { try base.image(at: index) }
  /// -1.
  public func label(at index: Int) -> Int? { -1 }
  /// The picture's name.
  public func name(at index: Int) -> String { base.name(at: index) }
  /// The picture's identity.
  public func identity(at index: Int) -> UInt64 { base.identity(at: index) }
  /// The pictures under a domain, unknown as well.
  public func images(of domain: Domain) throws(TTAError) -> (any LabeledImages)? {
    guard let images = try base.images(of: domain) else { return nil }
    return UnknownImages(images)
  }
}

/// A data set whose last classes count as unknown: an open set without a second data set.
public struct HeldOutClasses: LabeledImages {
  private let base: any LabeledImages
  /// Classes that count as known: those of lower numbers.
  public let knownClasses: Int

  /// The pictures of `base`, classes from `knownClasses` on unknown. Throws where that leaves no known class.
  public init(_ base: any LabeledImages, knownClasses: Int) throws(TTAError) {
    guard knownClasses > 0 else {
      throw TTAError(.usage, "\(knownClasses) known classes, expected 1 or more", hint: "hold fewer classes out")
    }
    self.base = base
    self.knownClasses = knownClasses
  }
  /// How many pictures there are.
  public var count: Int { base.count }
  /// The known classes by name.
  public var classNames: [String]? { base.classNames.map { Array($0.prefix(knownClasses)) } }
  /// The picture.
  public func image(at index: Int) throws(TTAError) -> Image { try base.image(at: index) }
  /// Its class, or -1.
  public func label(at index: Int) -> Int? { base.label(at: index).map { $0 < knownClasses ? $0 : -1 } }
  /// The picture's name.
  public func name(at index: Int) -> String { base.name(at: index) }
  /// The picture's identity.
  public func identity(at index: Int) -> UInt64 { base.identity(at: index) }
  /// The data set's own domains.
  public var parts: [StreamContents.Part] { base.parts }
  /// The pictures under a domain, the same classes held out.
  public func images(of domain: Domain) throws(TTAError) -> (any LabeledImages)? {
    guard let images = try base.images(of: domain) else { return nil }
    return try HeldOutClasses(images, knownClasses: knownClasses)
  }
}
