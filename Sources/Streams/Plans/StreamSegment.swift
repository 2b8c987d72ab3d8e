// A part of a stream.

/// Pictures that follow each other, by their places in the data set, and the domain of each.
public struct StreamSegment: Hashable, Sendable {
  /// What the pictures have in common; for a mixed part, what the mixture is called.
  public var domain: Domain
  /// Which pictures, in order.
  public var places: [Int]
  /// The domains of a mixed part; empty where all pictures are of `domain`.
  public var mixture: [Domain] = []
  /// For each picture of a mixed part its domain's number in `mixture`; otherwise empty.
  public var mixtureNumbers: [Int] = []

  /// Some pictures under one domain.
  public init(domain: Domain, places: [Int]) { (self.domain, self.places) = (domain, places) }

  /// Pictures under a domain each; the mixture lists the domains in the order of their first appearance.
  public init(named name: String, items: [StreamItem]) {
    domain = Domain(name: name)
    places = items.map(\.place)
    var numbers = [Domain: Int]()
    for item in items {
      let number = numbers[item.domain] ?? mixture.count
      if number == mixture.count {
        numbers[item.domain] = number
        mixture.append(item.domain)
      }
      mixtureNumbers.append(number)
    }
  }

  /// The same pictures, frost marked as made from the published photographs.
  func withFrostPhotographs() -> StreamSegment {
    var segment = self
    segment.domain.hasFrostPhotographs = domain.hasFrost
    for number in mixture.indices { segment.mixture[number].hasFrostPhotographs = mixture[number].hasFrost }
    return segment
  }
  /// The domain of the picture at a position.
  public func domain(at position: Int) -> Domain { mixture.isEmpty ? domain : mixture[mixtureNumbers[position]] }
  /// All domains that occur.
  public var allDomains: [Domain] { mixture.isEmpty ? [domain] : mixture }
}

/// One picture of a stream.
public struct StreamItem: Hashable, Sendable {
  /// Its place in the data set.
  public var place: Int
  /// The domain under which it is seen.
  public var domain: Domain

  /// A picture under a domain.
  public init(place: Int, domain: Domain) { (self.place, self.domain) = (place, domain) }
}
