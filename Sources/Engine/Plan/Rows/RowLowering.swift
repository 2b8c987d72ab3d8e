// The fused path on plain rows: linear layers, over tokens or one row of an image, with what follows them.
//
// A linear layer takes the activation behind it, or the sum it goes into, in the epilogue of its product; in the backward the product that arrives at an
// activation takes the slope. A layer whose weights learn has a further step for their gradient, which reads the layer's input: the result of a norm or of
// an activation is computed again for it, which costs one pass. A wide result that the backward needs may be computed again there instead of being kept.

internal import CKernels

/// The result of a linear layer.
final class LinearValue: PlainValue {
  let step: LinearStep, index: Int
  init(_ step: LinearStep, index: Int, shape: Shape, requiresGradient: Bool) {
    (self.step, self.index) = (step, index)
    super.init(step.output, shape: shape, requiresGradient: requiresGradient)
  }
}

/// The values of an activation that the epilogue of a product wrote.
final class ActivatedValue: PlainValue {
  let source: LinearValue, function: ck_row_function
  init(_ source: LinearValue, _ function: ck_row_function, in buffer: BufferID) {
    (self.source, self.function) = (source, function)
    super.init(buffer, shape: source.shape, requiresGradient: source.requiresGradient)
  }
}

/// Lowers linear layers, and the activations and sums behind them.
final class RowLowering {
  unowned let compiler: Compiler
  /// Linear layers whose results are computed again in the backward.
  private let computedAgain: Set<Int>
  init(_ compiler: Compiler) {
    self.compiler = compiler
    computedAgain = RecomputationRule.nodes(
      in: compiler.graph, compiler.key, readers: compiler.readers, gradientNeeded: compiler.gradientNeeded,
      isPartial: { compiler.shape(of: $0) != compiler.graph.nodes[$0].shape })
  }

  /// The value of a node, or nil where another path has to do it.
  func lower(_ index: Int) throws(TTAError) -> PlanValue? {
    let node = compiler.graph.nodes[index]
    switch node.operation {
    case let linear as Linear: return try lower(index, linear)
    case let activation as Activation: return try lower(index, activation)
    case is Add: return lowerAdd(index)
    default: return nil
    }
  }

  /// Layers over one row of an image are packed whole only up to so many bytes; larger ones, such as VGG's, pack a part at a time in scratch.
  private static let mostRowBytes = 16 << 20

  private func lower(_ index: Int, _ operation: Linear) throws(TTAError) -> PlanValue? {
    let node = compiler.graph.nodes[index]
    let weightBytes = 4 * compiler.graph.parameters[node.parameters[0].index].shape.elementCount
    guard node.shape.rank >= 2 || weightBytes <= Self.mostRowBytes else { return nil }
    let learns = node.parameters.contains { compiler.key.differentiated.contains($0) }
    let (weight, bias) = (node.parameters[0], operation.hasBias ? node.parameters[1] : nil)
    let input = try compiler.plainInputs(of: index)[0]
    let shape = compiler.shape(of: index)
    let width = input.shape[input.shape.rank - 1]
    // A classifier's few products stay exact.
    let precision = learns || node.shape.rank == 1 ? .single : compiler.key.precision
    let key = keptPacked(index, weight, precision, bytes: ck_gemm_packed_count(operation.outputs, width) * 4)
    compiler.reserve(scratch: ck_linear_scratch_bytes())
    func product(_ note: String, _ direction: LinearStep.Direction, _ source: BufferID, _ target: BufferID) -> LinearStep {
      let (from, to) = direction == .forward ? (width, operation.outputs) : (operation.outputs, width)
      return LinearStep(
        node.name, note: note, weight: weight, bias: direction == .forward ? bias : nil, direction,
        rows: shape.elementCount / operation.outputs, width: from, outputs: to,
        input: source, output: target, packed: compiler.buffer(fixedBytes: ck_gemm_packed_count(to, from) * 4), key: key,
        precision: precision)
    }
    let step = product("", .forward, input.buffer, compiler.rows(shape))
    let result = LinearValue(step, index: compiler.forwardStepCount, shape: shape, requiresGradient: compiler.gradientNeeded[index])
    compiler.emit(step, touching: [input.buffer, step.output, step.packed])
    guard result.requiresGradient else { return result }
    result.recipe = { [self] () throws(TTAError) in
      let source = try compiler.bufferForBackward(input)
      let again = product(", computed again", .forward, source, compiler.rows(shape))
      compiler.emitBackward(again, touching: [source, again.output, again.packed])
      return again.output
    }
    // The norm's result in front of it goes as well.
    if computedAgain.contains(index), input.recipe != nil { (result.isKept, input.isKept) = (false, false) }
    if learns, input.isCheap { input.isKept = false }
    compiler.onBackward { [self] () throws(TTAError) in
      guard let gradient = result.gradient else { return }
      if learns { try learn(node, operation, from: input, gradient) }
      guard input.requiresGradient else { return }
      let arriving = product(" backward", .backward, gradient, compiler.rows(input.shape))
      var touched = [gradient, arriving.output, arriving.packed]
      var target = input
      if let activated = input as? ActivatedValue, activated.gradient == nil, readers(of: index).count == 1 {
        let slopes = try compiler.bufferForBackward(activated.source)
        arriving.multiplyBySlope(of: activated.function, at: slopes)
        touched.append(slopes)
        target = activated.source
      }
      compiler.emitBackward(arriving, touching: touched)
      compiler.contribute(arriving.output, to: target)
    }
    return result
  }
  /// Where the program keeps the packed weights of a layer, if they lie in a file; nil where they learn or are rounded, and are packed at every run.
  private func keptPacked(_ index: Int, _ weight: ParameterID, _ precision: Precision, bytes: Int) -> Program.PackedKey? {
    guard !compiler.key.differentiated.contains(weight), precision == .single else {
      compiler.reads(weight)
      return nil
    }
    let key = Program.PackedKey(node: index)
    compiler.keep(packed: .init(key: key, weight: weight, bytes: bytes, replacesFile: true))
    return key
  }
  /// Emits the gradients of a layer's weights.
  private func learn(_ node: Graph.Node, _ operation: Linear, from input: PlainValue, _ gradient: BufferID) throws(TTAError) {
    let none = compiler.buffer()
    let source = try compiler.bufferForBackward(input)
    let binding = OperatorBinding(
      operation: operation, name: node.name, inputs: [source], inputShapes: [input.shape],
      outputShape: Shape(input.shape.dimensions.dropLast() + [operation.outputs]), output: none, keptPerImage: none, keptPerBatch: none,
      partialSums: none, parameters: node.parameters, reportsMoments: false)
    let gradients = node.parameters.map(compiler.gradientBuffer)
    compiler.reserve(scratch: operation.memory(for: [input.shape]).scratchPerWorker)
    compiler.emitBackward(
      OperatorBackward(binding, operation, outputGradient: gradient, inputGradients: [nil], parameterGradients: gradients),
      touching: [gradient, source, none] + gradients.compactMap { $0 })
  }
  /// The nodes that read the input of a node.
  private func readers(of index: Int) -> [Int] {
    let input = compiler.graph.nodes[index].inputs[0]
    return input < 0 ? [] : compiler.readers[input]
  }

