// Images that are recognised without their shape are left out.

public import Engine
import Foundation

/// Shuffles a grid of patches in each image and keeps images whose predicted class loses probability by it; weighs them by exp(E₀ − H) + exp(loss).
///
/// The filter of DeYO (Lee et al., "Entropy is not Enough for Test-Time Adaptation", ICLR 2024): "PLPD", the pseudo-label probability difference. The extra
/// forward sees only the images still in play, with statistics of its own.
public struct PatchShuffle: SampleFilter {
  /// Grid and threshold.
  public struct Options: ComponentOptions {
    /// Patches per side.
    public var grid = 4
    /// Smallest loss of probability.
    public var threshold: Float = 0.2
    /// E₀ as a share of ln K.
    public var factor: Float = 0.4
    /// 4 × 4, 0.2.
    public init() {}
    /// For `tta list`.
    public static let meanings = [
      "grid": "patches per side",
      "threshold": "probability that the predicted class has to lose: 0.3 mild, 0.2 wild streams, 0.5 biased sets",
      "factor": "E0 of the weights as a share of ln K",
    ]
    /// At least 2 patches per side.
    public func validate() throws {
      guard grid >= 2 else { throw TTAError(.usage, "grid: expected at least 2, got \(grid)") }
    }
  }
  let options: Options
  /// Recorded permutations, one batch after the other, in place of random ones.
  package var recorded: [[[Int]]] = []
  /// A filter with its options.
  public init(_ options: Options = Options()) { self.options = options }
  /// True; recorded permutations are those of whole batches.
  public var judgesImagesAlone: Bool { recorded.isEmpty }
  /// Refuses images whose sides the grid does not divide.
  public func configure(_ setup: inout AdaptationSetup) throws {
    // The images still in play, and the same shuffled.
    setup.memory.batches += 2
    let shape = setup.model.graph.inputShape
    guard shape[1] % options.grid == 0, shape[2] % options.grid == 0 else {
      throw TTAError(
        .usage, "plpd: a grid of \(options.grid)×\(options.grid) patches does not divide images of \(shape[2])×\(shape[1]) pixels",
        hint: "choose a grid that divides both sides")
    }
  }
  /// One forward of the shuffled images.
  public mutating func weigh(_ weights: inout [Float], of output: Output, for batch: Batch, in context: inout AdaptationContext) throws {
    let kept = weights.indices.filter { weights[$0] != 0 }
    let all = recorded.isEmpty ? nil : recorded.removeFirst()
    guard !kept.isEmpty else { return }
    let cells = options.grid * options.grid
    let permutations = kept.map { row in all?[row] ?? Array(0..<cells).shuffled(using: &context.random) }
    let shuffled = try context.forward(patchesPermuted(batch.images[kept], permutations, grid: options.grid)).probabilities
    let (probabilities, labels, entropies) = (output.probabilities, output.labels, output.entropies)
    let classes = probabilities.rowElementCount
    let level = options.factor * Float(log(Double(classes)))
    for (j, i) in kept.enumerated() {
      let difference = probabilities.value(i * classes + labels[i]) - shuffled.value(j * classes + labels[i])
      weights[i] *= difference > options.threshold ? Float(exp(Double(level - entropies[i])) + exp(Double(difference))) : 0
    }
  }
}

/// Images whose patch j is the old patch `permutations[image][j]`, both counted row by row.
func patchesPermuted(_ images: Tensor, _ permutations: [[Int]], grid: Int) -> Tensor {
  let dimensions = images.shape.dimensions
  let (channels, height, width) = (dimensions[1], dimensions[2], dimensions[3])
  let (patchHeight, patchWidth) = (height / grid, width / grid)
  var result = Tensor(zeros: images.shape)
  images.withSpan { old in
    result.update { new in
      for (image, permutation) in permutations.enumerated() {
        for channel in 0..<channels {
          let plane = (image * channels + channel) * height * width
          for (to, from) in permutation.enumerated() {
            for row in 0..<patchHeight {
              let target = plane + (to / grid * patchHeight + row) * width + to % grid * patchWidth
              let start = plane + (from / grid * patchHeight + row) * width + from % grid * patchWidth
              for column in 0..<patchWidth { new[target + column] = old[start + column] }
            }
          }
        }
      }
    }
  }
  return result
}
