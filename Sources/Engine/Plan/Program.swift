// A graph with its plans and packed weights.

internal import CKernels
import Synchronization

/// A graph with its plans and packed weights, shared by every stream of a model.
public final class Program: Sendable {
  /// The graph.
  public let graph: Graph
  private let plans = Mutex<[PlanKey: Plan]>([:])
  private let packed = Mutex<[PackedKey: PackedWeights]>([:])
  private let bytesPerImage = Mutex<[PlanKey: Int]>([:])

  /// Compiles nothing yet: plans are made when first needed and kept.
  public init(_ graph: Graph) { self.graph = graph }

  /// The plan for a key with room for `images`; compiled at the first call and when a larger batch comes.
  func plan(for key: PlanKey, images: Int) throws(TTAError) -> Plan {
    if let plan = plans.withLock({ $0[key] }), plan.capacity >= images { return plan }
    let plan = try Compiler.compile(graph, key, capacity: images)
    plans.withLock { $0[key] = plan }
    return plan
  }

  /// How many images, at least two, keep about so many bytes of arena together.
  func imagesTogether(_ key: PlanKey, keeping bytes: Int) throws(TTAError) -> Int {
    let known = bytesPerImage.withLock { $0[key] }
    let each = if let known { known } else { try Compiler.compile(graph, key, capacity: 1).arenaBytes }
    bytesPerImage.withLock { $0[key] = each }
    return max(2, bytes / max(1, each))
  }

  /// Which layer in which direction; a linear layer has no algorithm.
  struct PackedKey: Hashable, Sendable { var node: Int, backward = false, algorithm = UInt32?.none, bfloat16 = false }

  /// The packed weights of some values; `pack` fills them at a miss. Those of a few tensors are kept for each layer.
  func packedWeights(_ key: PackedKey, of weights: Tensor, count: Int, _ pack: (UnsafeMutablePointer<Float>) -> Void) -> Tensor {
    packed.withLock { $0[key, default: PackedWeights()].find(weights, count: count, pack) }
  }
}

