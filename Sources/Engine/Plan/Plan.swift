// A compiled network: steps and where their buffers lie.

/// One unit of execution. All sizes are per image, n comes at run time.
protocol PlanStep: AnyObject, Sendable {
  /// For profiles and `tta inspect --plan`.
  var label: String { get }
  func run(_ frame: borrowing Frame)
}

/// Steps, arena offsets and the backward pruned to the gradient frontier. Immutable once compiled.
final class Plan: Sendable {
  let key: PlanKey
  let capacity: Int
  let forward: [any PlanStep], backward: [any PlanStep]
  let offsets: [Int]
  let arenaBytes: Int
  /// What separate buffers would take.
  let naiveBytes: Int
  let scratchBytes: Int
  /// Plain rows handed out, in the order of the key's taps.
  let outputs: [(tap: Tap, buffer: BufferID, shape: Shape)]
  /// Where a caller's gradients go in; nil where no gradient flows.
  let seeds: [(tap: Tap, buffer: BufferID, count: Int)?]
  let parameterGradients: [(id: ParameterID, buffer: BufferID, shape: Shape)]
  let imageGradient: BufferID?
  let moments: [MomentSource]

  /// Where a norm layer's moments are found after a forward.
  struct MomentSource: Sendable {
    let node: Int, buffer: BufferID, channels: Int, positions: Int
  }

  init(
    key: PlanKey, capacity: Int, forward: [any PlanStep], backward: [any PlanStep], buffers: [PlannedBuffer], scratchBytes: Int,
    outputs: [(tap: Tap, buffer: BufferID, shape: Shape)], seeds: [(tap: Tap, buffer: BufferID, count: Int)?],
    parameterGradients: [(id: ParameterID, buffer: BufferID, shape: Shape)], imageGradient: BufferID?, moments: [MomentSource]
  ) {
    (self.key, self.capacity, self.forward, self.backward) = (key, capacity, forward, backward)
    (offsets, arenaBytes) = MemoryPlanner.place(buffers, images: capacity)
    naiveBytes = buffers.reduce(0) { $0 + ($1.last >= 0 ? $1.bytes(images: capacity) : 0) }
    (self.scratchBytes, self.outputs, self.seeds) = (scratchBytes, outputs, seeds)
    (self.parameterGradients, self.imageGradient, self.moments) = (parameterGradients, imageGradient, moments)
  }
}

/// What steps see while one batch runs.
struct Frame: ~Copyable {
  let plan: Plan
  let program: Program
  let images: Int
  let statistics: NormStatistics
  let input: UnsafePointer<Float>
  let base: UnsafeMutableRawPointer
  let parameters: Parameters
  let pool: WorkerPool

  func raw(_ buffer: BufferID) -> UnsafeMutableRawPointer { base + plan.offsets[buffer.index] }
  func floats(_ buffer: BufferID) -> UnsafeMutablePointer<Float> { raw(buffer).assumingMemoryBound(to: Float.self) }
  func doubles(_ buffer: BufferID) -> UnsafeMutablePointer<Double> { raw(buffer).assumingMemoryBound(to: Double.self) }
  func reading(_ buffer: BufferID) -> UnsafePointer<Float> { buffer == .images ? input : UnsafePointer(floats(buffer)) }
}
