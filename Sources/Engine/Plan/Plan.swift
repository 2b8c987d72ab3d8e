// A compiled network: steps and where their buffers lie.

/// One unit of execution. All sizes are per image, n comes at run time.
protocol PlanStep: AnyObject, Sendable {
  /// For profiles and `tta inspect --plan`.
  var label: String { get }
  /// True where the images may be handed to it in several parts: each image's results depend on that image alone.
  var takesImagesInParts: Bool { get }
  /// What is done once, whatever the images: packing of weights.
  func prepare(_ frame: borrowing Frame)
  func run(_ frame: borrowing Frame)
}
extension PlanStep {
  var takesImagesInParts: Bool { false }
  func prepare(_ frame: borrowing Frame) {}
}

/// Where buffers lie in the arena.
struct BufferPlaces: Sendable {
  private(set) var offsets: [Int]
  /// Bytes from an image's part of a buffer to the next image's; 0 where all images share it, or where it holds only those that are worked on.
  private(set) var strides: [Int]

  /// The same, with some buffers where others are.
  func replacing(_ others: [BufferID: BufferID]) -> BufferPlaces {
    var result = self
    for (buffer, other) in others {
      (result.offsets[buffer.index], result.strides[buffer.index]) = (offsets[other.index], strides[other.index])
    }
    return result
  }
}

/// Steps, arena offsets and the backward pruned to the gradient frontier. Immutable once compiled.
final class Plan: Sendable {
  let key: PlanKey
  let capacity: Int
  let forward: [any PlanStep], backward: [any PlanStep]
  /// Where buffers lie in the forward, and in the backward.
  let places: BufferPlaces, backwardPlaces: BufferPlaces
  let arenaBytes: Int
  /// What separate buffers would take.
  let naiveBytes: Int
  /// Of each worker.
  let scratchBytes: Int
  /// Packed weights that the program keeps.
  let packed: [PackedWeight]
  /// Weights that no step reads once they are packed.
  let packedOnce: Set<ParameterID>
  /// Plain rows handed out, in the order of the key's taps.
  let outputs: [(tap: Tap, buffer: BufferID, shape: Shape)]
  /// Where a caller's gradients go in; nil where no gradient flows.
  let seeds: [(tap: Tap, buffer: BufferID, count: Int)?]
  /// Behind each step of the backward, the gradients of parameters that are complete.
  let completedGradients: [[ParameterGradient]]
  let imageGradient: BufferID?
  /// What the forward leaves of each image for the backward.
  let kept: [BufferID]
  let backwardReadsImages: Bool
  let moments: [MomentSource]

  /// What is packed of a layer's weight.
  struct PackedWeight: Sendable {
    let key: Program.PackedKey, weight: ParameterID, bytes: Int
    /// Whether it is kept only in the place of values in a mapped file.
    let replacesFile: Bool
  }

  /// Where a norm layer's moments are found after a forward.
  struct MomentSource: Sendable {
    let node: Int, buffer: BufferID, channels: Int, positions: Int
  }

  /// The gradient of a parameter, or one part of it where several layers share the parameter.
  struct ParameterGradient: Sendable {
    let id: ParameterID, buffer: BufferID, shape: Shape
  }

  init(
    key: PlanKey, capacity: Int, forward: [any PlanStep], backward: [any PlanStep], buffers: [PlannedBuffer],
    again: [BufferID: BufferID], scratchBytes: Int, packed: [PackedWeight], packedOnce: Set<ParameterID>,
    outputs: [(tap: Tap, buffer: BufferID, shape: Shape)],
    seeds: [(tap: Tap, buffer: BufferID, count: Int)?],
    completedGradients: [[ParameterGradient]], imageGradient: BufferID?, kept: [BufferID], backwardReadsImages: Bool,
    moments: [MomentSource]
  ) {
    (self.key, self.capacity, self.forward, self.backward) = (key, capacity, forward, backward)
    let (offsets, arenaBytes) = MemoryPlanner.place(buffers, images: capacity)
    self.arenaBytes = arenaBytes
    places = BufferPlaces(offsets: offsets, strides: buffers.map { $0.mostImages == nil ? $0.bytesPerImage : 0 })
    backwardPlaces = places.replacing(again)
    naiveBytes = buffers.reduce(0) { $0 + ($1.last >= 0 ? $1.bytes(images: capacity) : 0) }
    (self.scratchBytes, self.packed, self.packedOnce) = (scratchBytes, packed, packedOnce)
    (self.outputs, self.seeds) = (outputs, seeds)
    (self.completedGradients, self.imageGradient, self.moments) = (completedGradients, imageGradient, moments)
    (self.kept, self.backwardReadsImages) = (kept, backwardReadsImages)
  }
}

/// What steps see while one batch runs.
struct Frame: ~Copyable {
  let places: BufferPlaces
  let program: Program
  let images: Int
  /// The number of the first of them in the batch.
  let firstImage: Int
  let statistics: NormStatistics
  let input: UnsafePointer<Float>
  let base: UnsafeMutableRawPointer
  let parameters: Parameters
  let pool: WorkerPool

  func raw(_ buffer: BufferID) -> UnsafeMutableRawPointer {
    base + places.offsets[buffer.index] + firstImage * places.strides[buffer.index]
  }
  func floats(_ buffer: BufferID) -> UnsafeMutablePointer<Float> { raw(buffer).assumingMemoryBound(to: Float.self) }
  func signs(_ buffer: BufferID) -> UnsafeMutablePointer<UInt16> { raw(buffer).assumingMemoryBound(to: UInt16.self) }
  func doubles(_ buffer: BufferID) -> UnsafeMutablePointer<Double> { raw(buffer).assumingMemoryBound(to: Double.self) }
  func reading(_ buffer: BufferID) -> UnsafePointer<Float> {
    buffer == .images ? input + firstImage * program.graph.inputShape.elementCount : UnsafePointer(floats(buffer))
  }
  /// The same for some of the images.
  func part(_ first: Int, count: Int) -> Frame {
    Frame(
      places: places, program: program, images: count, firstImage: firstImage + first, statistics: statistics, input: input, base: base,
      parameters: parameters, pool: pool)
  }
}
