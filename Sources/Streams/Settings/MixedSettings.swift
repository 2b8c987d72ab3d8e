// Settings in which several domains appear at once.

public import Engine

/// All domains pooled and shuffled.
///
/// SAR (Niu et al., ICLR 2023) and the "mixed domains" of RMT's code.
public struct MixedDomains: StreamSetting {
  /// The defaults.
  public init() {}
  /// Every picture once per domain, in one random order.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    var draws = random
    return [StreamSegment(named: "mixed", items: draws.shuffled(try contents.pooledItems()))]
  }
}

/// All domains pooled, in an order in which neighbours tend to have the same class.
///
/// "mixed domains correlated" of RMT's and ROID's code (Marsden et al., WACV 2024).
public struct MixedDomainsCorrelated: StreamSetting {
  /// How classes follow each other.
  public var construction = Correlation.note
  /// Dirichlet concentration; small is strongly correlated.
  public var concentration = 0.1
  /// Slots of dirichlet-slots; 0 for min(classes, 100).
  public var slots = 0
  /// Fewest pictures of a chunk of note.
  public var minimum = 10

  /// The defaults.
  public init() {}
  /// Every picture once per domain.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    try contents.requireLabels("mixed-domains-correlated")
    var draws = random
    let items = draws.shuffled(try contents.pooledItems())
    let options = Correlation.Options(concentration: concentration, slots: slots, minimum: minimum)
    let order = try construction.arranged(items.map { contents.labels[$0.place] }, options, &draws)
    return [StreamSegment(named: "mixed", items: order.map { items[$0] })]
  }
}

extension StreamContents {
  /// Every picture of known class, once per domain.
  func pooledItems() throws(TTAError) -> [StreamItem] {
    var items = [StreamItem]()
    for domain in domains { items += known(try places(of: domain)).map { StreamItem(place: $0, domain: domain) } }
    return items
  }
}
