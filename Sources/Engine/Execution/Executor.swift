// Runs plans: arena, scratch and worker threads for one batch at a time.

internal import CKernels

#if canImport(Glibc)
  import Glibc
#endif

/// Arena, scratch and worker threads for one batch at a time. Not Sendable: belongs to one task or thread, which lends it to any runtime.
///
/// A steady-state step allocates nothing but the tensors it hands out; regions of the arena are kept and reused.
public final class Executor {
  /// What plans may use.
  public let lowering: Lowering
  /// What backwards compute again.
  public let recomputation: Recomputation
  /// How factors of products with frozen weights are rounded.
  public let precision: Precision
  /// Bytes that a part of a batch may keep for its backward.
  package var mostPartBytes = 512 << 20
  /// Number of worker threads, the calling one included.
  public var threads: Int { pool.threads }
  let pool: WorkerPool
  private var freeRegions: [RegionMemory] = []
  /// Gradients of an earlier step of the same network: the next ones take their memory, so that a step over all weights allocates none.
  private var spare = (program: Program?.none, gradients: Gradients())
  /// What was computed so far, for counting the cost of methods.
  public private(set) var work = Work()
  /// Forwards and backwards, and the images that went through them.
  public struct Work: Sendable, Equatable {
    /// Calls.
    public var forwards = 0, backwards = 0
    /// Images of all calls.
    public var forwardImages = 0, backwardImages = 0
    /// Counts.
    public init(forwards: Int = 0, backwards: Int = 0, forwardImages: Int = 0, backwardImages: Int = 0) {
      (self.forwards, self.backwards) = (forwards, backwards)
      (self.forwardImages, self.backwardImages) = (forwardImages, backwardImages)
    }
  }
  /// Seconds per step label, collected while not nil.
  public var profile: [String: Double]?

  /// An executor with its own threads; they default to the processors this process may use.
  public init(
    threads: Int? = nil, lowering: Lowering = .fast, recomputation: Recomputation = .automatic, precision: Precision = .single
  ) {
    pool = WorkerPool(threads: threads ?? Self.processorCount)
    (self.lowering, self.recomputation, self.precision) = (lowering, recomputation, precision)
  }
  /// Processors this process may use.
  public static var processorCount: Int { Int(ck_processor_count()) }
  /// Bytes of arena in existence.
  public private(set) var arenaBytes = 0

  // MARK: - Regions

  /// A piece of memory with huge pages advised.
  struct RegionMemory { var base: UnsafeMutableRawPointer, bytes: Int }