  /// A linear layer that nobody else reads and that nothing was emitted behind.
  private func latest(_ value: PlanValue, read index: Int) -> LinearValue? {
    guard let linear = value as? LinearValue, linear.step.isBare, linear.index == compiler.forwardStepCount - 1,
      let node = compiler.graph.nodes[index].inputs.first(where: { compiler.value(of: $0) === value }), compiler.readers[node].count == 1
    else { return nil }
    return linear
  }

  private func lower(_ index: Int, _ operation: Activation) throws(TTAError) -> PlanValue? {
    let function: ck_row_function
    switch operation.function {
    case .relu: function = CK_ROW_RELU
    case .gelu: function = CK_ROW_GELU
    default: return nil
    }
    let node = compiler.graph.nodes[index]
    guard let linear = latest(compiler.value(of: node.inputs[0]), read: index) else { return nil }
    // The values take the place of the layer's result unless the backward will read that.
    let keepsBoth = compiler.key.needsBackward && linear.requiresGradient && linear.isKept
    let values = keepsBoth ? compiler.rows(linear.shape) : linear.buffer
    linear.step.apply(function, into: values)
    compiler.touch([values], inForwardStep: linear.index)
    let result = ActivatedValue(linear, function, in: values)
    guard result.requiresGradient else { return result }
    result.isCheap = true
    result.recipe = { [self] () throws(TTAError) in
      let (source, again) = (try compiler.bufferForBackward(linear), compiler.rows(linear.shape))
      let step = RowFunctionStep(node.name, function, of: source, into: again, count: linear.shape.elementCount)
      compiler.emitBackward(step, touching: [source, again])
      return again
    }
    compiler.onBackward { [self] () throws(TTAError) in
      guard let gradient = result.gradient else { return }
      let source = try compiler.bufferForBackward(linear)
      let target = compiler.rows(linear.shape)
      let none = compiler.buffer()
      let binding = OperatorBinding(
        operation: operation, name: node.name, inputs: [source], inputShapes: [linear.shape], outputShape: linear.shape, output: values,
        keptPerImage: none, keptPerBatch: none, partialSums: none, parameters: [], reportsMoments: false)
      compiler.emitBackward(
        OperatorBackward(binding, operation, outputGradient: gradient, inputGradients: [target], parameterGradients: []),
        touching: [gradient, source, target, none, values])
      compiler.contribute(target, to: linear)
    }
    return result
  }

  private func lowerAdd(_ index: Int) -> PlanValue? {
    // Values of convolutions stay in blocked layout: asking for their plain rows would emit a change of layout.
    guard compiler.graph.nodes[index].inputs.contains(where: { compiler.value(of: $0) is LinearValue }),
      let inputs = try? compiler.plainInputs(of: index), inputs.count == 2, inputs[0] !== inputs[1]
    else { return nil }
    for (linear, other) in [(inputs[0], inputs[1]), (inputs[1], inputs[0])] {
      guard let linear = latest(linear, read: index) else { continue }
      linear.step.add(other.buffer)
      compiler.touch([other.buffer], inForwardStep: linear.index)
      linear.isKept = true
      let result = PlainValue(linear.buffer, shape: linear.shape, requiresGradient: compiler.gradientNeeded[index])
      guard result.requiresGradient else { return result }
      compiler.onBackward { [self] () throws(TTAError) in
        guard let gradient = result.gradient else { return }
        for input in [linear, other] where input.requiresGradient { compiler.contribute(gradient, to: input, shared: true) }
      }
      return result
    }
    return nil
  }
}
