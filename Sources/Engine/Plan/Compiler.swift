// From a graph to a plan: values, gradients and lifetimes that the readable and the fused path share.

internal import CKernels

/// A result while a plan is compiled: which buffer holds it in which form, and what its gradient is made of.
class PlanValue {
  let shape: Shape
  let requiresGradient: Bool
  init(shape: Shape, requiresGradient: Bool) { (self.shape, self.requiresGradient) = (shape, requiresGradient) }
}

/// A result in plain rows.
final class PlainValue: PlanValue {
  let buffer: BufferID
  /// Gradients that arrived so far, summed up in this buffer.
  var gradient: BufferID?
  /// Whether that buffer is the gradient of another value as well, so that nothing may be added to it.
  var sharesGradient = false
  init(_ buffer: BufferID, shape: Shape, requiresGradient: Bool) {
    self.buffer = buffer
    super.init(shape: shape, requiresGradient: requiresGradient)
  }
}

/// Compiles one plan. Forward steps are emitted in the order of the graph; each leaves an emitter of its backward, run in reverse.
final class Compiler {
  let graph: Graph
  let key: PlanKey
  /// Images the plan has room for.
  let capacity: Int
  private(set) var buffers: [PlannedBuffer] = []
  private var forward: [any PlanStep] = [], backward: [any PlanStep] = []
  private var forwardTouches: [[BufferID]] = [], backwardTouches: [[BufferID]] = []
  private var emitters: [() throws(TTAError) -> Void] = []
  var values: [PlanValue] = []
  var gradientNeeded: [Bool] = []
  /// Nodes that a result depends on; the others are not computed.
  private(set) var isNeeded: [Bool] = []
  var scratchBytes = 0
  private(set) var parameterGradients: [(id: ParameterID, buffer: BufferID, shape: Shape)] = []
  private(set) var moments: [Plan.MomentSource] = []
  let imageValue: PlainValue
  var fusion: FusedLowering?

  private init(_ graph: Graph, _ key: PlanKey, capacity: Int) {
    (self.graph, self.key, self.capacity) = (graph, key, capacity)
    imageValue = PlainValue(.images, shape: graph.inputShape, requiresGradient: key.differentiatesImages)
  }

  static func compile(_ graph: Graph, _ key: PlanKey, capacity: Int) throws(TTAError) -> Plan {
    let compiler = Compiler(graph, key, capacity: capacity)
    try compiler.findNeededNodes()
    compiler.findGradientFrontier()
    if key.lowering != .reference { compiler.fusion = FusedLowering(compiler) }
    for node in graph.nodes.indices {
      let value: PlanValue
      if !compiler.isNeeded[node] {
        value = PlanValue(shape: graph.nodes[node].shape, requiresGradient: false)
      } else if let fused = try compiler.fusion?.lower(node) {
        value = fused
      } else {
        value = try compiler.lowerOperator(node)
      }
      compiler.values.append(value)
    }
    return try compiler.finish()
  }

  // MARK: - Buffers and steps

  func buffer(bytesPerImage: Int = 0, fixedBytes: Int = 0) -> BufferID {
    buffers.append(PlannedBuffer(bytesPerImage: bytesPerImage, fixedBytes: fixedBytes))
    return BufferID(index: buffers.count - 1)
  }
  func rows(_ shape: Shape) -> BufferID { buffer(bytesPerImage: shape.elementCount * 4) }
  /// Adds a forward step that touches the given buffers.
  func emit(_ step: any PlanStep, touching touched: [BufferID]) {
    forward.append(step)
    forwardTouches.append(touched)
  }
  /// The latest forward step touches further buffers, or an earlier one with the given index does.
  func touch(_ touched: [BufferID], inForwardStep step: Int) { forwardTouches[step] += touched }
  var forwardStepCount: Int { forward.count }
  func emitBackward(_ step: any PlanStep, touching touched: [BufferID]) {
    backward.append(step)
    backwardTouches.append(touched)
  }
  /// Registers what has to be emitted when the backward reaches this place.
  func onBackward(_ emitter: @escaping () throws(TTAError) -> Void) {
    if key.needsBackward { emitters.append(emitter) }
  }
  func reserve(scratch bytes: Int) { scratchBytes = max(scratchBytes, bytes) }
  func report(moments source: Plan.MomentSource) { moments.append(source) }

  /// The gradient buffer of a parameter, where it is differentiated.
  func gradientBuffer(_ id: ParameterID) -> BufferID? {
    guard key.differentiated.contains(id) else { return nil }
    let info = graph.parameters[id.index]
    let buffer = buffer(fixedBytes: info.shape.elementCount * 4)
    parameterGradients.append((id, buffer, info.shape))
    return buffer
  }

  // MARK: - Gradients

  private func findNeededNodes() throws(TTAError) {
    isNeeded = Array(repeating: false, count: graph.nodes.count)
    for tap in key.taps { isNeeded[try graph.node(of: tap)] = true }
    for index in graph.nodes.indices.reversed() where isNeeded[index] {
      for input in graph.nodes[index].inputs where input != Graph.images { isNeeded[input] = true }
    }
  }
  private func findGradientFrontier() {
    gradientNeeded = []
    for node in graph.nodes {
      let own = node.parameters.contains { key.differentiated.contains($0) }
      let inherited = node.inputs.contains { $0 == Graph.images ? key.differentiatesImages : gradientNeeded[$0] }
      gradientNeeded.append(own || inherited)
    }
  }
  func value(of input: Int) -> PlanValue { input == Graph.images ? imageValue : values[input] }

