// From a graph to a plan: values, gradients and lifetimes that the readable and the fused path share.

internal import CKernels

/// A result while a plan is compiled: which buffer holds it in which form, and what its gradient is made of.
class PlanValue {
  let shape: Shape
  let requiresGradient: Bool
  init(shape: Shape, requiresGradient: Bool) { (self.shape, self.requiresGradient) = (shape, requiresGradient) }
}

/// A result in plain rows.
class PlainValue: PlanValue {
  let buffer: BufferID
  /// Emits steps that compute it once more in the backward, and gives the buffer that then holds it.
  var recipe: (() throws(TTAError) -> BufferID)?
  /// False where the backward follows the recipe instead of reading what the forward left; then the buffer, once it did.
  var isKept = true, again: BufferID?
  /// Whether the recipe is one pass over values.
  var isCheap = false
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
  private var forward = StepSequence(), backward = StepSequence()
  private var emitters: [() throws(TTAError) -> Void] = []
  var values: [PlanValue] = []
  var gradientNeeded: [Bool] = []
  /// Nodes that a result depends on; the others are not computed.
  private(set) var isNeeded: [Bool] = []
  /// Needed nodes that read a node; -1 for a result that is handed out.
  private(set) var readers: [[Int]] = []
  /// The only token of a node that anybody reads, where there is one.
  private var selected: [Int?] = []
  private var selections: [ObjectIdentifier: PlainValue] = [:]
  var scratchBytes = 0
  private var parameterGradients: [Plan.ParameterGradient] = []
  private(set) var moments: [Plan.MomentSource] = []
  /// Packed weights that last from batch to batch, in the order of their layers.
  private(set) var keptPacked: [Plan.PackedWeight] = []
  private var packedForEachRun: Set<ParameterID> = []
  let imageValue: PlainValue
  var fusion: FusedLowering?
  private var rowFusion: RowLowering?

  private init(_ graph: Graph, _ key: PlanKey, capacity: Int) {
    (self.graph, self.key, self.capacity) = (graph, key, capacity)
    imageValue = PlainValue(.images, shape: graph.inputShape, requiresGradient: key.differentiatesImages)
  }

  static func compile(_ graph: Graph, _ key: PlanKey, capacity: Int) throws(TTAError) -> Plan {
    let compiler = Compiler(graph, key, capacity: capacity)
    defer { compiler.forget() }
    try compiler.findNeededNodes()
    compiler.findGradientFrontier()
    if key.lowering != .reference {
      compiler.selected = TokenSelection.find(in: graph, readers: compiler.readers)
      (compiler.fusion, compiler.rowFusion) = (FusedLowering(compiler), RowLowering(compiler))
    }
    for node in graph.nodes.indices {
      let value: PlanValue
      if !compiler.isNeeded[node] {
        value = PlanValue(shape: graph.nodes[node].shape, requiresGradient: false)
      } else if let alias = compiler.selectedAlready(node) {
        value = alias
      } else if let fused = try compiler.rowFusion?.lower(node) {
        value = fused
      } else if compiler.selected[node] == nil, let fused = try compiler.fusion?.lower(node) {
        value = fused
      } else {
        value = try compiler.lowerOperator(node)
      }
      compiler.values.append(value)
    }
    return try compiler.finish()
  }

  /// Lets go of closures that hold the compiler.
  private func forget() { (emitters, values, selections) = ([], [], [:]) }

  // MARK: - Buffers and steps

  func buffer(bytesPerImage: Int = 0, fixedBytes: Int = 0) -> BufferID {
    buffers.append(PlannedBuffer(bytesPerImage: bytesPerImage, fixedBytes: fixedBytes))
    return BufferID(index: buffers.count - 1)
  }
  func rows(_ shape: Shape) -> BufferID { buffer(bytesPerImage: shape.elementCount * 4) }
  /// Adds a forward step that touches the given buffers.
  func emit(_ step: any PlanStep, touching touched: [BufferID]) {
    forward.append(step, touching: touched)
  }
  /// The latest forward step touches further buffers, or an earlier one with the given index does.
  func touch(_ touched: [BufferID], inForwardStep step: Int) { forward.touches[step] += touched }
  var forwardStepCount: Int { forward.steps.count }
  func emitBackward(_ step: any PlanStep, touching touched: [BufferID]) {
    backward.append(step, touching: touched)
  }
  /// Registers what has to be emitted when the backward reaches this place.
  func onBackward(_ emitter: @escaping () throws(TTAError) -> Void) {
    if key.needsBackward { emitters.append(emitter) }
  }
  func reserve(scratch bytes: Int) { scratchBytes = max(scratchBytes, bytes) }
  func report(moments source: Plan.MomentSource) { moments.append(source) }
  func keep(packed: Plan.PackedWeight) { keptPacked.append(packed) }
  /// A step packs a weight, or reads it as it is, at every run.
  func reads(_ weight: ParameterID) { packedForEachRun.insert(weight) }

