// Pictures drawn so that their classes follow given numbers or probabilities.

import Engine

/// Pictures by class, to be drawn with or without replacement.
struct ClassDraws {
  /// Places of the pictures of each class 0 ..< classCount.
  let places: [[Int]]

  /// The pictures of a domain. Throws where a class has none.
  init(_ places: [Int], _ contents: StreamContents, setting: String) throws(TTAError) {
    var byClass = [[Int]](repeating: [], count: contents.classCount)
    for place in places { byClass[contents.labels[place]].append(place) }
    if let empty = byClass.firstIndex(where: \.isEmpty) {
      throw TTAError(
        .usage, "setting \(setting) draws from \(contents.classCount) classes, but class \(empty) has no pictures",
        hint: "give pictures of every class")
    }
    self.places = byClass
  }

  var classCount: Int { places.count }
  /// Pictures of all classes.
  var total: Int { places.reduce(0) { $0 + $1.count } }

  /// Random pictures of each class, none of them twice; classes one after the other. A class gives what it has.
  func distinct(_ counts: [Int], _ random: inout RandomSource) -> [Int] {
    zip(places, counts).flatMap { places, count in random.shuffled(places).prefix(count) }
  }
  /// A random picture of a class.
  func one(of label: Int, _ random: inout RandomSource) -> Int { places[label][random.below(places[label].count)] }
  /// Random pictures of each class, each drawn from all of them; classes one after the other.
  func repeated(_ counts: [Int], _ random: inout RandomSource) -> [Int] {
    counts.enumerated().flatMap { label, count in (0..<count).map { _ in one(of: label, &random) } }
  }
}

/// Numbers that fall by a constant factor from class to class.
enum ExponentialDecline {
  /// `factor^(-i / (count - 1))` for each class.
  static func weights(count: Int, factor: Double) -> [Double] {
    (0..<count).map { count > 1 ? PortableMath.power(factor, -Double($0) / Double(count - 1)) : 1 }
  }
  /// A checked factor.
  static func check(_ factor: Double) throws(TTAError) {
    guard factor >= 1, factor.isFinite else {
      throw TTAError(.usage, "factor \(factor), expected 1 or more", hint: "it is the most frequent class over the rarest")
    }
  }
}
