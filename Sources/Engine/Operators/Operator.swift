// What one kind of layer is: shapes, memory, forward and backward over plain rows.

internal import CKernels

/// Memory an operator needs beyond inputs and output.
public struct OperatorMemory: Sendable {
  /// Floats per image that the forward leaves for the backward, those of an image next to each other: others may have left when the backward comes.
  public var keptPerImage = 0
  /// Doubles per batch that the forward leaves for the backward.
  public var keptPerBatch = 0
  /// Bytes each worker can use while it runs a unit.
  public var scratchPerWorker = 0
  /// Floats for partial sums over blocks of images (`OperatorCall.partialSums`).
  public var partialSums = 0
  /// Nothing.
  public init() {}
}

/// What a backward reads again from the forward, so that the compiler keeps it alive.
public struct RetainedValues: OptionSet, Sendable {
  /// Bits.
  public let rawValue: Int
  /// From bits.
  public init(rawValue: Int) { self.rawValue = rawValue }
  /// The inputs.
  public static let inputs = RetainedValues(rawValue: 1)
  /// The output.
  public static let output = RetainedValues(rawValue: 2)
}

/// What one forward call sees: n images (any number up to the plan's capacity) and pointers into the arena.
public struct OperatorCall: ~Copyable {
  /// n.
  public let images: Int
  /// Where norm layers take their statistics from.
  public let statistics: NormStatistics
  /// True where somebody wants the moments of norm layers although the statistics do not need them.
  public let reportsMoments: Bool
  /// Shapes of one image.
  public let inputShapes: [Shape]
  /// Shape of one image.
  public let outputShape: Shape
  /// One block of n rows per input.
  public let inputs: UnsafeBufferPointer<UnsafePointer<Float>>
  /// As the graph lists them.
  public let parameters: UnsafeBufferPointer<UnsafePointer<Float>>
  /// n rows to write.
  public let output: UnsafeMutablePointer<Float>
  /// n rows of `keptPerImage` floats, one for each image, that a backward finds again.
  public let keptPerImage: UnsafeMutablePointer<Float>
  /// `keptPerBatch` doubles that a backward finds again.
  public let keptPerBatch: UnsafeMutablePointer<Double>
  /// `partialSums` floats.
  public let partialSums: UnsafeMutablePointer<Float>
  let pool: WorkerPool

  /// Images that one unit of parallel work covers in sums: fixed, so that sums do not depend on the number of threads.
  static let imagesPerBlock = 8

  /// Runs `body` for units 0 ..< count on all workers and waits.
  public func forEachUnit(_ count: Int, _ body: (_ unit: Int, _ scratch: UnsafeMutableRawPointer?) -> Void) {
    pool.run(units: count, body)
  }
  /// Runs `body` for every image on all workers and waits.
  public func forEachImage(_ body: (_ image: Int, _ scratch: UnsafeMutableRawPointer?) -> Void) { pool.run(units: images, body) }
  /// Runs `body` over ranges of values of a whole block of rows, for elementwise work.
  public func forEachRange(of count: Int, _ body: (_ range: Range<Int>) -> Void) {
    pool.forEachRange(of: count, body)
  }
  /// Sums `width` doubles over fixed blocks of images, combined in block order: the same bits for any number of workers.
  /// Each partial sum starts at zero. Needs `width` × blocks doubles, taken for the length of the call.
  public func sum(
    width: Int, into totals: UnsafeMutablePointer<Double>, _ partial: (_ images: Range<Int>, _ sums: UnsafeMutablePointer<Double>) -> Void
  ) {
    let size = Self.imagesPerBlock
    let blocks = (images + size - 1) / size
    withUnsafeTemporaryAllocation(of: Double.self, capacity: max(1, blocks * width)) { sums in
      guard let base = sums.baseAddress else { return }
      base.update(repeating: 0, count: blocks * width)
      pool.run(units: blocks) { block, _ in partial(block * size..<min(images, (block + 1) * size), base + block * width) }
      totals.update(repeating: 0, count: width)
      for block in 0..<blocks {
        for i in 0..<width { totals[i] += base[block * width + i] }
      }
    }
  }
}

/// The gradients of one backward call; a nil pointer is a gradient nobody asked for.
public struct GradientCall: ~Copyable {
  /// The forward's view.
  public let call: OperatorCall
  /// The gradient that arrives: n rows.
  public let outputGradient: UnsafePointer<Float>
  /// Gradients to write, n rows each.
  public let inputGradients: UnsafeBufferPointer<UnsafeMutablePointer<Float>?>
  /// Gradients to write, one per parameter of the node.
  public let parameterGradients: UnsafeBufferPointer<UnsafeMutablePointer<Float>?>
}

/// One kind of layer: the readable path, one file each, plain rows, no knowledge of plans, layouts or fusion.
public protocol Operator: Sendable {
  /// As error messages and `tta inspect` say it.
  static var name: String { get }
  /// The shape for one image, or what is wrong with the inputs.
  func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape
  /// What it needs beyond inputs and output; nothing unless implemented.
  func memory(for inputs: [Shape]) -> OperatorMemory
  /// Multiplications and additions of one image's forward; 0 unless implemented.
  func operations(for inputs: [Shape]) -> Double
  /// True where the results and gradients of an image depend on that image and the parameters alone and nothing is kept per batch, so that images may
  /// come a few at a time; false unless implemented.
  var treatsImagesAlone: Bool { get }
  /// Writes the output.
  func forward(_ call: borrowing OperatorCall)
}

extension Operator {
  /// Nothing.
  public func memory(for inputs: [Shape]) -> OperatorMemory { OperatorMemory() }
  /// 0.
  public func operations(for inputs: [Shape]) -> Double { 0 }
  /// False.
  public var treatsImagesAlone: Bool { false }
}

/// A layer that gradients pass through; a plan that needs the gradient of another kind is refused by name.
public protocol DifferentiableOperator: Operator {
  /// What `backward` reads of the forward.
  func retained(forParameters: Bool) -> RetainedValues
  /// Writes the gradients that were asked for.
  func backward(_ call: borrowing GradientCall)
}

/// A normalisation layer.
public protocol NormOperator: Operator {
  /// `batch`, `group` or `layer`, as `tta inspect` says it.
  var kind: String { get }
  /// True where values depend on the other images of a batch.
  var mixesImages: Bool { get }
}

func wrongInputs(_ name: String, expected: String, got inputs: [Shape]) -> TTAError {
  TTAError(.invalidData, "\(name): expected \(expected), got \(inputs.map(\.description).joined(separator: ", "))")
}