  /// The value in plain rows; converts if it lies in another layout.
  func plain(_ value: PlanValue) throws(TTAError) -> PlainValue {
    if let plain = value as? PlainValue { return plain }
    guard let fusion else { throw TTAError(.internal, "a fused value in a plan without fusion") }
    return fusion.plain(value)
  }
  /// A buffer holds a further part of a plain value's gradient; unless it is shared, the compiler may write to it from now on.
  func contribute(_ buffer: BufferID, to value: PlainValue, shared: Bool = false) {
    guard let sum = value.gradient else {
      (value.gradient, value.sharesGradient) = (buffer, shared)
      return
    }
    let target = value.sharesGradient ? (shared ? rows(value.shape) : buffer) : sum
    emitBackward(AddRows(sum, buffer, target, count: value.shape.elementCount), touching: [sum, buffer, target])
    (value.gradient, value.sharesGradient) = (target, false)
  }

  // MARK: - The readable path

  func lowerOperator(_ index: Int) throws(TTAError) -> PlanValue {
    let node = graph.nodes[index]
    var inputs: [PlainValue] = []
    for input in node.inputs { inputs.append(try plain(value(of: input))) }
    let shapes = inputs.map(\.shape)
    let memory = node.operation.memory(for: shapes)
    reserve(scratch: memory.scratchPerWorker)
    let output = PlainValue(rows(node.shape), shape: node.shape, requiresGradient: gradientNeeded[index])
    let binding = OperatorBinding(
      operation: node.operation, name: node.name, inputs: inputs.map(\.buffer), inputShapes: shapes, outputShape: node.shape,
      output: output.buffer, keptPerImage: buffer(bytesPerImage: memory.keptPerImage * 4),
      keptPerBatch: buffer(fixedBytes: memory.keptPerBatch * 8), partialSums: buffer(fixedBytes: memory.partialSums * 4),
      parameters: node.parameters, reportsMoments: key.reportsMoments)
    let kept = [binding.keptPerImage, binding.keptPerBatch, binding.partialSums]
    emit(OperatorForward(binding), touching: binding.inputs + [output.buffer] + kept)
    if (node.operation as? any NormOperator)?.mixesImages == true {
      report(moments: .init(node: index, buffer: binding.keptPerBatch, channels: node.shape[0], positions: node.shape[1] * node.shape[2]))
    }
    guard gradientNeeded[index] else { return output }
    guard let operation = node.operation as? any DifferentiableOperator else {
      throw TTAError(
        .unsupported, "\(node.name): no gradient passes through \(type(of: node.operation).name)",
        hint: "adapt only parameters behind this layer, or use a strategy without gradients")
    }
    onBackward { [self] () throws(TTAError) in
      guard let outputGradient = output.gradient else { return }
      if operation is Add {
        for input in inputs where input.requiresGradient { contribute(outputGradient, to: input, shared: true) }
        return
      }
      var targets: [BufferID?] = []
      for input in inputs { targets.append(input.requiresGradient ? rows(input.shape) : nil) }
      let parameters = node.parameters.map(gradientBuffer)
      let retained = operation.retained(forParameters: parameters.contains { $0 != nil })
      var touched = [outputGradient] + kept + targets.compactMap { $0 } + parameters.compactMap { $0 }
      if retained.contains(.inputs) { touched += binding.inputs }
      if retained.contains(.output) { touched.append(output.buffer) }
      emitBackward(
        OperatorBackward(
          binding, operation, outputGradient: outputGradient, inputGradients: targets, parameterGradients: parameters), touching: touched)
      for (input, target) in zip(inputs, targets) {
        if let target { contribute(target, to: input) }
      }
    }
    return output
  }

  // MARK: - The end

  private func finish() throws(TTAError) -> Plan {
    var outputs: [(tap: Tap, buffer: BufferID, shape: Shape)] = []
    var seeds: [(tap: Tap, buffer: BufferID, count: Int)?] = []
    for tap in key.taps {
      let node = try graph.node(of: tap)
      let value = try plain(values[node])
      outputs.append((tap, value.buffer, graph.nodes[node].shape))
      guard key.needsBackward, value.requiresGradient else {
        seeds.append(nil)
        continue
      }
      let seed = rows(value.shape)
      seeds.append((tap, seed, value.shape.elementCount))
    }
    let forwardEnd = forward.count
    for (output, seed) in zip(outputs, seeds) {
      guard let seed, let value = try plain(values[graph.node(of: output.tap)]) as PlainValue? else { continue }
      contribute(seed.buffer, to: value)
    }
    for emitter in emitters.reversed() { try emitter() }

    // Outputs are read when the forward is done; seeds are written before the backward; parameter gradients are read at the end.
    for (step, touched) in forwardTouches.enumerated() { live(touched, at: step) }
    live(outputs.map(\.buffer), at: forwardEnd)
    live(moments.map(\.buffer), at: forwardEnd)
    live(seeds.compactMap { $0?.buffer }, at: forwardEnd)
    for (step, touched) in backwardTouches.enumerated() { live(touched, at: forwardEnd + 1 + step) }
    let end = forwardEnd + 1 + backward.count
    live(parameterGradients.map(\.buffer), at: end)
    if let gradient = imageValue.gradient { live([gradient], at: end) }
    return Plan(
      key: key, capacity: capacity, forward: forward, backward: backward, buffers: buffers, scratchBytes: scratchBytes, outputs: outputs,
      seeds: seeds, parameterGradients: parameterGradients, imageGradient: imageValue.gradient, moments: moments)
  }
  private func live(_ touched: [BufferID], at step: Int) {
    for buffer in touched where buffer != .images {
      buffers[buffer.index].first = min(buffers[buffer.index].first, step)
      buffers[buffer.index].last = max(buffers[buffer.index].last, step)
    }
  }
}
