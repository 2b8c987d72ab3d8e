// NOTE's memory: an even sample over classes of everything seen.

package import Engine

/// A reservoir that holds all classes alike, by predicted labels.
///
/// Prediction-balanced reservoir sampling of NOTE (Gong et al., NeurIPS 2022, algorithm 1): when full, a newcomer of a class that is not among the largest
/// takes the place of a random item of a random largest class; one of a largest class replaces a random item of its own class with the
/// probability (stored / seen), so that each image of a class is kept with the same chance.
package struct ClassReservoir: Codable, Sendable {
  /// One image and its predicted class.
  package struct Item: Codable, Sendable {
    package var image: Tensor
    var label: Int
  }
  let capacity: Int
  package private(set) var items: [Item] = []
  private var seen: [Int]

  package init(capacity: Int, classes: Int) { (self.capacity, seen) = (capacity, Array(repeating: 0, count: classes)) }

  /// How many items each class has.
  package var counts: [Int] { items.reduce(into: Array(repeating: 0, count: seen.count)) { $0[$1.label] += 1 } }

  /// An image arrives.
  package mutating func add(_ image: Tensor, label: Int, using random: inout RandomSource) {
    seen[label] += 1
    let item = Item(image: image, label: label)
    guard items.count >= capacity else { return items.append(item) }
    let counts = counts
    let largest = counts.max() ?? 0
    let victim: Int
    if counts[label] < largest {
      let classes = counts.indices.filter { counts[$0] == largest }
      victim = classes[Int.random(in: classes.indices, using: &random)]
    } else {
      guard Double(random.uniform()) < Double(counts[label]) / Double(seen[label]) else { return }
      victim = label
    }
    let places = items.indices.filter { items[$0].label == victim }
    items[places[Int.random(in: places.indices, using: &random)]] = item
  }
}
