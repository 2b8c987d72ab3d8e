// What a side by side run shows, in words.

import Engine

/// What a side by side run shows, in words that follow from its numbers.
public enum Findings {
  /// The strategy that answers with the model as it was trained.
  public static let baseline = "source"

  /// One sentence: the strategy with the lowest mean error beside the frozen classifier or, without one, beside the others.
  public static func sentence(_ standings: [SideBySideEvaluation.Standing]) -> String {
    guard let best = standings.min(by: { $0.score.meanErrorPercent < $1.score.meanErrorPercent }), best.score.overall.images > 0 else {
      return "No labelled picture was answered."
    }
    guard let source = standings.first(where: { $0.name == baseline }) else {
      return "\(best.name) has the lowest mean error: \(percent(best.score.meanErrorPercent))."
    }
    if best.name != baseline { return comparison(of: best, with: source) }
    let others = standings.filter { $0.name != baseline }
    guard let next = others.min(by: { $0.score.meanErrorPercent < $1.score.meanErrorPercent }) else {
      return "The frozen classifier errs on \(percent(best.score.meanErrorPercent)) of the pictures."
    }
    return comparison(of: next, with: source)
  }

  private static func comparison(of standing: SideBySideEvaluation.Standing, with source: SideBySideEvaluation.Standing) -> String {
    let paired = source.score.pictures.comparison(with: standing.score.pictures)
    let rates = "\(percent(standing.score.overall.errorPercent)) instead of \(percent(source.score.overall.errorPercent))"
    guard paired.isClear, let fewer = paired.fewerErrorsPercent else {
      return "\(standing.name) and the frozen classifier do not clearly differ on these pictures: \(rates)."
    }
    let (gain, error) = (Numbers.decimals(abs(paired.gainPercent), 1), Numbers.decimals(paired.standardErrorPercent, 1))
    return "\(standing.name) makes \(percent(abs(fewer))) \(fewer > 0 ? "fewer" : "more") errors than the frozen classifier "
      + "(\(rates), a difference of \(gain) ± \(error) points)."
  }
  private static func percent(_ value: Double) -> String { Numbers.decimals(value, 1) + " %" }
}
