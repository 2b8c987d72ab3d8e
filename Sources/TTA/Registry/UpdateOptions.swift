// Optimiser, learning rate and parameters: the same keys for every gradient method.

public import Engine
import Foundation

/// Optimiser, learning rate and what moves: the same keys for every gradient method.
public struct UpdateOptions: ComponentOptions {
  /// Names as on the command line.
  public enum Kind: String, Codable, Sendable, CaseIterable {
    /// The three optimisers.
    case adam, adamw, sgd
  }
  /// Which optimiser.
  public var kind: Kind = .adam
  /// Step size.
  public var learningRate: Float = 1e-3
  /// Of SGD.
  public var momentum: Float = 0.9
  /// Of SGD: the published codes differ.
  public var nesterov = false
  /// L2, decoupled for AdamW.
  public var weightDecay: Float = 0
  /// `norm`, `norm-but-last`, `all`, or a regular expression over parameter names; `A but B` leaves out what the regular expression B matches.
  public var parameters = "norm"

  enum CodingKeys: String, CodingKey { case kind = "optimizer", learningRate, momentum, nesterov, weightDecay, parameters }
  /// Adam 1e-3 over the norm layers.
  public init() {}
  /// A kind and its learning rate.
  public init(_ kind: Kind, learningRate: Float, momentum: Float = 0.9, nesterov: Bool = false, parameters: String = "norm") {
    (self.kind, self.learningRate, self.momentum, self.nesterov) = (kind, learningRate, momentum, nesterov)
    self.parameters = parameters
  }
  /// For `tta list`.
  public static let meanings = [
    "optimizer": "adam, adamw or sgd", "learning_rate": "step size", "momentum": "of sgd", "nesterov": "sgd looks ahead along its velocity",
    "weight_decay": "L2 decay; decoupled for adamw",
    "parameters":
      "norm, norm-but-last (not the last stage), all, or a regular expression over parameter names; {include: A, exclude: B} or A but B",
    "preset": "a named set of defaults",
  ]
  /// Finite, not negative.
  public func validate() throws {
    for (key, value) in [("learning_rate", learningRate), ("momentum", momentum), ("weight_decay", weightDecay)] {
      guard value.isFinite, value >= 0 else { throw TTAError(.usage, "\(key): expected a number of at least 0, got \(value)") }
    }
  }
  /// A fresh one.
  public var optimizer: any Optimizer {
    switch kind {
    case .adam: Adam(learningRate: learningRate, weightDecay: weightDecay)
    case .adamw: Adam(learningRate: learningRate, weightDecay: weightDecay, decoupled: true)
    case .sgd: SGD(learningRate: learningRate, momentum: momentum, nesterov: nesterov, weightDecay: weightDecay)
    }
  }
  /// What moves.
  public var selection: ParameterSelection {
    guard let but = parameters.range(of: Self.but) else { return Self.selection(parameters) }
    return Self.selection(String(parameters[..<but.lowerBound])) && !.matching(String(parameters[but.upperBound...]))
  }
  private static let but = " but "
  private static func selection(_ words: String) -> ParameterSelection {
    switch words {
    case "norm": .normAffine
    case "norm-but-last": .normAffineButLastStage
    case "all": .all
    default: .matching(words)
    }
  }
  /// The text for `{include, exclude}`; other values as they are.
  static func parameters(_ value: OptionTree) throws(TTAError) -> OptionTree {
    guard case .keys(let keys) = value else { return value }
    guard !keys.isEmpty, Set(keys.keys).isSubset(of: ["include", "exclude"]), keys.values.allSatisfy({ $0.text != nil }) else {
      throw TTAError(
        .usage, "parameters: expected {include: …, exclude: …}, got \(value)", hint: "for example {include: norm, exclude: layer4}")
    }
    return .text((keys["include"]?.text ?? "all") + (keys["exclude"]?.text.map { but + $0 } ?? ""))
  }
}
