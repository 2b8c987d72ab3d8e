// Batches whose images are learnt from a few at a time.

extension Executor {
  /// The images of a batch in parts, for a loss that is a sum over images: one part is recorded and differentiated after the other, and their gradients are
  /// added. As many images go together as keep 512 MB beside the gradients, so that nothing has to be computed again, but at least two, since weights that learn
  /// are packed for each part. Their sizes are as even as can be and depend on the network, the way it runs and the number of images, never on threads.
  ///
  /// Nil where a layer takes statistics over the batch: its images have to stay together. Throws for unknown taps.
  public func parts(
    of images: Int, _ program: Program, differentiating set: ParameterSet, _ options: ForwardOptions
  ) throws(TTAError) -> [Range<Int>]? {
    guard program.graph.treatsImagesAlone(options.statistics), images > 0 else { return nil }
    let key = PlanKey(options, set, lowering, recomputationInParts, precision, images: 2)
    let gradientBytes = program.graph.parameters.reduce(0) { $0 + (set.contains($1.id) ? 4 * $1.shape.elementCount : 0) }
    let most = try program.imagesTogether(key, keeping: mostPartBytes - gradientBytes)
    // A part of one image would have a plan of its own.
    let count = min((images + most - 1) / most, max(1, images / 2))
    // The largest first, so that a plan has room for all of them.
    func start(_ part: Int) -> Int { (part * images + count - 1) / count }
    return (0..<count).map { start($0)..<start($0 + 1) }
  }
  /// What the backward of a part computes again: nothing, unless asked.
  public var recomputationInParts: Recomputation { recomputation == .automatic ? .never : recomputation }
}

extension Graph {
  /// True where what is computed for an image does not depend on the other images of its batch.
  public func treatsImagesAlone(_ statistics: NormStatistics) -> Bool { !statistics.readsBatch || !hasBatchNorm }
  /// Whether a layer's values may depend on the other images of a batch.
  public var hasBatchNorm: Bool { nodes.contains { ($0.operation as? any NormOperator)?.mixesImages == true } }
}
