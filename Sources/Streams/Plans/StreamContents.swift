// What a plan has to know of a data set.

import Engine

/// What a plan has to know of a data set: how many pictures, their classes, and the domains in which they are to be seen.
public struct StreamContents: Hashable, Sendable {
  /// A part of the pictures that is a domain of its own, such as the sketches among photos.
  public struct Part: Hashable, Codable, Sendable {
    /// What it is called.
    public var name: String
    /// Its pictures.
    public var places: Range<Int>

    /// A named part.
    public init(name: String, places: Range<Int>) { (self.name, self.places) = (name, places) }
  }

  /// How many pictures there are.
  public var count: Int
  /// One class per picture, -1 for a class that the model does not know; empty where nobody said.
  public var labels: [Int]
  /// How many classes the model knows.
  public var classCount: Int
  /// The domains in the order in which they are to be seen.
  public var domains: [Domain]
  /// The data set's own domains; a `Domain` of such a name covers these pictures only.
  public var parts: [Part]

  /// Contents from classes; `classCount` is by default one more than the largest.
  public init(labels: [Int], classCount: Int? = nil, domains: [Domain], parts: [Part] = []) {
    count = labels.count
    self.labels = labels
    self.classCount = classCount ?? (labels.max() ?? -1) + 1
    self.domains = domains
    self.parts = parts
  }

  /// The contents of a data set.
  public init(_ images: any LabeledImages, classCount: Int? = nil, domains: [Domain]) {
    self.init(labels: images.labels ?? [], classCount: classCount ?? images.classNames?.count, domains: domains, parts: images.parts)
    count = images.count
  }

  /// The pictures of a domain: those of the part that it names, or all.
  func places(of domain: Domain) throws(TTAError) -> Range<Int> {
    guard let name = domain.name else { return 0..<count }
    guard let part = parts.first(where: { $0.name == name }) else {
      throw NearestNames.unknown("domain", name, in: parts.map(\.name))
    }
    return part.places
  }
  /// The pictures of known classes among some places.
  func known(_ places: some Sequence<Int>) -> [Int] { labels.isEmpty ? Array(places) : places.filter { labels[$0] >= 0 } }

  /// Checks that the pictures have classes that a setting can go by.
  func requireLabels(_ setting: String) throws(TTAError) {
    guard !labels.isEmpty else {
      throw TTAError(.usage, "setting \(setting) orders pictures by class, but the data set has no labels", hint: "give labels")
    }
    if let place = labels.firstIndex(where: { $0 >= classCount }) {
      throw TTAError(
        .invalidData, "label \(labels[place]) at place \(place), expected less than \(classCount), the number of classes",
        hint: "check that labels and model belong together")
    }
  }

  /// A fingerprint of the classes: FNV-1a over the labels, 64 bits in hexadecimal.
  var labelDigest: String {
    let hash = labels.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { hash, label in
      var bits = UInt64(bitPattern: Int64(label))
      var result = hash
      for _ in 0..<4 {
        result = (result ^ (bits & 255)) &* 0x100_0000_01b3
        bits >>= 8
      }
      return result
    }
    let text = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
  }
}
