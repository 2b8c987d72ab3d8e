// The loss functions of the field in closed form, for objectives to build on.

public import Engine
import Foundation

/// Loss functions on logits, computed in double: one value and one gradient row per image, or a term of the whole batch.
public enum LossFunctions {
  /// −Σ softmax(t) log softmax(z), the target t constant (CoTTA).
  public static func crossEntropy(_ logits: Tensor, target: Tensor) -> Losses {
    let targets = rows(of: target).map(LogitRow.init)
    return lossesPerRow(logits) { row, i in
      let t = targets[i].probabilities
      return (-zip(t, row.logs).reduce(0) { $0 + $1.0 * $1.1 }, zip(row.probabilities, t).map { $0 - $1 })
    }
  }
  /// −Σ softmax(z) log softmax(t), t constant: the gradient flows through the role of the target.
  public static func reverseCrossEntropy(_ logits: Tensor, target: Tensor) -> Losses {
    let targets = rows(of: target).map(LogitRow.init)
    return lossesPerRow(logits) { row, i in
      let logs = targets[i].logs
      return (-zip(row.probabilities, logs).reduce(0) { $0 + $1.0 * $1.1 }, row.throughSoftmax(logs.map { -$0 }))
    }
  }
  /// Half of each of the two (ROID, CoTTA on ImageNet).
  public static func symmetricCrossEntropy(_ logits: Tensor, target: Tensor) -> Losses {
    let (one, other) = (crossEntropy(logits, target: target), reverseCrossEntropy(logits, target: target))
    let gradients = zip(one.logitGradients.values, other.logitGradients.values).map { 0.5 * ($0 + $1) }
    return Losses(zip(one.values, other.values).map { 0.5 * ($0 + $1) }, Tensor(gradients, shape: logits.shape))
  }
  /// Cross entropy to a constant target, or half of it and half of the reverse one.
  static func consistency(_ logits: Tensor, target: Tensor, symmetric: Bool) -> Losses {
    symmetric ? symmetricCrossEntropy(logits, target: target) : crossEntropy(logits, target: target)
  }
  /// −log softmax(z)[label]; labels are pseudo-labels, never those of the data.
  public static func crossEntropy(_ logits: Tensor, pseudoLabels: [Int]) -> Losses {
    lossesPerRow(logits) { row, i in
      (-row.logs[pseudoLabels[i]], row.probabilities.enumerated().map { $1 - ($0 == pseudoLabels[i] ? 1 : 0) })
    }
  }
  /// (1 − p_y^q) / q with y the given or the most likely class. Zhang and Sabuncu, NeurIPS 2018; RPL uses q = 0.8.
  public static func generalizedCrossEntropy(_ logits: Tensor, q: Double = 0.8, pseudoLabels: [Int]? = nil) -> Losses {
    lossesPerRow(logits) { row, i in
      let label = pseudoLabels?[i] ?? row.logits.indices.reduce(0) { row.logits[$1] > row.logits[$0] ? $1 : $0 }
      let power = exp(q * row.logs[label])
      return ((1 - power) / q, row.probabilities.enumerated().map { -power * (($0 == label ? 1 : 0) - $1) })
    }
  }
  /// −Σ p log(p / (1 − p) + 1e-5) with p = min(softmax, 0.99); clipped entries have no gradient. Mummadi et al. 2021; ROID.
  public static func softLikelihoodRatio(_ logits: Tensor, clip: Double = 0.99, epsilon: Double = 1e-5) -> Losses {
    lossesPerRow(logits) { row, _ in
      var (value, gradient) = (0.0, [Double](repeating: 0, count: row.logits.count))
      for (k, probability) in row.probabilities.enumerated() {
        let p = min(probability, clip)
        let ratio = p / (1 - p) + epsilon
        value -= p * log(ratio)
        if probability <= clip { gradient[k] = -log(ratio) - p / ((1 - p) * (1 - p) * ratio) }
      }
      return (value, row.throughSoftmax(gradient))
    }
  }
  /// The entropy of the opinion with a mass for uncertainty; the norm of the logits is constant for the gradient. Zhang et al., "COME", ICLR 2025.
  public static func conservativeEntropy(_ logits: Tensor, epsilon: Double = 1e-7) -> Losses {
    lossesPerRow(logits) { row, _ in
      let opinion = LogitRow(row.logits + [log(Double(row.logits.count))])
      let masses = opinion.probabilities.map { $0 + epsilon }
      let value = -masses.reduce(0) { $0 + $1 * log($1) }
      let through = opinion.throughSoftmax(masses.map { -(log($0) + 1) }).dropLast()
      let square = row.logits.reduce(0) { $0 + $1 * $1 }
      let radial = square > 0 ? zip(through, row.logits).reduce(0) { $0 + $1.0 * $1.1 } / square : 0
      return (value, zip(through, row.logits).map { $0 - radial * $1 })
    }
  }
  /// The conjugate of the polynomial loss; ε = 0 is the entropy. Goyal et al., "Test-Time Adaptation via Conjugate Pseudo-labels", NeurIPS 2022.
  /// The pseudo-label (I + ε diag p − ε p pᵀ)⁻¹ p is differentiated too.
  public static func conjugatePolynomial(_ logits: Tensor, epsilon: Double) -> Losses {
    lossesPerRow(logits) { row, _ in
      let p = row.probabilities
      let q = p.map { $0 / (1 + epsilon * $0) }
      let overlap = zip(p, q).reduce(0) { $0 + $1.0 * $1.1 }
      let factor = 1 / (1 - epsilon * overlap)
      let label = q.map { $0 * factor }
      let level = row.logits[0] - row.logs[0]
      var value = level
      for k in p.indices { value -= label[k] * row.logits[k] - epsilon * label[k] * (1 - p[k]) }
      let toLabel = p.indices.map { -row.logits[$0] + epsilon * (1 - p[$0]) }
      let toOverlap = epsilon * factor * factor * zip(toLabel, q).reduce(0) { $0 + $1.0 * $1.1 }
      let toProbability = p.indices.map { k in
        let toQ = toLabel[k] * factor + toOverlap * p[k]
        return -epsilon * label[k] + toOverlap * q[k] + toQ / ((1 + epsilon * p[k]) * (1 + epsilon * p[k]))
      }
      let through = row.throughSoftmax(toProbability)
      return (value, p.indices.map { p[$0] - label[$0] + through[$0] })
    }
  }
  /// Cross entropy of z + τ (log source prior − log target prior). Menon et al., ICLR 2021, generalised; Label Shift Adapter.
  public static func logitAdjustedCrossEntropy(
    _ logits: Tensor, pseudoLabels: [Int], sourcePrior: [Double], targetPrior: [Double], tau: Double = 1
  ) -> Losses {
    lossesPerRow(logits) { row, i in
      let adjusted = LogitRow(row.logits.indices.map { row.logits[$0] + tau * (log(sourcePrior[$0]) - log(targetPrior[$0])) })
      let label = pseudoLabels[i]
      return (-adjusted.logs[label], adjusted.probabilities.enumerated().map { $1 - ($0 == label ? 1 : 0) })
    }
  }

