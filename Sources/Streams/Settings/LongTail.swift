// Streams in which a few classes have most of the pictures.

public import Engine

/// Few classes have most of the pictures, in each domain; no reset.
///
/// Report class-balanced accuracy beside the plain one.
public struct LongTail: StreamSetting {
  /// Published constructions.
  public enum Construction: String, Codable, Sendable, CaseIterable {
    /// TRIBE's (Su et al., AAAI 2024): n_i = n_0 factor^(-i/(C-1)) pictures without replacement, in Dirichlet slots.
    case tribe
    /// DELTA's "CI" (Zhao et al., ICLR 2023): int(n_i) + 1 pictures with replacement, about as many as the data set has, drawn once and
    /// used for all domains.
    case delta
    /// A long-tailed target (LADE, CVPR 2021; Label Shift Adapter, ICCV 2023): without replacement, shuffled.
    case target
  }
  /// Which classes are frequent.
  public enum Distribution: String, Codable, Sendable, CaseIterable {
    /// Low class numbers, in every domain.
    case forward
    /// High class numbers.
    case backward
    /// All alike, as many pictures as `forward`.
    case uniform
    /// A new random order of the classes in each domain.
    case varying
  }
  /// Which construction.
  public var construction = Construction.tribe
  /// The most frequent class over the rarest: 1, 10, 100, 200.
  public var factor = 10.0
  /// Which classes are frequent.
  public var distribution = Distribution.forward
  /// Dirichlet concentration of the slots; 0 shuffles instead.
  public var concentration = 0.1
  /// Slots; 0 for min(classes, 100). DELTA uses 10.
  public var slots = 0
  /// Order of the domains: a name of `DomainOrder`.
  public var order = "given"

  /// The defaults.
  public init() {}
  /// A draw of the given class numbers per domain.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    try contents.requireLabels("long-tail")
    try ExponentialDecline.check(factor)
    var segments = [StreamSegment]()
    for (number, domain) in try DomainOrder.arrange(contents.domains, by: order).enumerated() {
      // DELTA's list is drawn once: every domain takes the same random numbers.
      var draws = random.stream(construction == .delta ? 0 : UInt64(number) + 1)
      let pictures = try ClassDraws(contents.known(try contents.places(of: domain)), contents, setting: "long-tail")
      let drawn = draw(pictures, &draws)
      segments.append(StreamSegment(domain: domain, places: try ordered(drawn, contents, &draws)))
    }
    return segments
  }

  private func draw(_ pictures: ClassDraws, _ random: inout RandomSource) -> [Int] {
    let weights = ExponentialDecline.weights(count: pictures.classCount, factor: factor)
    let sum = weights.reduce(0, +)
    let scale = construction == .delta ? Double(pictures.total) / sum : Double(pictures.places[0].count)
    let extra = construction == .delta ? 1 : 0
    var counts = weights.map { PortableMath.wholePart($0 * scale) + extra }
    switch distribution {
    case .forward: break
    case .backward: counts.reverse()
    case .uniform: counts = Array(repeating: counts.reduce(0, +) / counts.count, count: counts.count)
    case .varying: random.shuffle(&counts)
    }
    return construction == .delta ? pictures.repeated(counts, &random) : pictures.distinct(counts, &random)
  }

  private func ordered(_ places: [Int], _ contents: StreamContents, _ random: inout RandomSource) throws(TTAError) -> [Int] {
    if concentration == 0 || construction == .target { return random.shuffled(places) }
    let options = Correlation.Options(concentration: concentration, slots: slots)
    let order = try Correlation.dirichletSlots.arranged(places.map { contents.labels[$0] }, options, &random)
    return order.map { places[$0] }
  }
}
