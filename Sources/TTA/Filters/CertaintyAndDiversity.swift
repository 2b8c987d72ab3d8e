// Certain images that differ from the stream's mean weigh more.

public import Engine
import Foundation

/// ROID's weights: exp(diversity · certainty / T), both scaled to 0…1 over the batch; images of less than mean diversity are left out.
///
/// Marsden et al., "Universal Test-Time Adaptation through Weight Ensembling, Diversity Weighting, and Prior Correction", WACV 2024. The moving mean
/// prediction q starts uniform and moves by a tenth towards each batch's mean over all images. Deviation: where all images of a batch are alike (a batch
/// of one, a still camera) the scaling divides 0 by 0 in the released code; here such a batch counts as equally diverse and certain.
public struct CertaintyAndDiversity: SampleFilter {
  let temperature: Double
  /// The moving mean prediction; nil is uniform.
  public private(set) var mean: [Float]?
  /// T = 1/3.
  public init(temperature: Double = 1.0 / 3) { self.temperature = temperature }
  /// Weighs the images, then moves the mean.
  public mutating func weigh(_ weights: inout [Float], of output: Output, for batch: Batch, in context: inout AdaptationContext) {
    let probabilities = rows(of: output.probabilities)
    let classes = output.logits.rowElementCount
    let mean = self.mean ?? [Float](repeating: 1 / Float(classes), count: classes)
    let direction = mean.map(Double.init)
    let diversity = scaled(probabilities.map { 1 - cosine(direction, $0) })
    let certainty = scaled(output.entropies.map { -Double($0) })
    let average = diversity.reduce(0, +) / Double(max(1, diversity.count))
    for i in weights.indices {
      weights[i] *= diversity[i] < average ? 0 : Float(exp(diversity[i] * certainty[i] / temperature))
    }
    let batchMean = meanRow(probabilities)
    self.mean = zip(mean, batchMean).map { 0.9 * $0 + 0.1 * Float($1) }
    context.observe("moving-probability", Tensor(self.mean ?? [], shape: [classes]))
  }
  private func scaled(_ values: [Double]) -> [Double] {
    guard let low = values.min(), let high = values.max(), high > low else { return values.map { _ in 0 } }
    return values.map { ($0 - low) / (high - low) }
  }
}