  /// Memory of one live pass; goes back to the executor when dropped.
  struct Region: ~Copyable {
    let memory: RegionMemory
    let executor: Executor
    deinit { executor.freeRegions.append(memory) }
  }
  func takeRegion(_ bytes: Int) throws(TTAError) -> Region {
    let fitting = freeRegions.indices.filter { freeRegions[$0].bytes >= bytes }
    if let best = fitting.min(by: { freeRegions[$0].bytes < freeRegions[$1].bytes }) {
      return Region(memory: freeRegions.remove(at: best), executor: self)
    }
    // A larger plan replaces the largest region that is free but too small.
    if let largest = freeRegions.indices.max(by: { freeRegions[$0].bytes < freeRegions[$1].bytes }) {
      let old = freeRegions.remove(at: largest)
      munmap(old.base, old.bytes)
      arenaBytes -= old.bytes
    }
    let page = 1 << 21
    let size = max(page, (bytes + page - 1) / page * page)
    guard let base = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), base != MAP_FAILED else {
      throw TTAError(.internal, "out of memory: an arena of \(size >> 20) MB", hint: "use a smaller batch")
    }
    madvise(base, size, MADV_HUGEPAGE)
    arenaBytes += size
    return Region(memory: RegionMemory(base: base, bytes: size), executor: self)
  }
  deinit { for region in freeRegions { munmap(region.base, region.bytes) } }

  // MARK: - Forward and backward

  /// A forward that keeps nothing. Throws for images of another shape than the graph's and for unknown taps.
  public func forward(
    _ images: Tensor, _ program: Program, at parameters: Parameters, _ options: ForwardOptions
  ) throws(TTAError) -> Output {
    try record(images, program, at: parameters, differentiating: .empty, options).output
  }

  /// A forward that a backward may follow, which computes again what `recomputation` says; the executor's, unless given.
  public func record(
    _ images: Tensor, _ program: Program, at parameters: Parameters, differentiating set: ParameterSet, _ options: ForwardOptions,
    recomputation: Recomputation? = nil
  ) throws(TTAError) -> Pass {
    guard images.shape.dimensions.dropFirst() == program.graph.inputShape.dimensions[...], images.shape.rank > 0 else {
      throw TTAError(.invalidData, "images: expected n×\(program.graph.inputShape), got \(images.shape)")
    }
    let parameters = try program.graph.applying(options.inputs, to: parameters)
    let key = PlanKey(options, set, lowering, recomputation ?? self.recomputation, precision, images: images.count)
    let plan = try program.plan(for: key, images: max(1, images.count))
    try pool.reserve(scratchBytes: plan.scratchBytes)
    let region = try takeRegion(plan.arenaBytes)
    let base = region.memory.base
    work.forwards += 1
    work.forwardImages += images.count
    images.withPointer { input in
      let frame = Frame(
        places: plan.places, program: program, images: images.count, firstImage: 0, statistics: options.statistics, input: input,
        base: base, parameters: parameters, pool: pool)
      for step in plan.forward { run(step, frame) }
    }
    let output = collect(plan, program.graph, base, images: images.count, options)
    return Pass(output: output, plan: plan, program: program, images: images, parameters: parameters, options: options, region: region)
  }

  private func collect(_ plan: Plan, _ graph: Graph, _ base: UnsafeMutableRawPointer, images: Int, _ options: ForwardOptions) -> Output {
    var taps: [Tap: Tensor] = [:]
    for output in plan.outputs {
      var tensor = Tensor(uninitialized: Shape([images] + output.shape.dimensions))
      tensor.withMutablePointer {
        $0.update(
          from: (base + plan.places.offsets[output.buffer.index]).assumingMemoryBound(to: Float.self),
          count: images * output.shape.elementCount)
      }
      taps[output.tap] = tensor
    }
    var moments = NormMoments()
    if options.reportsMoments {
      for source in plan.moments {
        let values = (base + plan.places.offsets[source.buffer.index]).assumingMemoryBound(to: Double.self)
        let node = graph.nodes[source.node]
        moments.layers.append(
          .init(
            name: node.name, runningMean: node.parameters.count > 2 ? node.parameters[2] : nil,
            runningVariance: node.parameters.count > 3 ? node.parameters[3] : nil,
            mean: (0..<source.channels).map { values[$0] }, variance: (0..<source.channels).map { values[source.channels + $0] },
            count: images * source.positions))
      }
    }
    guard let logits = taps[options.scores] else { fatalError("a plan without scores") }
    return Output(logits: logits, taps: taps, moments: moments)
  }

  /// The backward of a pass, added to `gradients`. Images of which no output has a gradient leave the pass before, where no layer mixes images and nobody asked
  /// for gradients of images: what is kept of the others moves together. Throws for a gradient of a tap that the pass did not hand out.
  public func backpropagate(
    _ pass: consuming Pass, from gradient: OutputGradient, into gradients: inout Gradients
  ) throws(TTAError) {
    let plan = pass.plan
    let base = pass.region.memory.base
    for tap in gradient.taps.keys where !plan.key.taps.contains(tap) {
      throw TTAError(.internal, "a gradient of \"\(tap.name)\", which the pass did not hand out")
    }
    for case let seed? in plan.seeds {
      guard let tensor = gradient.taps[seed.tap], tensor.elementCount != pass.images.count * seed.count else { continue }
      throw TTAError(.internal, "gradient of \"\(seed.tap.name)\": expected \(pass.images.count)×\(seed.count), got \(tensor.shape)")
    }
    let rows = pass.rowsWithGradient(gradient)
    if let rows { pass.gather(rows, on: pool) }
    let images = if let rows, plan.backwardReadsImages { pass.images[rows] } else { pass.images }
    let count = rows?.count ?? pass.images.count
    work.backwards += 1
    work.backwardImages += count
    for case let seed? in plan.seeds {
      let target = (base + plan.places.offsets[seed.buffer.index]).assumingMemoryBound(to: Float.self)
      guard let tensor = gradient.taps[seed.tap] else {
        target.update(repeating: 0, count: count * seed.count)
        continue
      }
      tensor.withPointer { source in
        for slot in 0..<count { (target + slot * seed.count).update(from: source + (rows?[slot] ?? slot) * seed.count, count: seed.count) }
      }
    }
    let (program, parameters, statistics) = (pass.program, pass.parameters, pass.options.statistics)
    if spare.program !== program { spare = (program, Gradients()) }
    images.withPointer { input in
      let frame = Frame(
        places: plan.backwardPlaces, program: program, images: count, firstImage: 0, statistics: statistics, input: input, base: base,
        parameters: parameters, pool: pool)
      for (step, completed) in zip(plan.backward, plan.completedGradients) {
        run(step, frame)
        for gradient in completed {
          gradients.add(frame.floats(gradient.buffer), shape: gradient.shape, to: gradient.id, reusing: &spare.gradients)
        }
      }
    }
    if let buffer = plan.imageGradient {
      var tensor = Tensor(uninitialized: pass.images.shape)
      let values = tensor.elementCount
      tensor.withMutablePointer {
        $0.update(from: (base + plan.places.offsets[buffer.index]).assumingMemoryBound(to: Float.self), count: values)
      }
      gradients.images = tensor
    }
  }

  /// Takes gradients that were the last ones handed out and are not needed any more.
  package func recycle(_ gradients: Gradients) { spare.gradients = gradients }

  private func run(_ step: any PlanStep, _ frame: borrowing Frame) {
    if let group = step as? StepsInParts { return group.run(frame) { runPrepared($0, $1) } }
    step.prepare(frame)
    runPrepared(step, frame)
  }
  private func runPrepared(_ step: any PlanStep, _ frame: borrowing Frame) {
    guard profile != nil else { return step.run(frame) }
    let start = ContinuousClock.now
    step.run(frame)
    let elapsed = start.duration(to: .now)
    profile?[step.label, default: 0] += Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
  }
}

/// A forward that kept what its backward needs. It owns a region of the arena until consumed or dropped; several may be alive,
/// each with its own images, statistics and parameters. Keep none across a step: it holds the parameters, and the step would copy.
public struct Pass: ~Copyable {
  /// What it computed.
  public let output: Output
  let plan: Plan
  let program: Program
  let images: Tensor
  let parameters: Parameters
  let options: ForwardOptions
  let region: Executor.Region
}
