// The published orders of the fifteen standard corruptions.

public import Engine

/// Orders of domains by name: `given`, `order-0` … `order-9`, `practical`.
public enum DomainOrder {
  /// The fifteen standard corruptions in the standard order (Hendrycks and Dietterich, 2019; CoTTA's "continual" order).
  public static let standard = [
    "gaussian-noise", "shot-noise", "impulse-noise", "defocus-blur", "glass-blur", "motion-blur", "zoom-blur", "snow", "frost", "fog",
    "brightness", "contrast", "elastic-transform", "pixelate", "jpeg-compression",
  ]
  /// CoTTA's ten random orders (Wang et al., "Continual Test-Time Domain Adaptation", CVPR 2022), as places in the standard order.
  static let random = [
    [10, 13, 0, 5, 6, 4, 2, 14, 3, 12, 1, 8, 7, 9, 11], [14, 1, 6, 8, 11, 9, 3, 12, 0, 10, 4, 2, 13, 7, 5],
    [11, 3, 0, 1, 7, 8, 4, 6, 12, 14, 13, 10, 2, 5, 9], [1, 9, 4, 13, 7, 12, 10, 2, 3, 8, 11, 0, 5, 14, 6],
    [13, 4, 6, 7, 9, 2, 10, 5, 8, 14, 0, 1, 11, 3, 12], [5, 7, 9, 1, 3, 11, 6, 10, 8, 12, 4, 0, 13, 14, 2],
    [8, 2, 14, 11, 6, 4, 13, 7, 3, 5, 10, 12, 1, 9, 0], [4, 6, 2, 9, 7, 14, 0, 8, 1, 10, 11, 5, 13, 3, 12],
    [3, 5, 6, 1, 0, 4, 14, 9, 11, 13, 8, 7, 10, 12, 2], [11, 0, 3, 6, 8, 4, 14, 9, 13, 12, 1, 2, 7, 5, 10],
  ]
  /// The names that options accept.
  public static let names = ["given", "standard", "practical"] + random.indices.map { "order-\($0)" }

  /// Domains in the order of a name; those of one corruption keep their order. `practical` is RoTTA's order, its number 5 (Yuan et al.,
  /// "Robust Test-Time Adaptation in Dynamic Scenarios", CVPR 2023). Throws for an unknown name, and for a domain that is not one of the
  /// fifteen where an order needs it to be.
  public static func arrange(_ domains: [Domain], by name: String) throws(TTAError) -> [Domain] {
    guard names.contains(name) else { throw NearestNames.unknown("order of domains", name, in: names) }
    if name == "given" { return domains }
    let places = name == "practical" ? random[5] : name == "standard" ? Array(standard.indices) : random[Int(name.dropFirst(6)) ?? 0]
    var ranks = [String: Int]()
    for (rank, place) in places.enumerated() { ranks[standard[place]] = rank }
    var ranked = [(rank: Int, domain: Domain)]()
    for domain in domains {
      guard let rank = ranks[hyphenated(domain.corruption ?? "")] else {
        throw TTAError(
          .usage, "order \(name) of the standard corruptions does not place \(domain)", hint: "use the order given, or standard corruptions"
        )
      }
      ranked.append((rank, domain))
    }
    return ranked.enumerated().sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }.map(\.element.domain)
  }

  /// The spelling of the command line.
  static func hyphenated(_ name: String) -> String { String(name.map { $0 == "_" ? "-" : $0 }) }
}

/// How the pictures within a domain follow each other.
public enum PictureOrder: String, Codable, Sendable, CaseIterable {
  /// As they lie in the data set.
  case file
  /// Shuffled anew for every domain.
  case shuffled
  /// Shuffled once; every domain has the same order.
  case sameShuffle = "same-shuffle"

  /// Some places in this order; `domain` is the domain's number in the stream.
  func arranged(_ places: [Int], domain: Int, _ random: RandomSource) -> [Int] {
    if self == .file { return places }
    var draws = random.stream(self == .shuffled ? UInt64(domain) + 1 : 0)
    return draws.shuffled(places)
  }
}
