// RoTTA's memory of recent, certain images of all classes.

package import Engine
import Foundation

/// Images with the class and the uncertainty that a teacher gave them; what is old or uncertain gives way first, and no class gets more than its share.
///
/// The category-balanced sampling with timeliness and uncertainty of RoTTA (Yuan et al., CVPR 2023, algorithm 1), as in its released code: an item's
/// score is 1/(1 + exp(−age/N)) + uncertainty/ln K; the share of a class is N/K, which may be a fraction; every arrival ages all items.
package struct CategoryBalancedMemory: Codable, Sendable {
  /// One image.
  package struct Item: Codable, Sendable {
    package var image: Tensor
    package var position: Int
    var uncertainty: Float
    var age: Int
  }
  let capacity: Int
  /// By class, oldest first within each.
  package private(set) var items: [[Item]]

  package init(capacity: Int, classes: Int) { (self.capacity, items) = (capacity, Array(repeating: [], count: classes)) }

  /// All items, class by class.
  var content: [Item] { items.flatMap { $0 } }
  /// The score by which an item gives way.
  package static func score(age: Int, uncertainty: Float, capacity: Int, classes: Int) -> Double {
    1 / (1 + exp(-Double(age) / Double(capacity))) + Double(uncertainty) / log(Double(classes))
  }
  private func score(_ item: Item) -> Double {
    Self.score(age: item.age, uncertainty: item.uncertainty, capacity: capacity, classes: items.count)
  }

  /// An image arrives.
  package mutating func add(_ image: Tensor, position: Int, label: Int, uncertainty: Float) {
    let item = Item(image: image, position: position, uncertainty: uncertainty, age: 0)
    let hasRoom: Bool
    if Double(items[label].count) < Double(capacity) / Double(items.count) {
      let largest = items.reduce(0) { max($0, $1.count) }
      hasRoom =
        items.reduce(0) { $0 + $1.count } < capacity
        || makeRoom(in: items.indices.filter { items[$0].count == largest }, for: score(item))
    } else {
      hasRoom = makeRoom(in: [label], for: score(item))
    }
    if hasRoom { items[label].append(item) }
    for label in items.indices { for place in items[label].indices { items[label][place].age += 1 } }
  }
  /// Drops the item with the highest score of the classes, the last one at ties, if it is above the newcomer's; true where there is room now.
  private mutating func makeRoom(in classes: [Int], for newcomer: Double) -> Bool {
    var worst: (score: Double, label: Int, place: Int)?
    for label in classes {
      for (place, item) in items[label].enumerated() {
        let score = score(item)
        if worst.map({ score >= $0.score }) ?? true { worst = (score, label, place) }
      }
    }
    guard let worst else { return true }
    guard worst.score > newcomer else { return false }
    items[worst.label].remove(at: worst.place)
    return true
  }
}
