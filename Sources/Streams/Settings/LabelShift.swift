// Streams whose class frequencies differ from the source's, or change.

public import Engine

/// Class frequencies that differ from the source's or change over time; the model starts again before each domain.
///
/// One draw is used for every domain.
public struct LabelShift: StreamSetting {
  /// Published constructions.
  public enum Construction: String, Codable, Sendable, CaseIterable {
    /// SAR's online label shift (Niu et al., ICLR 2023): as many phases as classes; in each one class is `factor` times as frequent as any
    /// other. Pictures are drawn with replacement.
    case online
    /// SAR's code too: probabilities move linearly from a long tail over the classes to the reversed one.
    case monotone
    /// LAME's (Boudiaf et al., CVPR 2022): frequencies are draws of Zipf's law; accepted if the top tenth of the classes has less than
    /// nine tenths of the pictures.
    case zipf
    /// TTAB's (Zhao et al., ICML 2023): one Dirichlet draw of frequencies, pictures without replacement.
    case dirichlet
  }
  /// Which construction.
  public var construction = Construction.online
  /// online: the frequent class over another, 1 to 500000 ("infinity"). monotone: the tail's most frequent class over its rarest.
  public var factor = 500_000.0
  /// Pictures per domain; 0 for as many as the data set has. SAR uses 100000.
  public var steps = 0
  /// dirichlet: concentration; 4 is TTAB's default.
  public var concentration = 4.0
  /// zipf: the law's exponent.
  public var exponent = 2.0
  /// Order of the domains: a name of `DomainOrder`.
  public var order = "given"

  /// The defaults.
  public init() {}
  /// Before each domain.
  public var resets: StreamPlan.Reset { .eachDomain }
  /// The same draw per domain; a data set with domains of its own has one draw each.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    try contents.requireLabels("label-shift")
    try ExponentialDecline.check(factor)
    guard (0...1 << 28).contains(steps) else {
      throw TTAError(.usage, "steps \(steps), expected 0...\(1 << 28)", hint: "0 takes as many as the data set has pictures")
    }
    var segments = [StreamSegment]()
    for domain in try DomainOrder.arrange(contents.domains, by: order) {
      var draws = random
      let pictures = try ClassDraws(contents.known(try contents.places(of: domain)), contents, setting: "label-shift")
      segments.append(StreamSegment(domain: domain, places: try draw(pictures, &draws)))
    }
    return segments
  }

  private func draw(_ pictures: ClassDraws, _ random: inout RandomSource) throws(TTAError) -> [Int] {
    let count = steps > 0 ? steps : pictures.total
    switch construction {
    case .online: return online(pictures, count, &random)
    case .monotone: return monotone(pictures, count, &random)
    case .zipf: return try zipf(pictures, count, &random)
    case .dirichlet: return try dirichlet(pictures, count, &random)
    }
  }

  private func online(_ pictures: ClassDraws, _ count: Int, _ random: inout RandomSource) -> [Int] {
    let classes = pictures.classCount
    let frequent = random.shuffled(0..<classes)
    let share = factor / (factor + Double(classes - 1))
    var places = [Int]()
    places.reserveCapacity(count)
    for step in 0..<count {
      let major = frequent[step * classes / count]
      var label = major
      if classes > 1, random.unit() >= share {
        label = random.below(classes - 1)
        if label >= major { label += 1 }
      }
      places.append(pictures.one(of: label, &random))
    }
    return places
  }

  private func monotone(_ pictures: ClassDraws, _ count: Int, _ random: inout RandomSource) -> [Int] {
    let weights = ExponentialDecline.weights(count: pictures.classCount, factor: factor)
    let sum = weights.reduce(0, +)
    return (0..<count).map { step in
      let time = count > 1 ? Double(step) / Double(count - 1) : 0
      // A mixture of the first and the last distribution: choose which, then the class.
      let place = random.choice(weights.map { $0 / sum })
      let label = random.unit() < time ? pictures.classCount - 1 - place : place
      return pictures.one(of: label, &random)
    }
  }

  private func zipf(_ pictures: ClassDraws, _ count: Int, _ random: inout RandomSource) throws(TTAError) -> [Int] {
    guard exponent > 1, exponent <= 20 else {
      throw TTAError(.usage, "exponent \(exponent), expected more than 1, at most 20", hint: "2 is LAME's")
    }
    let top = max(pictures.classCount / 10, 1)
    for _ in 0..<10_000 {
      let weights = (0..<pictures.classCount).map { _ in random.zipf(exponent: exponent) }
      let sum = weights.reduce(0, +)
      guard weights.sorted(by: >).prefix(top).reduce(0, +) < 0.9 * sum || pictures.classCount == 1 else { continue }
      return (0..<count).map { _ in pictures.one(of: random.choice(weights), &random) }
    }
    throw TTAError(
      .usage, "no draw of Zipf's law with exponent \(exponent) leaves a tenth of \(pictures.classCount) classes below nine tenths",
      hint: "choose a larger exponent")
  }

  private func dirichlet(_ pictures: ClassDraws, _ count: Int, _ random: inout RandomSource) throws(TTAError) -> [Int] {
    guard concentration > 0, concentration.isFinite else {
      throw TTAError(.usage, "concentration \(concentration), expected more than 0", hint: "4 is TTAB's")
    }
    let shares = random.dirichlet(count: pictures.classCount, concentration: concentration)
    // As many as wanted, or as no class runs out of pictures.
    let limits = zip(pictures.places, shares).map { $1 > 0 ? Double($0.count) / $1 : .infinity }
    let size = min(Double(count), limits.min() ?? 0)
    return random.shuffled(pictures.distinct(shares.map { PortableMath.wholePart($0 * size) }, &random))
  }
}
