// Settings in which neighbours tend to have the same class.

public import Engine

/// Domains one after the other, without a reset; within each, neighbours tend to have the same class.
///
/// With dirichlet-slots and the order practical it is RoTTA's practical protocol (Yuan et al., CVPR 2023); note is NOTE's (Gong et al.,
/// NeurIPS 2022), lame-groups LAME's (Boudiaf et al., CVPR 2022).
public struct Correlated: StreamSetting {
  /// How classes follow each other.
  public var construction = Correlation.dirichletSlots
  /// Dirichlet concentration; small is strongly correlated.
  public var concentration = 0.1
  /// Slots of dirichlet-slots; 0 for min(classes, 100).
  public var slots = 0
  /// Fewest pictures of a chunk of note.
  public var minimum = 10
  /// Each domain is cut to a multiple of this number, as NOTE's code drops what does not fill an update of 64; 0 keeps all.
  public var multiple = 0
  /// Order of the domains: a name of `DomainOrder`.
  public var order = "given"

  /// The defaults.
  public init() {}
  /// Every picture once per domain; a new draw for each domain.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    var contents = contents
    contents.domains = try DomainOrder.arrange(contents.domains, by: order)
    let options = Correlation.Options(concentration: concentration, slots: slots, minimum: minimum)
    return try Self.segments(of: contents, named: "correlated", construction, options, multiple: multiple, random)
  }

  static func segments(
    of contents: StreamContents, named setting: String, _ construction: Correlation, _ options: Correlation.Options, multiple: Int,
    _ random: RandomSource
  ) throws(TTAError) -> [StreamSegment] {
    try contents.requireLabels(setting)
    guard multiple >= 0 else { throw TTAError(.usage, "multiple \(multiple), expected 0 or more", hint: "0 keeps all pictures") }
    var segments = [StreamSegment]()
    for (number, domain) in contents.domains.enumerated() {
      let places = contents.known(try contents.places(of: domain))
      var draws = random.stream(UInt64(number) + 1)
      let order = try construction.arranged(places.map { contents.labels[$0] }, options, &draws)
      let kept = multiple > 0 ? order.count / multiple * multiple : order.count
      segments.append(StreamSegment(domain: domain, places: order.prefix(kept).map { places[$0] }))
    }
    return segments
  }
}

/// Severities that rise and fall, and neighbours that tend to have the same class.
///
/// "gradual correlated" of RMT's code (Döbler et al., CVPR 2023), TRIBE (Su et al., AAAI 2024).
public struct GradualCorrelated: StreamSetting {
  /// How classes follow each other.
  public var construction = Correlation.dirichletSlots
  /// Dirichlet concentration; small is strongly correlated.
  public var concentration = 0.1
  /// Slots of dirichlet-slots; 0 for min(classes, 100).
  public var slots = 0
  /// Fewest pictures of a chunk of note.
  public var minimum = 10
  /// Which form of severities.
  public var variant = Gradual.Variant.cotta
  /// Order of the corruptions: a name of `DomainOrder`.
  public var order = "given"

  /// The defaults.
  public init() {}
  /// Every picture once per corruption and step of severity.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    var contents = contents
    contents.domains = try Gradual.domains(contents.domains, order: order, variant)
    let options = Correlation.Options(concentration: concentration, slots: slots, minimum: minimum)
    return try Correlated.segments(of: contents, named: "gradual-correlated", construction, options, multiple: 0, random)
  }
}