/// What a plan takes and does.
public struct PlanSummary: Codable, Hashable, Sendable {
  /// Bytes of arena, and what separate buffers would take.
  public let arenaBytes: Int, naiveBytes: Int
  /// Bytes of the model's values (those in a mapped file that nobody reads once they are packed count only while they are), of weights that are kept in the order of the kernels, of all workers' scratch, and of images: the batch, views, those that are kept.
  public let weightBytes: Int, packedBytes: Int, scratchBytes: Int, imageBytes: Int
  /// Bytes of what adaptation keeps beside the model: the parameters that moved, gradients, the optimiser's moments, a teacher.
  public let adaptationBytes: Int
  /// What a stream takes beside the program itself: all of these, with the arena.
  public var memoryBytes: Int { arenaBytes + weightBytes + packedBytes + scratchBytes + imageBytes + adaptationBytes }
  /// Images that are learnt from together.
  public let imagesTogether: Int
  /// What the steps do, in order.
  public let forward: [String], backward: [String]
}
extension Program {
  /// The summary of the plan that a pass with these options will use at these parameters, and of what adaptation demands beside it. `together`: images of a part,
  /// where the batch is learnt from in parts.
  public func summary(
    _ options: ForwardOptions, at parameters: Parameters, differentiating set: ParameterSet, images: Int, together: Int? = nil,
    lowering: Lowering, recomputation: Recomputation = .automatic, precision: Precision = .single, threads: Int = 1,
    demand: MemoryDemand = MemoryDemand()
  ) throws(TTAError) -> PlanSummary {
    let together = together ?? demand.learntImages ?? images
    let plan = try plan(
      for: PlanKey(demand.learningOptions ?? options, set, lowering, recomputation, precision, images: together), images: together)
    let bytes = plan.capacity == together ? plan : try Compiler.compile(graph, plan.key, capacity: together)
    func kept(_ plan: Plan) -> [Plan.PackedWeight] {
      plan.packed.filter { !$0.replacesFile || parameters[$0.weight].mappedPageBytes > 0 }
    }
    var (arenaBytes, packedBytes) = (demand.passes * bytes.arenaBytes, kept(bytes).reduce(0) { $0 + $1.bytes })
    var replaced = demand.copies == 0 || demand.readsSource ? [] : Set(set.ids)
    if demand.otherNetworks > 0 || demand.learntImages != nil {
      let answered = demand.answeredImages ?? images
      let answering = try Compiler.compile(
        graph, PlanKey(options, .empty, lowering, recomputation, precision, images: answered), capacity: answered)
      arenaBytes = max(arenaBytes, answering.arenaBytes)
      if demand.copies > 0 { replaced.formUnion(answering.packedOnce.filter(set.contains)) }
      let known = Set(bytes.packed.map(\.key))
      for packed in kept(answering) {
        // Networks that learn, and their teachers, have left the file.
        let networks = packed.replacesFile ? (demand.readsSource ? 1 : 0) : demand.otherNetworks
        packedBytes += set.contains(packed.weight) ? networks * packed.bytes : known.contains(packed.key) ? 0 : packed.bytes
      }
    }
    return PlanSummary(
      arenaBytes: arenaBytes, naiveBytes: bytes.naiveBytes,
      weightBytes: residentBytes(of: parameters, in: bytes, kept(bytes), without: replaced), packedBytes: packedBytes,
      scratchBytes: threads * bytes.scratchBytes,
      imageBytes: 4 * (images * (1 + demand.batches) + demand.images) * graph.inputShape.elementCount,
      adaptationBytes: demand.bytes
        + demand.copies * graph.parameters.reduce(0) { $0 + (set.contains($1.id) ? 4 * $1.shape.elementCount : 0) },
      imagesTogether: together, forward: bytes.forward.map(\.label), backward: bytes.backward.map(\.label))
  }
  /// Bytes of the model's values that stay in memory, all but those of `replaced` in a mapped file, and of a mapped file's values while they are packed, where
  /// that is the peak.
  private func residentBytes(
    of parameters: Parameters, in plan: Plan, _ kept: [Plan.PackedWeight], without replaced: Set<ParameterID>
  ) -> Int {
    var resident = 0, packedLater = 0, mostAbove = 0
    for info in graph.parameters {
      let isGivenBack = plan.packedOnce.contains(info.id) || replaced.contains(info.id)
      resident += 4 * info.shape.elementCount - (isGivenBack ? parameters[info.id].mappedPageBytes : 0)
    }
    for packed in kept.reversed() {
      if plan.packedOnce.contains(packed.weight) { mostAbove = max(mostAbove, parameters[packed.weight].mappedPageBytes - packedLater) }
      packedLater += packed.bytes
    }
    return resident + mostAbove
  }
}

/// The packed weights of one layer: source, student and teacher have three.
///
/// A tensor that changes in place has one of them: what was packed before the change can never be asked for again. A value that was handed out is
/// never overwritten: memory is packed again only while nobody else holds it.
private struct PackedWeights {
  private static let capacity = 4
  private struct Slot {
    weak var storage: Tensor.Storage?
    var stamp: UInt64, used: UInt64, values: Tensor
  }
  private var slots: [Slot] = []
  private var clock: UInt64 = 0

  mutating func find(_ weights: Tensor, count: Int, _ pack: (UnsafeMutablePointer<Float>) -> Void) -> Tensor {
    clock += 1
    if let hit = slots.firstIndex(where: { $0.stamp == weights.stamp }) {
      slots[hit].used = clock
      return slots[hit].values
    }
    let place = slots.firstIndex { $0.storage === weights.storage } ?? slots.firstIndex { $0.storage == nil } ?? oldestOfFull
    guard let place else {
      var values = Tensor(uninitialized: [count])
      values.withMutablePointer(pack)
      slots.append(Slot(storage: weights.storage, stamp: weights.stamp, used: clock, values: values))
      return values
    }
    if !slots[place].values.isUnique { slots[place].values = Tensor(uninitialized: [count]) }
    if slots[place].storage !== weights.storage { slots[place].storage = weights.storage }
    (slots[place].stamp, slots[place].used) = (weights.stamp, clock)
    slots[place].values.withMutablePointer(pack)
    return slots[place].values
  }
  private var oldestOfFull: Int? {
    slots.count < Self.capacity ? nil : slots.indices.min { slots[$0].used < slots[$1].used }
  }
}
