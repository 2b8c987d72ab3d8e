// A watch over any strategy: collapse is undone, and answers that a stream contradicts give way to the source's.

import Engine
import Foundation

/// Watches a strategy from outside, without labels.
///
/// *Collapse.* Minimising entropy can end in one class for everything: the entropy of the batch's mean prediction falls. When it falls below a share of its
/// running reference, the source's weights answer the same batch in the strategy's own way (same statistics). If their mean prediction is as narrow, the
/// stream is; the reference follows it. If not, the weights have collapsed: the stream goes back to the last good state. A relapse within a few batches sends it back to
/// the source, and the source's weights answer for a while, twice as long after each further relapse.
///
/// *Contradiction.* Neighbouring images of a stream sorted by class or taken by one camera share classes, and batch statistics fail on such streams. Then neighbouring
/// *predictions* agree more often than predictions in random order would; the excess in standard deviations is a measure of how well a predictor sees the
/// stream's order. While it shows such an order, the source answers each batch, too, and whoever's predictions have the larger excess is believed.
///
/// The idea of a reference for concentration is from ASR (ICLR 2026); the control with the source's weights and the test of neighbours are ours.
public struct CollapseGuard: StreamGuard {
  /// Thresholds.
  public struct Options: ComponentOptions {
    /// Share of the reference below which the entropy of the mean prediction is suspicious.
    public var concentration: Float = 0.95
    /// By how much the control has to be wider, in nats.
    public var margin: Float = 0.08
    /// Batches after an action in which no other one is taken.
    public var coolDown = 2
    /// Excess of agreeing neighbours, in standard deviations, from which a stream counts as ordered, and below which it no longer does.
    public var ordered: Float = 1.8, unordered: Float = 0.8
    /// The defaults.
    public init() {}
    /// For `tta list`.
    public static let meanings = [
      "concentration": "share of its reference below which the entropy of the mean prediction is suspicious",
      "margin": "by how much the source's weights must answer wider for a collapse, in nats",
      "cool_down": "batches after an action without another one",
      "ordered": "excess of agreeing neighbours, in standard deviations, from which a stream counts as ordered",
      "unordered": "excess below which it no longer does",
    ]
    /// Sensible orders.
    public func validate() throws {
      guard concentration > 0, concentration < 1 else {
        throw TTAError(.usage, "concentration: expected a number between 0 and 1, got \(concentration)")
      }
      guard coolDown >= 0 else { throw TTAError(.usage, "cool_down: expected at least 0, got \(coolDown)") }
      guard unordered <= ordered else { throw TTAError(.usage, "unordered: expected at most ordered (\(ordered)), got \(unordered)") }
    }
  }
  static let summary = Summary(
    "undoes collapse; lets the source answer where a stream's order contradicts the strategy", paper: "this project; reference as in ASR",
    forwards: "0 on a healthy stream", needs: ["batches, or a few images at a time"])

  let options: Options
  /// Running reference of the entropy of the mean prediction.
  public private(set) var reference: Double?
  private var pause = 0
  private var lastRestore: Int?
  /// Batches that are still answered with the source's weights, and how many it will be after the next relapse.
  private var hold = 0, nextHold = 4
  private var batches = 0
  /// Remembering costs a copy of what is learnt, so it happens every eighth batch.
  private var sinceRemembered = 0
  private var own = NeighborTest(), source = NeighborTest()
  /// Whether the source answers beside the strategy.
  public private(set) var isOrdered = false
  private var believesSource = false

  /// A guard with its thresholds.
  public init(_ options: Options = Options()) { self.options = options }

  /// Looks at an answer; may put the source's in its place.
  public mutating func judge(
    _ prediction: inout Prediction, for batch: Batch, in context: borrowing AdaptationContext
  ) throws -> Verdict {
    batches += 1
    let collapse = try judgeConcentration(&prediction, batch, context)
    own.add(prediction.labels)
    let excess = own.excess ?? 0
    let before = (isOrdered, believesSource)
    isOrdered = isOrdered ? max(excess, source.excess ?? 0) > Double(options.unordered) : excess > Double(options.ordered)
    guard isOrdered else {
      source = NeighborTest()
      believesSource = false
      return collapse
    }
    let answer = try context.forward(batch.images, with: context.source, context.options.with(.stored))
    source.add(answer.labels)
    believesSource = (source.latest ?? 0) > (own.latest ?? 0)
    if believesSource {
      prediction.scores = .logits(answer.logits)
      prediction.features = answer.features ?? prediction.features
    }
    guard collapse == .fine, believesSource, !before.1 else { return collapse }
    return .note(
      reason:
        "neighbouring images share classes (excess \(text(excess)) σ); the source sees it better (\(text(source.latest ?? 0)) against "
        + "\(text(own.latest ?? 0)) σ) and answers")
  }

