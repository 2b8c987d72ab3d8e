// Which convolutions the backward computes again.

internal import CKernels

/// Chooses convolutions whose outputs the backward computes again instead of reading what the forward kept, and puts them into the backward.
///
/// A norm takes its gradient from its input, the raw output of a convolution: those outputs are most of what a step keeps. One can go where what the
/// convolution reads is kept anyway, or is much smaller: the last convolution of a bottleneck (four times as wide as its input), the first and the
/// depthwise one of an inverted bottleneck (six times as wide as the block's input), the second one of a basic block, a stem. The same kernel on the
/// same numbers gives the same bits. Each float that is saved costs as many multiplications as the convolution has summands: those with the fewest come
/// first, those with many only as long as all of them together are a small part of the step's multiplications. The others are kept, as small outputs
/// are, unless memory is all that matters.
///
/// Steps name such a buffer as before; in the backward it lies elsewhere in the arena than in the forward.
struct ConvolutionsComputedAgain {
  /// Convolutions of more summands, all 3×3 convolutions of 32 channels and more and 1×1 ones of the last stage, are computed again only while what is
  /// computed again is at most this part of the multiplications of forward and backward.
  private static let mostSummands = 256, largestPart = 0.125
  /// Outputs that take fewer bytes per image stay: a rule that knew the batch would bend the line of memory against batch.
  private static let leastBytes = 256 << 10
  /// A multiplication of a depthwise convolution takes as long as four of another one.
  private static let depthwiseFactor = 4
  /// What has to be kept longer for the sake of an output is at most half as large.
  private static let mostExtension = 0.5

  private struct Candidate {
    let step: ConvolutionForward
    let output: BufferID
    /// Operations per image.
    let work: Double
    /// What it reads, but for the batch of images.
    let inputs: [BufferID]
    let summands: Int
    /// The step of the backward that has to find it.
    var needed: Int
  }
  private var chosen: [BufferID: Candidate] = [:]
  /// The outputs chosen that are computed from a buffer.
  private var dependents: [BufferID: [BufferID]] = [:]
  /// The last step of the backward that reads what the forward left in a buffer.
  private var lastRead: [BufferID: Int] = [:]
  private let compiler: Compiler

  /// Puts the steps into the backward; returns the buffers with those that stand for them there.
  static func insert(into backward: inout StepSequence, behind forward: StepSequence, _ compiler: Compiler) -> [BufferID: BufferID] {
    guard compiler.key.recomputation != .never else { return [:] }
    var choice = Self(compiler)
    choice.choose(forward, backward)
    return choice.insert(into: &backward)
  }
  private init(_ compiler: Compiler) { self.compiler = compiler }

  private mutating func choose(_ forward: StepSequence, _ backward: StepSequence) {
    var firstRead: [BufferID: Int] = [:]
    for (index, touched) in backward.touches.enumerated() {
      for buffer in touched {
        firstRead[buffer] = firstRead[buffer] ?? index
        lastRead[buffer] = index
      }
    }
    var candidates: [Candidate] = []
    // The backward takes about as long as the forward.
    var workLeft = Self.largestPart * 2 * forward.steps.reduce(0) { $0 + (($1 as? ConvolutionForward)?.work ?? 0) }
    let all = compiler.key.recomputation == .always
    for case let step as ConvolutionForward in forward.steps where step.epilogue.addend == nil {
      let output = step.epilogue.output
      guard let needed = firstRead[output] else { continue }
      let shape = step.conv.shape
      let summands = Int(shape.kernel_height * shape.kernel_width) * (shape.depthwise ? Self.depthwiseFactor : Int(shape.channels))
      guard all || compiler.buffers[output.index].bytesPerImage >= Self.leastBytes else { continue }
      candidates.append(
        Candidate(
          step: step, output: output, work: step.work, inputs: step.keptOperand.touched.filter { $0 != .images }, summands: summands,
          needed: needed))
    }
    for candidate in candidates.sorted(by: { ($0.summands, $0.output.index) < ($1.summands, $1.output.index) }) {
      guard all || candidate.summands <= Self.mostSummands || candidate.work <= workLeft else { continue }
      if consider(candidate) { workLeft -= candidate.work }
    }
  }
  /// Chooses a convolution if that saves memory, and says whether it does. At most two are computed from one another: a longer chain would lie in memory as a whole.
  private mutating func consider(_ candidate: Candidate) -> Bool {
    var candidate = candidate
    let others = candidate.inputs.compactMap { chosen[$0] }
    let behind = dependents[candidate.output, default: []].compactMap { chosen[$0] }
    guard others.allSatisfy({ !computedFromAnother($0) }), others.isEmpty || behind.isEmpty,
      behind.allSatisfy({ dependents[$0.output, default: []].isEmpty })
    else { return false }
    candidate.needed = behind.reduce(candidate.needed) { min($0, $1.needed) }
    let extended = candidate.inputs.filter { chosen[$0] == nil && lastRead[$0, default: -1] < candidate.needed }
    guard Double(extended.reduce(0) { $0 + bytes($1) }) <= Self.mostExtension * Double(bytes(candidate.output)) else { return false }
    for input in candidate.inputs {
      dependents[input, default: []].append(candidate.output)
      if let needed = chosen[input]?.needed {
        chosen[input]?.needed = min(needed, candidate.needed)
      } else {
        lastRead[input] = max(lastRead[input, default: -1], candidate.needed)
      }
    }
    chosen[candidate.output] = candidate
    return true
  }
  private func computedFromAnother(_ candidate: Candidate) -> Bool { candidate.inputs.contains { chosen[$0] != nil } }
  private func bytes(_ buffer: BufferID) -> Int { compiler.buffers[buffer.index].bytes(images: compiler.capacity) }

  private func insert(into backward: inout StepSequence) -> [BufferID: BufferID] {
    var places: [BufferID: BufferID] = [:]
    func order(_ candidate: Candidate) -> (Int, Int, Int) {
      (candidate.needed, computedFromAnother(candidate) ? 1 : 0, candidate.output.index)
    }
    let ordered = chosen.values.sorted { order($0) < order($1) }
    for candidate in ordered {
      places[candidate.output] = compiler.buffer(bytesPerImage: compiler.buffers[candidate.output.index].bytesPerImage)
    }
    var result = StepSequence()
    var next = ordered[...]
    for (index, step) in backward.steps.enumerated() {
      while let candidate = next.first, candidate.needed == index {
        next.removeFirst()
        let transient = candidate.step.source.transient.map { compiler.buffer(fixedBytes: compiler.buffers[$0.index].fixedBytes) }
        let again = candidate.step.computedAgain(packingInto: transient)
        result.append(
          again,
          touching: (candidate.step.keptOperand.touched + again.epilogue.touched + [transient].compactMap { $0 }).map { places[$0] ?? $0 })
      }
      result.append(step, touching: backward.touches[index].map { places[$0] ?? $0 })
    }
    backward = result
    return places
  }
}
