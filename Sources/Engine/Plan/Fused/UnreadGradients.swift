// Gradients that nobody reads.

/// A step of the backward that writes a gradient through an epilogue.
protocol GradientStep: PlanStep {
  /// Changed only while the plan is compiled.
  var epilogue: EpilogueSpecification { get set }
}

extension StepSequence {
  /// Keeps gradients that no other step touches out of memory: in front of the first adapted norm, behind a frozen stem, only the sums over a
  /// gradient are wanted. `isReadElsewhere` says whether the forward or the caller knows a buffer.
  mutating func leaveOutUnreadGradients(isReadElsewhere: (BufferID) -> Bool) {
    var steps: [BufferID: Int] = [:]
    for touched in touches {
      for buffer in Set(touched) { steps[buffer, default: 0] += 1 }
    }
    for index in self.steps.indices {
      guard let step = self.steps[index] as? any GradientStep else { continue }
      let output = step.epilogue.output
      guard steps[output] == 1, step.epilogue.addend != output, !isReadElsewhere(output) else { continue }
      step.epilogue.isUnread = true
      touches[index].removeAll { $0 == output }
    }
  }
}
