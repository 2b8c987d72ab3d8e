// Steps that run a few images at a time, so that what only they use takes the room of a few images.

/// Steps that run one after the other for some images, then for the next ones.
final class StepsInParts: PlanStep {
  let steps: [any PlanStep]
  /// Images that go through the steps together, at most.
  let mostImages: Int
  init(_ steps: [any PlanStep], mostImages: Int) { (self.steps, self.mostImages) = (steps, mostImages) }
  var label: String { steps.map(\.label).joined(separator: "; ") }
  func run(_ frame: borrowing Frame) { run(frame) { $0.run($1) } }
  /// Prepares all steps, then hands out each step with its images.
  func run(_ frame: borrowing Frame, _ body: (any PlanStep, borrowing Frame) -> Void) {
    for step in steps { step.prepare(frame) }
    let parts = (frame.images + mostImages - 1) / mostImages
    guard parts > 0 else { return }
    let size = (frame.images + parts - 1) / parts
    for first in stride(from: 0, to: frame.images, by: size) {
      let part = frame.part(first, count: min(size, frame.images - first))
      for step in steps { body(step, part) }
    }
  }
}

/// Steps of a plan in order with the buffers they touch, grouped where that saves memory.
struct StepSequence {
  var steps: [any PlanStep] = []
  var touches: [[BufferID]] = []
  /// Groups of steps from the last one to the first, with the images that go through each together.
  private var parts: [(span: ClosedRange<Int>, mostImages: Int)] = []

  mutating func append(_ step: any PlanStep, touching touched: [BufferID]) {
    steps.append(step)
    touches.append(touched)
  }

  /// Room that the largest buffer of a group may take: near the caches, yet rows enough for the products to be fast.
  private static let partBytes = 16 << 20

  /// Groups neighbouring steps that hand each other values nobody else uses, and gives those buffers the room of a few images. `isPrivate` says whether
  /// only these steps touch a buffer.
  mutating func group(_ buffers: inout [PlannedBuffer], capacity: Int, isPrivate: (BufferID) -> Bool) {
    var spans: [BufferID: ClosedRange<Int>] = [:]
    for (index, touched) in touches.enumerated() {
      for buffer in touched where buffer != .images { spans[buffer] = (spans[buffer]?.lowerBound ?? index)...index }
    }
    let inside = spans.filter { buffer, span in
      buffers[buffer.index].bytesPerImage > 0 && buffers[buffer.index].fixedBytes == 0 && span.count > 1 && isPrivate(buffer)
        && span.allSatisfy { steps[$0].takesImagesInParts }
    }
    var groups: [(span: ClosedRange<Int>, members: [BufferID])] = []
    for (buffer, span) in inside.sorted(by: { ($0.value.lowerBound, $0.key.index) < ($1.value.lowerBound, $1.key.index) }) {
      if let last = groups.last, last.span.upperBound >= span.lowerBound {
        groups[groups.count - 1].span = last.span.lowerBound...max(last.span.upperBound, span.upperBound)
        groups[groups.count - 1].members.append(buffer)
      } else {
        groups.append((span, [buffer]))
      }
    }
    for (span, members) in groups.reversed() {
      let largest = members.reduce(1) { max($0, buffers[$1.index].bytesPerImage) }
      let most = max(1, Self.partBytes / largest)
      guard most < capacity else { continue }
      for buffer in members { buffers[buffer.index].mostImages = most }
      // What holds all images has to last from the first part of the images to the last one.
      let whole = Set(touches[span].joined()).subtracting(members)
      touches[span.lowerBound] += whole
      touches[span.upperBound] += whole
      parts.append((span, most))
    }
  }
  /// The steps with the groups as one step each.
  var grouped: [any PlanStep] {
    var result = steps
    for (span, most) in parts { result.replaceSubrange(span, with: [StepsInParts(Array(steps[span]), mostImages: most)]) }
    return result
  }
  /// Values behind the last of the grouped steps that touch their buffers.
  func placing<Value>(_ values: [Value], by buffer: (Value) -> BufferID) -> [[Value]] {
    var last: [BufferID: Int] = [:]
    for (index, touched) in touches.enumerated() {
      for buffer in touched { last[buffer] = index }
    }
    // Where each step lies among the grouped ones.
    var places = Array(steps.indices)
    for (span, _) in parts {
      for index in places.indices where index > span.lowerBound { places[index] -= min(index, span.upperBound) - span.lowerBound }
    }
    var result = [[Value]](repeating: [], count: grouped.count)
    for value in values {
      if let step = last[buffer(value)] { result[places[step]].append(value) }
    }
    return result
  }
}
