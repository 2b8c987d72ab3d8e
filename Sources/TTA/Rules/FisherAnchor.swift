// Important weights are held near the source.

public import Engine
import Safetensors

/// Adds strength · Σ F (θ − θ₀)² to the loss: weights that matter for the source's task move less.
///
/// The anti-forgetting term of EATA (Niu et al., ICML 2022, equation 9). F comes from `tta prepare fisher`.
public struct FisherAnchor: UpdateRule {
  private let importance: [String: Tensor]
  private let strength: Float
  private let digest: String?
  private var places: [ParameterID: String] = [:]
  /// Importance by parameter name.
  public init(importance: [String: Tensor], strength: Float) { self.init(importance: importance, strength: strength, digest: nil) }
  private init(importance: [String: Tensor], strength: Float, digest: String?) {
    (self.importance, self.strength, self.digest) = (importance, strength, digest)
  }
  /// Importance from a file of `tta prepare fisher`.
  public init(file: String, strength: Float) throws {
    let file = try SourceStageFile(path: file, kind: "fisher")
    self.init(importance: try file.tensors(), strength: strength, digest: file.modelDigest)
  }
  /// Finds the parameters; each adapted one must have its importance.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    try SourceStageFile.check(digest, against: setup.original, what: "eata: the file of importances")
    places = [:]
    for id in setup.adapted.ids {
      let info = setup.model.graph.parameters[Int(id.rawValue)]
      guard let tensor = importance[info.name] else {
        throw TTAError(
          .invalidData, "the file of importances lacks \(info.name), which is adapted",
          hint: "make it with the same model and the same parameters: tta prepare fisher")
      }
      guard tensor.shape == info.shape else {
        throw TTAError(.invalidData, "importance of \(info.name): expected \(info.shape), got \(tensor.shape)")
      }
      places[id] = info.name
    }
  }
  /// The gradient 2 · strength · F (θ − θ₀), and the value.
  public func willStep(_ gradients: inout Gradients, for loss: inout Loss, in context: inout AdaptationContext) {
    var penalty = 0.0
    for id in context.adapted.ids {
      guard let name = places[id], let importance = importance[name] else { continue }
      let (now, source) = (context.parameters[id], context.source[id])
      importance.withSpan { factor in
        now.withSpan { now in
          source.withSpan { source in
            for i in now.indices {
              let distance = Double(now[i] - source[i])
              penalty += Double(factor[i]) * distance * distance
            }
            gradients.update(id) { tensor in
              tensor.update { gradient in for i in gradient.indices { gradient[i] += 2 * strength * factor[i] * (now[i] - source[i]) } }
            }
          }
        }
      }
    }
    loss.value += strength * Float(penalty)
  }
}