  private mutating func judgeConcentration(
    _ prediction: inout Prediction, _ batch: Batch, _ context: borrowing AdaptationContext
  ) throws -> Verdict {
    if hold > 0 {
      hold -= 1
      let control = try context.forward(batch.images, with: context.source)
      (prediction.scores, prediction.features) = (.logits(control.logits), control.features ?? prediction.features)
      return .hold
    }
    // The mean of a few images says nothing about the stream.
    guard batch.count >= 8 else { return .fine }
    let entropy = entropyOfMean(prediction.probabilities)
    pause = max(0, pause - 1)
    guard let level = reference else {
      reference = entropy
      return .remember
    }
    guard entropy < Double(options.concentration) * level else {
      reference = 0.9 * level + 0.1 * entropy
      sinceRemembered += 1
      guard entropy > 0.98 * level, pause == 0, sinceRemembered >= 8 else { return .fine }
      sinceRemembered = 0
      return .remember
    }
    guard pause == 0 else { return .fine }
    let control = entropyOfMean(try context.forward(batch.images, with: context.source).probabilities)
    guard control > entropy + Double(options.margin) else {
      reference = 0.5 * level + 0.5 * entropy
      return .fine
    }
    pause = options.coolDown + 1
    let reason =
      "predictions concentrate: entropy of their mean \(text(entropy)), reference \(text(level)), with the source's weights \(text(control)); "
      + "weights moved by \(text(context.parameters.drift(from: context.source, over: context.adapted)))"
    // A good state that led here within a few batches was not good.
    let repeated = lastRestore.map { batches - $0 <= 5 * (options.coolDown + 1) } ?? false
    lastRestore = batches
    guard repeated else { return .restore(reason: reason) }
    hold = nextHold
    nextHold = min(64, 2 * nextHold)
    return .reset(reason: reason + "; \(hold) batches without learning")
  }
  private func entropyOfMean(_ probabilities: Tensor) -> Double {
    -meanRow(rows(of: probabilities)).reduce(0) { $0 + ($1 > 0 ? $1 * log($1) : 0) }
  }
  private func text(_ value: Double) -> String { Numbers.decimals(value, 2) }
}

/// How much more often neighbouring predictions agree than in random order, in standard deviations.
///
/// Over blocks of at least 64 labels: with shares p of the classes a pair agrees with the probability Σ p² (unbiased); the excess of a block is averaged
/// over blocks. In random order the average has the mean 0 and the deviation 0.42.
struct NeighborTest: Codable, Sendable {
  private static let block = 64
  private var labels: [Int] = []
  /// Averaged over blocks; nil before the first.
  private(set) var excess: Double?
  /// Over the last two blocks or so.
  private(set) var latest: Double?

  mutating func add(_ more: [Int]) {
    labels += more
    guard labels.count >= Self.block else { return }
    let value = Self.excess(of: labels)
    labels = []
    excess = 0.7 * (excess ?? 0) + 0.3 * value
    latest = latest.map { 0.4 * $0 + 0.6 * value } ?? value
  }
  static func excess(of labels: [Int]) -> Double {
    let n = Double(labels.count)
    guard n > 2 else { return 0 }
    var counts: [Int: Double] = [:]
    for label in labels { counts[label, default: 0] += 1 }
    let chance = counts.values.reduce(0) { $0 + $1 * ($1 - 1) } / (n * (n - 1))
    guard chance > 0, chance < 1 else { return 0 }
    let agreeing = zip(labels, labels.dropFirst()).filter { $0 == $1 }.count
    return (Double(agreeing) - (n - 1) * chance) / ((n - 1) * chance * (1 - chance)).squareRoot()
  }
}
