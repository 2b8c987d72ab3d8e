// A graph with its plans and packed weights.

internal import CKernels
import Synchronization

/// A graph with its plans and packed weights, shared by every stream of a model.
public final class Program: Sendable {
  /// The graph.
  public let graph: Graph
  private let plans = Mutex<[PlanKey: Plan]>([:])
  private let packed = Mutex<[PackedKey: PackedWeights]>([:])

  /// Compiles nothing yet: plans are made when first needed and kept.
  public init(_ graph: Graph) { self.graph = graph }

  /// The plan for a key with room for `images`; compiled at the first call and when a larger batch comes.
  func plan(for key: PlanKey, images: Int) throws(TTAError) -> Plan {
    if let plan = plans.withLock({ $0[key] }), plan.capacity >= images { return plan }
    let plan = try Compiler.compile(graph, key, capacity: images)
    plans.withLock { $0[key] = plan }
    return plan
  }

  /// Which convolution in which direction.
  struct PackedKey: Hashable, Sendable { var node: Int, backward: Bool, algorithm: UInt32, bfloat16: Bool }

  /// Packed weights of the values with the given stamp; `pack` fills them at a miss. The latest few stamps of each convolution are kept.
  func packedWeights(
    _ key: PackedKey, stamp: UInt64, count: Int, _ pack: (UnsafeMutablePointer<Float>) -> Void
  ) -> Tensor {
    packed.withLock { $0[key, default: PackedWeights()].find(stamp, count: count, pack) }
  }
}

/// What a plan takes and does.
public struct PlanSummary: Codable, Hashable, Sendable {
  /// Bytes of arena, and what separate buffers would take.
  public let arenaBytes: Int, naiveBytes: Int
  /// Bytes of the model's values, of weights that are kept in the order of the kernels, of all workers' scratch, and of a batch of images.
  public let weightBytes: Int, packedBytes: Int, scratchBytes: Int, imageBytes: Int
  /// What a stream takes beside the program itself: all of these, with the arena.
  public var memoryBytes: Int { arenaBytes + weightBytes + packedBytes + scratchBytes + imageBytes }
  /// What the steps do, in order.
  public let forward: [String], backward: [String]
}
extension Program {
  /// The summary of the plan that a pass with these options will use.
  public func summary(
    _ options: ForwardOptions, differentiating set: ParameterSet, images: Int, lowering: Lowering,
    recomputation: Recomputation = .automatic, precision: Precision = .single, threads: Int = 1
  ) throws(TTAError) -> PlanSummary {
    let plan = try plan(for: PlanKey(options, set, lowering, recomputation, precision, images: images), images: images)
    let bytes = plan.capacity == images ? plan : try Compiler.compile(graph, plan.key, capacity: images)
    return PlanSummary(
      arenaBytes: bytes.arenaBytes, naiveBytes: bytes.naiveBytes,
      weightBytes: graph.parameters.reduce(0) { $0 + 4 * $1.shape.elementCount }, packedBytes: bytes.packedBytes,
      scratchBytes: threads * bytes.scratchBytes, imageBytes: 4 * images * graph.inputShape.elementCount,
      forward: bytes.forward.map(\.label), backward: bytes.backward.map(\.label))
  }
}

/// The packed weights of one convolution for the latest parameter values: source, student and teacher have three.
///
/// A value that was handed out is never overwritten: memory is packed again only while nobody else holds it.
private struct PackedWeights {
  private static let capacity = 4
  private var slots: [(stamp: UInt64, used: UInt64, values: Tensor)] = []
  private var clock: UInt64 = 0

  mutating func find(_ stamp: UInt64, count: Int, _ pack: (UnsafeMutablePointer<Float>) -> Void) -> Tensor {
    clock += 1
    if let hit = slots.firstIndex(where: { $0.stamp == stamp }) {
      slots[hit].used = clock
      return slots[hit].values
    }
    var slot = slots.count
    if slot < Self.capacity {
      slots.append((stamp, clock, Tensor(uninitialized: [count])))
    } else {
      slot = slots.indices.min { slots[$0].used < slots[$1].used } ?? 0
      if !slots[slot].values.isUnique { slots[slot].values = Tensor(uninitialized: [count]) }
      (slots[slot].stamp, slots[slot].used) = (stamp, clock)
    }
    slots[slot].values.withMutablePointer(pack)
    return slots[slot].values
  }
}