  // MARK: - Terms of the whole batch

  /// −Σ m log m of the mean prediction m; classes whose mean underflows count as 0.
  public static func entropyOfMean(_ logits: Tensor) -> BatchTerm {
    lossOfMean(logits) { mean in
      (-mean.reduce(0) { $0 + ($1 > 0 ? $1 * log($1) : 0) }, mean.map { $0 > 0 ? -(log($0) + 1) : 0 })
    }
  }
  /// Σ m log(m + 1e-5) of the mean prediction m. Liang et al., "SHOT", ICML 2020.
  public static func diversity(_ logits: Tensor, epsilon: Double = 1e-5) -> BatchTerm {
    lossOfMean(logits) { mean in
      (mean.reduce(0) { $0 + $1 * log($1 + epsilon) }, mean.map { log($0 + epsilon) + $0 / ($0 + epsilon) })
    }
  }
  /// Mean entropy plus diversity: SHOT's information maximisation.
  public static func informationMaximization(_ logits: Tensor) -> BatchTerm {
    let (entropy, term) = (Entropy().losses(of: Output(logits: logits)), diversity(logits))
    let count = Float(max(1, logits.count))
    let gradients = zip(entropy.logitGradients.values, term.logitGradients.values).map { $0 / count + $1 }
    return BatchTerm(
      value: entropy.values.reduce(0, +) / count + term.value, logitGradients: Tensor(gradients, shape: logits.shape))
  }
}
