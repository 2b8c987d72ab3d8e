// Settings in which one domain follows the other.

public import Engine

/// Every domain on its own: the model starts again before each.
///
/// TENT (Wang et al., ICLR 2021) and most later papers.
public struct ResetEachShift: StreamSetting {
  /// Order of the domains: a name of `DomainOrder`.
  public var order = "given"
  /// Order of the pictures within a domain.
  public var pictures = PictureOrder.file

  /// The defaults.
  public init() {}
  /// Before each domain.
  public var resets: StreamPlan.Reset { .eachDomain }
  /// All pictures, once per domain.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    try DomainSequence(order: order, pictures: pictures).segments(of: contents, random)
  }
}

/// Domains one after the other, without a reset.
///
/// CoTTA (Wang et al., CVPR 2022); with the clean pictures after each domain, EATA's (Niu et al., ICML 2022).
public struct Continual: StreamSetting {
  /// Order of the domains: a name of `DomainOrder`.
  public var order = "given"
  /// Order of the pictures within a domain.
  public var pictures = PictureOrder.file
  /// Whether the clean pictures follow each domain.
  public var cleanBetween = false

  /// The defaults.
  public init() {}
  /// All pictures, once per domain.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    var contents = contents
    contents.domains = try DomainOrder.arrange(contents.domains, by: order)
    if cleanBetween { contents.domains = contents.domains.flatMap { [$0, Domain(name: $0.name)] } }
    return try DomainSequence(order: "given", pictures: pictures).segments(of: contents, random)
  }
}

/// The same domains again and again, without a reset.
///
/// Rounds as in CoTTA's segmentation task (Wang et al., CVPR 2022) and in studies of long streams.
public struct Recurring: StreamSetting {
  /// Order of the domains: a name of `DomainOrder`.
  public var order = "given"
  /// Order of the pictures within a domain.
  public var pictures = PictureOrder.file
  /// How often the list of domains is run through.
  public var rounds = 10

  /// The defaults.
  public init() {}
  /// All pictures, once per domain and round.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    guard (1...100_000).contains(rounds) else {
      throw TTAError(.usage, "rounds \(rounds), expected 1...100000", hint: "10 is the habit")
    }
    var contents = contents
    let domains = try DomainOrder.arrange(contents.domains, by: order)
    contents.domains = (0..<rounds).flatMap { _ in domains }
    return try DomainSequence(order: "given", pictures: pictures).segments(of: contents, random)
  }
}

/// Severities that rise and fall within each corruption, without a reset.
///
/// CoTTA's form begins at the first corruption's full severity; RMT's (Döbler et al., CVPR 2023) begins low.
public struct Gradual: StreamSetting {
  /// The two published forms.
  public enum Variant: String, Codable, Sendable, CaseIterable {
    /// The first corruption 5, 4, 3, 2, 1, the others 1, 2, 3, 4, 5, 4, 3, 2, 1.
    case cotta
    /// All corruptions 1, 2, 3, 4, 5, 4, 3, 2, 1.
    case rmt
  }
  /// Order of the corruptions: a name of `DomainOrder`.
  public var order = "given"
  /// Order of the pictures within a domain.
  public var pictures = PictureOrder.file
  /// Which form.
  public var variant = Variant.cotta

  /// The defaults.
  public init() {}
  /// All pictures, once per corruption and step of severity.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    var contents = contents
    contents.domains = try Self.domains(contents.domains, order: order, variant)
    return try DomainSequence(order: "given", pictures: pictures).segments(of: contents, random)
  }

  /// The steps of severity of the corruptions of a list of domains.
  static func domains(_ domains: [Domain], order: String, _ variant: Variant) throws(TTAError) -> [Domain] {
    var corruptions = [Domain]()
    for domain in try DomainOrder.arrange(domains, by: order) {
      guard let corruption = domain.corruption else {
        throw TTAError(.usage, "setting gradual changes severities, but \(domain) has none", hint: "name corruptions, for example standard")
      }
      if !corruptions.contains(where: { $0.corruption == corruption && $0.name == domain.name }) { corruptions.append(domain) }
    }
    let rise = [1, 2, 3, 4, 5, 4, 3, 2, 1]
    return corruptions.enumerated().flatMap { number, domain in
      (number == 0 && variant == .cotta ? [5, 4, 3, 2, 1] : rise).map { severity in
        Domain(name: domain.name, steps: [Domain.Step(domain.corruption ?? "", severity: Double(severity))])
      }
    }
  }
}

/// All pictures of one domain after the other.
struct DomainSequence {
  var order: String
  var pictures: PictureOrder

  func segments(of contents: StreamContents, _ random: RandomSource) throws(TTAError) -> [StreamSegment] {
    var segments = [StreamSegment]()
    for (number, domain) in try DomainOrder.arrange(contents.domains, by: order).enumerated() {
      let places = contents.known(try contents.places(of: domain))
      segments.append(StreamSegment(domain: domain, places: pictures.arranged(places, domain: number, random)))
    }
    return segments
  }
}
