// Which classes were answered, and which were taken for which.

/// Which classes were answered in a part of a stream, and which were taken for which.
public struct AnswerCounts: Codable, Hashable, Sendable {
  /// Models of more classes keep no pairs: a page cannot show them, and a checkpoint would grow with the square.
  public static let mostPairedClasses = 100
  /// Answers of each class, judged or not.
  public private(set) var answers: [Int]
  /// By true class, then by answer; empty for models of more than `mostPairedClasses`.
  private var pairs: [Int]

  /// The wrong answer that a class got most often.
  public struct Mistake: Hashable, Sendable {
    /// The true class and the answer.
    public var label: Int, answer: Int
    /// How often, in per cent of the pictures of the true class.
    public var percent: Double
  }

  /// Nothing counted yet.
  public init(classes: Int) {
    answers = Array(repeating: 0, count: classes)
    pairs = classes <= Self.mostPairedClasses ? Array(repeating: 0, count: classes * classes) : []
  }
  /// Counts one batch; labels outside the model's classes are answered but not judged.
  public mutating func add(predicted: [Int], labels: [Int]) {
    for (row, answer) in predicted.enumerated() where answers.indices.contains(answer) {
      answers[answer] += 1
      guard !pairs.isEmpty, labels.indices.contains(row), answers.indices.contains(labels[row]) else { continue }
      pairs[labels[row] * answers.count + answer] += 1
    }
  }
  /// Adds the counts of another part of a stream.
  public mutating func add(_ other: AnswerCounts) {
    for i in answers.indices { answers[i] += other.answers[i] }
    for i in pairs.indices { pairs[i] += other.pairs[i] }
  }

  /// Share of a class in all answers, in per cent; nil where nothing was answered.
  public func sharePercent(of label: Int) -> Double? {
    let all = answers.reduce(0, +)
    return all > 0 ? 100 * Double(answers[label]) / Double(all) : nil
  }
  /// The most frequent mistake, the first of equals; nil where there is none or pairs are not kept.
  public var commonestMistake: Mistake? {
    let count = answers.count
    var best: (place: Int, times: Int)?
    for (place, times) in pairs.enumerated() where place / count != place % count && times > (best?.times ?? 0) { best = (place, times) }
    guard let best else { return nil }
    let label = best.place / count
    let pictures = pairs[label * count..<(label + 1) * count].reduce(0, +)
    return Mistake(label: label, answer: best.place % count, percent: 100 * Double(best.times) / Double(pictures))
  }
}
