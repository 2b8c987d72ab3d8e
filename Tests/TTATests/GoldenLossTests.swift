// Every loss of the golden folder, and vectors worked out by hand.

import Engine
import Foundation
import Safetensors
import TTA
import TTATestKit
import Testing

@Suite struct GoldenLossTests {
  private struct Golden: Decodable {
    struct Case: Decodable { var `case`: String }
    struct Bound: Decodable { var abs: Float, rel: Float? }
    var losses: [Case]
    var tolerance: [String: Bound]
  }

  @Test func losses() throws {
    guard let folder = SharedFolders.golden?.appendingPathComponent("engine") else {
      return print("skipped: no golden folder (TTA_GOLDEN or TTA_SHARED)")
    }
    let golden = try JSONDecoder().decode(Golden.self, from: Data(contentsOf: folder.appendingPathComponent("engine.json")))
    let file = try SafetensorsFile(path: folder.appendingPathComponent("losses.safetensors").path)
    let (z, t, labels) = (try file.tensor("z"), try file.tensor("t"), try file.integers("labels"))
    let (source, target) = (try file.tensor("p_source").values.map(Double.init), try file.tensor("p_target").values.map(Double.init))
    let bound = try #require(golden.tolerance["losses_float32"])
    let tolerance = Tolerance(absolute: bound.abs, relative: bound.rel ?? 0)
    for item in golden.losses {
      let losses: Losses
      var term: BatchTerm?
      switch item.case {
      case "entropy": losses = Entropy().losses(of: Output(logits: z))
      case "soft_ce": losses = LossFunctions.crossEntropy(z, target: t)
      case "soft_ce_through_target": losses = LossFunctions.reverseCrossEntropy(z, target: t)
      case "symmetric_ce": losses = LossFunctions.symmetricCrossEntropy(z, target: t)
      case "ce_labels": losses = LossFunctions.crossEntropy(z, pseudoLabels: labels)
      case "gce_q0.8_labels": losses = LossFunctions.generalizedCrossEntropy(z, pseudoLabels: labels)
      case "gce_q0.8_argmax": losses = LossFunctions.generalizedCrossEntropy(z)
      case "slr": losses = LossFunctions.softLikelihoodRatio(z)
      case "come": losses = LossFunctions.conservativeEntropy(z)
      case "conjugate_poly_eps0": losses = LossFunctions.conjugatePolynomial(z, epsilon: 0)
      case "conjugate_poly_eps1": losses = LossFunctions.conjugatePolynomial(z, epsilon: 1)
      case "conjugate_poly_eps6": losses = LossFunctions.conjugatePolynomial(z, epsilon: 6)
      case "gla_tau1", "gla_tau0.5":
        losses = LossFunctions.logitAdjustedCrossEntropy(
          z, pseudoLabels: labels, sourcePrior: source, targetPrior: target, tau: item.case == "gla_tau1" ? 1 : 0.5)
      case "mean_entropy", "marginal_entropy":
        (losses, term) = (Losses([], z), LossFunctions.entropyOfMean(z))
      case "diversity_shot": (losses, term) = (Losses([], z), LossFunctions.diversity(z))
      case "shot_im": (losses, term) = (Losses([], z), LossFunctions.informationMaximization(z))
      default:
        Issue.record("no implementation of the loss \(item.case)")
        continue
      }
      let values = try file.tensor("\(item.case).value")
      let got = term.map { Tensor([$0.value], shape: [1]) } ?? Tensor(losses.values, shape: values.shape)
      let value = Comparison(got, values, tolerance)
      #expect(value.isWithin, "\(item.case): \(value)")
      let gradient = Comparison(term?.logitGradients ?? losses.logitGradients, try file.tensor("\(item.case).d_z"), tolerance)
      #expect(gradient.isWithin, "\(item.case) gradient: \(gradient)")
    }
    print("golden losses: \(golden.losses.count) cases")
  }

  private func row(_ values: [Float]) -> Tensor { Tensor(values, shape: [1, values.count]) }

  @Test func handVectors() {
    let entropy = Entropy().losses(of: Output(logits: row([2, 1, 0])))
    #expect(abs(entropy.values[0] - 0.832396) < 1e-6)
    for (got, expected) in zip(entropy.logitGradients.values, [-0.282587, 0.140770, 0.141817] as [Float]) {
      #expect(abs(got - expected) < 1e-6)
    }
    #expect(abs(LossFunctions.conservativeEntropy(row([2, 1, 0])).values[0] - 1.172836) < 1e-6)
    #expect(abs(LossFunctions.softLikelihoodRatio(row([log(9), 0])).values[0] + 1.757790) < 1e-5)
    #expect(abs(LossFunctions.softLikelihoodRatio(row([log(1.5), 0])).values[0] + 0.081103) < 1e-5)
    #expect(abs(LossFunctions.generalizedCrossEntropy(row([0, 0])).values[0] - 0.532064) < 1e-6)
    let adjusted = LossFunctions.logitAdjustedCrossEntropy(
      row([1, 0.5, -1]), pseudoLabels: [2], sourcePrior: [0.7, 0.2, 0.1], targetPrior: [0.1, 0.2, 0.7])
    #expect(abs(adjusted.values[0] - 5.977456) < 1e-5)
    // Two views that are certain of different classes: marginal entropy ln 2 although each view has entropy 0.
    let views = Tensor([200, 0, 0, 200], shape: [2, 2])
    #expect(abs(LossFunctions.entropyOfMean(views).value - Float(log(2.0))) < 1e-6)
    #expect(Entropy().losses(of: Output(logits: views)).values == [0, 0])
  }
}
