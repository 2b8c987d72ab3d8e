// Streams with pictures of classes that the model does not know.

public import Engine

/// Pictures of known classes among pictures of unknown ones, whose label is -1; no reset.
///
/// The data set holds both: a `ConcatenatedImages` of a known and an `UnknownImages` part, or `HeldOutClasses` of one data set.
public struct OpenSet: StreamSetting {
  /// Published constructions.
  public enum Construction: String, Codable, Sendable, CaseIterable {
    /// OSTTA's and UniEnt's (Lee et al., ICCV 2023; Gao et al., CVPR 2024): blocks of known pictures, each followed by as many unknown ones
    /// under the same corruption.
    case paired
    /// OWTTT's (Li et al., ICCV 2023): known and unknown pictures shuffled over the whole domain.
    case pooled
    /// All pictures in the data set's order: for a data set whose last classes are held out.
    case classSplit = "class-split"
  }
  /// Which corruption unknown pictures of a pool are seen under.
  public enum UnknownDomain: String, Codable, Sendable, CaseIterable {
    /// The known pictures' corruption.
    case same
    /// None, as OWTTT does for digits and noise.
    case clean
    /// Snow at severity 5, as OWTTT's code does for the other CIFAR set.
    case snow
  }
  /// Which construction.
  public var construction = Construction.paired
  /// paired: known pictures of a block, and unknown ones. The published batch of 200 has 100 of each.
  public var block = 100
  /// pooled: unknown pictures per known one.
  public var ratio = 1.0
  /// pooled: the corruption of unknown pictures.
  public var unknown = UnknownDomain.clean
  /// Order of the domains: a name of `DomainOrder`.
  public var order = "given"

  /// The defaults.
  public init() {}
  /// paired: every known picture that has an unknown partner once; pooled: every known picture once; class-split: every picture once.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    try contents.requireLabels("open-set")
    guard contents.labels.contains(-1) else {
      throw TTAError(
        .usage, "setting open-set without pictures of unknown classes", hint: "add a second data set, or hold classes out")
    }
    guard block > 0, ratio > 0, ratio.isFinite else {
      throw TTAError(.usage, "block \(block), ratio \(ratio): expected more than 0", hint: "the published numbers are 100 and 1")
    }
    var segments = [StreamSegment]()
    for (number, domain) in try DomainOrder.arrange(contents.domains, by: order).enumerated() {
      var draws = random.stream(UInt64(number) + 1)
      segments.append(try segment(domain, contents, &draws))
    }
    return segments
  }

  private func segment(_ domain: Domain, _ contents: StreamContents, _ random: inout RandomSource) throws(TTAError) -> StreamSegment {
    let range = try contents.places(of: domain)
    let known = range.filter { contents.labels[$0] >= 0 }
    let unknown = range.filter { contents.labels[$0] < 0 }
    switch construction {
    case .classSplit: return StreamSegment(domain: domain, places: Array(range))
    case .paired:
      let pairs = min(known.count, unknown.count)
      let places = stride(from: 0, to: pairs, by: block).flatMap { start in
        let part = start..<min(start + block, pairs)
        return known[part] + unknown[part]
      }
      return StreamSegment(domain: domain, places: places)
    case .pooled:
      let count = PortableMath.wholePart(Double(known.count) * ratio)
      guard count <= unknown.count else {
        throw TTAError(
          .usage, "setting open-set with ratio \(ratio) needs \(count) unknown pictures, the data set has \(unknown.count)",
          hint: "choose a smaller ratio")
      }
      let chosen = random.shuffled(unknown).prefix(count)
      if self.unknown == .same { return StreamSegment(domain: domain, places: random.shuffled(known + chosen)) }
      let other = self.unknown == .clean ? Domain(name: domain.name) : Domain("snow", severity: 5)
      let items = known.map { StreamItem(place: $0, domain: domain) } + chosen.map { StreamItem(place: $0, domain: other) }
      return StreamSegment(named: "\(domain), unknown \(other)", items: random.shuffled(items))
    }
  }
}
