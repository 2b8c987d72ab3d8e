// Steps of the readable path: one operator each, plain layout.

internal import CKernels

/// Which buffers an operator's call reads and writes.
struct OperatorBinding: Sendable {
  let operation: any Operator
  let name: String
  var inputs: [BufferID]
  let inputShapes: [Shape], outputShape: Shape
  var output: BufferID
  let keptPerImage: BufferID, keptPerBatch: BufferID, partialSums: BufferID
  let parameters: [ParameterID]
  let reportsMoments: Bool

  func call(_ frame: borrowing Frame, _ body: (borrowing OperatorCall) -> Void) {
    withUnsafeTemporaryAllocation(of: UnsafePointer<Float>.self, capacity: inputs.count + parameters.count) { table in
      for (i, input) in inputs.enumerated() { table[i] = frame.reading(input) }
      for (i, id) in parameters.enumerated() { table[inputs.count + i] = frame.parameters.pointer(id) }
      body(
        OperatorCall(
          images: frame.images, statistics: frame.statistics, reportsMoments: reportsMoments, inputShapes: inputShapes,
          outputShape: outputShape, inputs: UnsafeBufferPointer(rebasing: table[..<inputs.count]),
          parameters: UnsafeBufferPointer(rebasing: table[inputs.count...]), output: frame.floats(output),
          keptPerImage: frame.floats(keptPerImage), keptPerBatch: frame.doubles(keptPerBatch), partialSums: frame.floats(partialSums),
          pool: frame.pool))
    }
  }
}

final class OperatorForward: PlanStep {
  let binding: OperatorBinding
  /// What the label says behind the operator.
  let note: String
  init(_ binding: OperatorBinding, note: String = "") { (self.binding, self.note) = (binding, note) }
  var label: String { "\(binding.name): \(type(of: binding.operation).name)\(note)" }
  var takesImagesInParts: Bool { binding.operation.treatsImagesAlone }
  func run(_ frame: borrowing Frame) { binding.call(frame) { binding.operation.forward($0) } }
}

final class OperatorBackward: PlanStep {
  let binding: OperatorBinding
  let operation: any DifferentiableOperator
  let outputGradient: BufferID
  let inputGradients: [BufferID?], parameterGradients: [BufferID?]

  init(
    _ binding: OperatorBinding, _ operation: any DifferentiableOperator, outputGradient: BufferID, inputGradients: [BufferID?],
    parameterGradients: [BufferID?]
  ) {
    (self.binding, self.operation, self.outputGradient) = (binding, operation, outputGradient)
    (self.inputGradients, self.parameterGradients) = (inputGradients, parameterGradients)
  }
  var label: String { "\(binding.name): \(type(of: binding.operation).name) backward" }
  var takesImagesInParts: Bool { operation.treatsImagesAlone && parameterGradients.allSatisfy { $0 == nil } }
  func run(_ frame: borrowing Frame) {
    let count = inputGradients.count
    withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<Float>?.self, capacity: count + parameterGradients.count) { table in
      for (i, buffer) in inputGradients.enumerated() { table[i] = buffer.map { frame.floats($0) } }
      for (i, buffer) in parameterGradients.enumerated() { table[count + i] = buffer.map { frame.floats($0) } }
      binding.call(frame) { call in
        operation.backward(
          GradientCall(
            call: OperatorCall(
              images: call.images, statistics: call.statistics, reportsMoments: call.reportsMoments, inputShapes: call.inputShapes,
              outputShape: call.outputShape, inputs: call.inputs, parameters: call.parameters, output: call.output,
              keptPerImage: call.keptPerImage, keptPerBatch: call.keptPerBatch, partialSums: call.partialSums, pool: call.pool),
            outputGradient: frame.reading(outputGradient), inputGradients: UnsafeBufferPointer(rebasing: table[..<count]),
            parameterGradients: UnsafeBufferPointer(rebasing: table[count...])))
      }
    }
  }
}

/// target ← first + second, plain rows; the target may be one of them.
final class AddRows: PlanStep {
  let first: BufferID, second: BufferID, target: BufferID, count: Int
  init(_ first: BufferID, _ second: BufferID, _ target: BufferID, count: Int) {
    (self.first, self.second, self.target, self.count) = (first, second, target, count)
  }
  var label: String { "add gradients" }
  var takesImagesInParts: Bool { true }
  func run(_ frame: borrowing Frame) {
    let (x, y, out, total) = (frame.floats(first), frame.floats(second), frame.floats(target), count * frame.images)
    frame.pool.forEachRange(of: total) { ck_add(x + $0.lowerBound, y + $0.lowerBound, out + $0.lowerBound, $0.count) }
  }
}
