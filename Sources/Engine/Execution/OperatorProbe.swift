// One operator by itself, for tests.

internal import CKernels

/// Runs one operator on its own, the readable path: several inputs, all gradients. For tests and for authors of operators.
public struct OperatorProbe {
  /// What a run gave.
  public struct Result {
    /// One row per image.
    public var output: Tensor
    /// One gradient per input and per parameter.
    public var inputGradients: [Tensor], parameterGradients: [Tensor]
  }
  private let pool: WorkerPool
  /// A probe with worker threads of its own.
  public init(threads: Int = 1) { pool = WorkerPool(threads: threads) }

  /// Forward, and backward from `outputGradient` where the operator has one. Inputs have an axis of images in front.
  public func run(
    _ operation: any Operator, inputs: [Tensor], parameters: [Tensor] = [], statistics: NormStatistics = .stored,
    outputGradient: Tensor? = nil
  ) throws(TTAError) -> Result {
    let shapes = inputs.map { Shape(Array($0.shape.dimensions.dropFirst())) }
    let images = inputs.first?.count ?? 0
    let outputShape = try operation.outputShape(for: shapes)
    let memory = operation.memory(for: shapes)
    try pool.reserve(scratchBytes: memory.scratchPerWorker)
    var result = Result(
      output: Tensor(zeros: Shape([images] + outputShape.dimensions)), inputGradients: inputs.map { Tensor(zeros: $0.shape) },
      parameterGradients: parameters.map { Tensor(zeros: $0.shape) })
    let kept = Tensor(zeros: [max(1, memory.keptPerImage * images)])
    let batch = Tensor(zeros: [max(1, 2 * memory.keptPerBatch)])
    let partial = Tensor(zeros: [max(1, memory.partialSums)])
    let sources = inputs.map { UnsafePointer($0.storage.pointer) }
    let values = parameters.map { UnsafePointer($0.storage.pointer) }
    let inputTargets = result.inputGradients.map { Optional($0.storage.pointer) }
    let parameterTargets = result.parameterGradients.map { Optional($0.storage.pointer) }
    let output = result.output
    sources.withUnsafeBufferPointer { sources in
      values.withUnsafeBufferPointer { values in
        func call() -> OperatorCall {
          OperatorCall(
            images: images, statistics: statistics, reportsMoments: false, inputShapes: shapes, outputShape: outputShape, inputs: sources,
            parameters: values, output: output.storage.pointer, keptPerImage: kept.storage.pointer,
            keptPerBatch: UnsafeMutableRawPointer(batch.storage.pointer).assumingMemoryBound(to: Double.self),
            partialSums: partial.storage.pointer, pool: pool)
        }
        operation.forward(call())
        guard let outputGradient, let operation = operation as? any DifferentiableOperator else { return }
        inputTargets.withUnsafeBufferPointer { inputTargets in
          parameterTargets.withUnsafeBufferPointer { parameterTargets in
            outputGradient.withPointer { arriving in
              operation.backward(
                GradientCall(
                  call: call(), outputGradient: arriving, inputGradients: inputTargets, parameterGradients: parameterTargets))
            }
          }
        }
      }
    }
    withExtendedLifetime((inputs, parameters, kept, batch, partial)) {}
    result.output = output
    return result
  }
}