  /// The gradient buffer of a parameter, where it is differentiated.
  func gradientBuffer(_ id: ParameterID) -> BufferID? {
    guard key.differentiated.contains(id) else { return nil }
    let info = graph.parameters[id.index]
    let buffer = buffer(fixedBytes: info.shape.elementCount * 4)
    parameterGradients.append(.init(id: id, buffer: buffer, shape: info.shape))
    return buffer
  }

  // MARK: - Gradients

  private func findNeededNodes() throws(TTAError) {
    isNeeded = Array(repeating: false, count: graph.nodes.count)
    for tap in key.taps { isNeeded[try graph.node(of: tap)] = true }
    for index in graph.nodes.indices.reversed() where isNeeded[index] {
      for input in graph.nodes[index].inputs where input != Graph.images { isNeeded[input] = true }
    }
    readers = Array(repeating: [], count: graph.nodes.count)
    for (index, node) in graph.nodes.enumerated() where isNeeded[index] {
      for input in node.inputs where input >= 0 { readers[input].append(index) }
    }
    for tap in key.taps { readers[try graph.node(of: tap)].append(-1) }
    selected = Array(repeating: nil, count: graph.nodes.count)
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

  /// The buffer where the backward finds a value: what the forward left, or the value computed again, once.
  func bufferForBackward(_ value: PlainValue) throws(TTAError) -> BufferID {
    guard !value.isKept, let recipe = value.recipe else { return value.buffer }
    if let buffer = value.again { return buffer }
    let buffer = try recipe()
    value.again = buffer
    return buffer
  }

  // MARK: - One token of many

  /// The shape of what is computed of a node: one row where only one token is read.
  func shape(of node: Int) -> Shape {
    let shape = graph.nodes[node].shape
    return selected[node] == nil ? shape : Shape([1] + shape.dimensions.dropFirst())
  }
  /// The inputs of a node in plain rows, those of one token where no more is read of it.
  func plainInputs(of index: Int) throws(TTAError) -> [PlainValue] {
    var inputs: [PlainValue] = []
    for input in graph.nodes[index].inputs {
      let whole = try plain(value(of: input))
      if let token = selected[index], !(graph.nodes[index].operation is Attention), selected[input] == nil {
        inputs.append(try selection(token, of: whole, name: graph.nodes[input].name))
      } else {
        inputs.append(whole)
      }
    }
    return inputs
  }
  private func selection(_ token: Int, of value: PlainValue, name: String) throws(TTAError) -> PlainValue {
    if let done = selections[ObjectIdentifier(value)] { return done }
    let result = PlainValue(rows([1, value.shape[1]]), shape: [1, value.shape[1]], requiresGradient: value.requiresGradient)
    try lower(SelectToken(token), name, [value], parameters: [], shape: [value.shape[1]], into: result)
    selections[ObjectIdentifier(value)] = result
    return result
  }
  /// A selection of what is computed for that token only.
  private func selectedAlready(_ index: Int) -> PlainValue? {
    let node = graph.nodes[index]
    guard node.operation is SelectToken, node.inputs[0] >= 0, selected[node.inputs[0]] != nil,
      let input = values[node.inputs[0]] as? PlainValue
    else { return nil }
    let result = PlainValue(input.buffer, shape: node.shape, requiresGradient: input.requiresGradient)
    onBackward { [self] () throws(TTAError) in
      guard let gradient = result.gradient, input.requiresGradient else { return }
      contribute(gradient, to: input, shared: true)
    }
    return result
  }

  // MARK: - The readable path

  func lowerOperator(_ index: Int) throws(TTAError) -> PlanValue {
    let node = graph.nodes[index]
    let inputs = try plainInputs(of: index)
    let shape = shape(of: index)
    let output = PlainValue(rows(shape), shape: shape, requiresGradient: gradientNeeded[index])
    var operation = node.operation
    if let attention = operation as? Attention, let token = selected[index] { operation = Attention(heads: attention.heads, query: token) }
    let binding = try lower(operation, node.name, inputs, parameters: node.parameters, shape: shape, into: output)
    if (operation as? any NormOperator)?.mixesImages == true {
      report(moments: .init(node: index, buffer: binding.keptPerBatch, channels: node.shape[0], positions: node.shape[1] * node.shape[2]))
    }
    return output
  }

  @discardableResult private func lower(
    _ operation: any Operator, _ name: String, _ inputs: [PlainValue], parameters: [ParameterID], shape: Shape, into output: PlainValue
  ) throws(TTAError) -> OperatorBinding {
    let shapes = inputs.map(\.shape)
    let memory = operation.memory(for: shapes)
    reserve(scratch: memory.scratchPerWorker)
    let binding = OperatorBinding(
      operation: operation, name: name, inputs: inputs.map(\.buffer), inputShapes: shapes, outputShape: shape,
      output: output.buffer, keptPerImage: buffer(bytesPerImage: memory.keptPerImage * 4),
      keptPerBatch: buffer(fixedBytes: memory.keptPerBatch * 8), partialSums: buffer(fixedBytes: memory.partialSums * 4),
      parameters: parameters, reportsMoments: key.reportsMoments)
    let kept = [binding.keptPerImage, binding.keptPerBatch, binding.partialSums]
    emit(OperatorForward(binding), touching: binding.inputs + [output.buffer] + kept)
    guard output.requiresGradient else { return binding }
    guard let differentiable = operation as? any DifferentiableOperator else {
      throw TTAError(
        .unsupported, "\(name): no gradient passes through \(type(of: operation).name)",
        hint: "adapt only parameters behind this layer, or use a strategy without gradients")
    }
    if operation is LayerNorm {
      output.isCheap = true
      output.recipe = { [self] () throws(TTAError) in
        var again = binding
        again.output = rows(output.shape)
        again.inputs = try buffersForBackward(inputs)
        emitBackward(OperatorForward(again, note: ", computed again"), touching: again.inputs + [again.output] + kept)
        return again.output
      }
    }
    onBackward { [self] () throws(TTAError) in
      guard let outputGradient = output.gradient else { return }
      if operation is Add {
        for input in inputs where input.requiresGradient { contribute(outputGradient, to: input, shared: true) }
        return
      }
      var targets: [BufferID?] = []
      for input in inputs { targets.append(input.requiresGradient ? rows(input.shape) : nil) }
      let gradients = parameters.map(gradientBuffer)
      let retained = differentiable.retained(forParameters: gradients.contains { $0 != nil })
      var touched = [outputGradient] + kept + targets.compactMap { $0 } + gradients.compactMap { $0 }
      var read = binding
      if retained.contains(.inputs) {
        read.inputs = try buffersForBackward(inputs)
        touched += read.inputs
      }
      if retained.contains(.output) { touched.append(output.buffer) }
      emitBackward(
        OperatorBackward(read, differentiable, outputGradient: outputGradient, inputGradients: targets, parameterGradients: gradients),
        touching: touched)
      for (input, target) in zip(inputs, targets) {
        if let target { contribute(target, to: input) }
      }
    }
    return binding
  }
  private func buffersForBackward(_ values: [PlainValue]) throws(TTAError) -> [BufferID] {
    var buffers: [BufferID] = []
    for value in values { buffers.append(try bufferForBackward(value)) }
    return buffers
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
    for (output, seed) in zip(outputs, seeds) {
      guard let seed, let value = try plain(values[graph.node(of: output.tap)]) as PlainValue? else { continue }
      contribute(seed.buffer, to: value)
    }
    for emitter in emitters.reversed() { try emitter() }
    let handedOut = outputs.map(\.buffer) + moments.map(\.buffer) + parameterGradients.map(\.buffer)
    let elsewhere = Set(handedOut + seeds.compactMap { $0?.buffer } + [imageValue.gradient].compactMap { $0 })
    let before = Set(forward.touches.joined())
    backward.leaveOutUnreadGradients { before.contains($0) || elsewhere.contains($0) }
    let again = ConvolutionsComputedAgain.insert(into: &backward, behind: forward, self)

    if key.lowering != .reference { group(handedOutOrIn: elsewhere) }
    // Outputs are read when the forward is done; seeds are written before the backward; a parameter's gradient is read once it is complete.
    let forwardEnd = forward.steps.count
    for (step, touched) in forward.touches.enumerated() { live(touched, at: step) }
    live(outputs.map(\.buffer), at: forwardEnd)
    live(moments.map(\.buffer), at: forwardEnd)
    live(seeds.compactMap { $0?.buffer }, at: forwardEnd)
    for (step, touched) in backward.touches.enumerated() { live(touched, at: forwardEnd + 1 + step) }
    if let gradient = imageValue.gradient { live([gradient], at: forwardEnd + 1 + backward.steps.count) }
    let kept = buffers.indices.filter { buffers[$0].first < forwardEnd && forwardEnd < buffers[$0].last && buffers[$0].bytesPerImage > 0 }
    return Plan(
      key: key, capacity: capacity, forward: forward.grouped, backward: backward.grouped, buffers: buffers, again: again,
      scratchBytes: scratchBytes,
      packed: keptPacked, packedOnce: Set(keptPacked.map(\.weight)).subtracting(packedForEachRun), outputs: outputs, seeds: seeds,
      completedGradients: backward.placing(parameterGradients) { $0.buffer },
      imageGradient: imageValue.gradient, kept: kept.map(BufferID.init(index:)),
      backwardReadsImages: backward.touches.contains { $0.contains(.images) }, moments: moments)
  }
  /// Lets steps run a few images at a time where they alone use what they hand each other.
  private func group(handedOutOrIn elsewhere: Set<BufferID>) {
    let (before, after) = (Set(forward.touches.joined()), Set(backward.touches.joined()))
    forward.group(&buffers, capacity: capacity) { !after.contains($0) && !elsewhere.contains($0) }
    backward.group(&buffers, capacity: capacity) { !before.contains($0) && !elsewhere.contains($0) }
  }
  private func live(_ touched: [BufferID], at step: Int) {
    for buffer in touched where buffer != .images {
      buffers[buffer.index].first = min(buffers[buffer.index].first, step)
      buffers[buffer.index].last = max(buffers[buffer.index].last, step)
    }
  }
}
