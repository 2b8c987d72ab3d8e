// What is counted over some images, and the rates that follow from it.

import Foundation

/// Counts over some images: a domain, or a whole stream.
public struct Tally: Codable, Hashable, Sendable {
  /// Images that were answered, with a label or not.
  public private(set) var answered = 0
  /// Images of every true class that were answered.
  public private(set) var classImages: [Int]
  /// Wrong answers for every true class.
  public private(set) var classErrors: [Int]
  /// Seconds that the answers took.
  public private(set) var seconds = 0.0

  /// Nothing counted yet.
  public init(classes: Int) {
    classImages = Array(repeating: 0, count: classes)
    classErrors = classImages
  }

  /// Counts one batch. Images with a class that the model does not know (-1) are answered but not judged.
  public mutating func add(predicted: [Int], labels: [Int], seconds: Double) {
    answered += predicted.count
    self.seconds += seconds
    for (answer, label) in zip(predicted, labels) where classImages.indices.contains(label) {
      classImages[label] += 1
      classErrors[label] += answer == label ? 0 : 1
    }
  }

  /// Images that were answered and judged.
  public var images: Int { classImages.reduce(0, +) }
  /// Wrong answers.
  public var errors: Int { classErrors.reduce(0, +) }
  /// Wrong answers in per cent of the judged images; 0 where there are none.
  public var errorPercent: Double { images > 0 ? 100 * Double(errors) / Double(images) : 0 }
  /// Standard error of `errorPercent` in percentage points: images as independent draws.
  public var standardErrorPercent: Double {
    guard images > 1 else { return 0 }
    let rate = Double(errors) / Double(images)
    return 100 * (rate * (1 - rate) / Double(images - 1)).squareRoot()
  }
  /// Mean over the classes that occurred of each one's error, in per cent.
  public var classBalancedErrorPercent: Double {
    let rates = classImages.indices.filter { classImages[$0] > 0 }.map { Double(classErrors[$0]) / Double(classImages[$0]) }
    return rates.isEmpty ? 0 : 100 * rates.reduce(0, +) / Double(rates.count)
  }
  /// Images answered per second; 0 before any time was spent.
  public var imagesPerSecond: Double { seconds > 0 ? Double(answered) / seconds : 0 }
}
