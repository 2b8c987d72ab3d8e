// What adaptation takes beside one pass over a batch.

/// What adaptation takes beside one pass over a batch, as its components say: for the planned memory alone.
public struct MemoryDemand: Sendable {
  /// Copies of the adapted parameters beside the model: what moved, gradients, an optimiser's moments, a teacher.
  public var copies = 0
  /// Networks with values of their own, such as a teacher or the one after the step, that answer forwards from which nothing is learnt.
  public var otherNetworks = 0
  /// Whether values that copies replace stay in memory, those in a mapped file too.
  public var readsSource = false
  /// Images of a pass that is learnt from, where they are not the batch: a memory, views of one image.
  public var learntImages: Int?
  /// How such a pass runs, where it does not as the answers do.
  public var learningOptions: ForwardOptions?
  /// Images that are answered together, where that is not the batch.
  public var answeredImages: Int?
  /// Passes to learn from that are alive at the same time.
  public var passes = 1
  /// Batches of images beside the one that came: views of it, the images that a filter left.
  public var batches = 0
  /// Images that are kept whatever the batch.
  public var images = 0
  /// Further bytes.
  public var bytes = 0
  /// One pass over a batch and nothing else.
  public init() {}
}
