// The fused path, forward: convolution networks in blocked layout.
//
// A convolution reads the raw output of the previous one and applies norm, shortcut and activation while it packs; its epilogue takes the
// moments of its own output. So norm layers, activations and sums emit nothing: they become part of what the next convolution reads.

internal import CKernels

/// Lowers the nodes it knows into fused steps; what it does not know runs as an operator on plain rows.
final class FusedLowering {
  unowned let compiler: Compiler
  var consumers: [[Int]] { compiler.readers }

  /// Packed weights of convolutions are kept up to this many bytes per plan; further layers pack into the arena at every run. Winograd's are four times the weights:
  /// those of a WRN-28-10 in both directions would take 1.2 GB.
  private static let packedLimit = 384 << 20
  /// Winograd's weights of at least so many bytes are not kept either where so many tiles go through them in a run that packing takes at most a sixth
  /// of the layer's time (measured: 10 to 16 % at 256 tiles, 4 % at 1,024).
  private static let leastTransientBytes = 1 << 20, leastTransientTiles = 256

  init(_ compiler: Compiler) { self.compiler = compiler }
  var graph: Graph { compiler.graph }

  /// The value of a node, or nil where the readable path has to do it.
  func lower(_ index: Int) throws(TTAError) -> PlanValue? {
    let node = graph.nodes[index]
    let inputs = node.inputs.map { compiler.value(of: $0) }
    switch node.operation {
    case let normalize as Normalize where node.inputs == [Graph.images] && normalize.mean.count <= 4 && !compiler.key.differentiatesImages:
      return NormalizedImages(node: index, normalize, shape: node.shape)
    case let convolution as Convolution: return lower(index, convolution, inputs[0])
    case let norm as BatchNorm: return lowerNorm(index, .batch(norm), inputs[0])
    case let norm as GroupNorm: return lowerNorm(index, .group(norm), inputs[0])
    case let activation as Activation: return lower(index, activation, inputs[0])
    case is Add: return lowerAdd(index, inputs[0], inputs[1])
    case let pooling as Pooling: return lower(index, pooling, inputs[0])
    case let mean as Mean where mean.axis == .positions: return lowerMean(index, inputs[0])
    case let mean as AdaptivePooling where !mean.takesMaximum && mean.size == .init(1): return lowerMean(index, inputs[0])
    case is Multiply: return try lowerGate(index, inputs[0], inputs[1])
    case let shortcut as Shortcut: return lower(index, shortcut, inputs[0])
    default: return nil
    }
  }
  private func gradientNeeded(_ index: Int) -> Bool { compiler.gradientNeeded[index] }
  /// A new stored value that the next step will write.
  private func stored(_ shape: Shape, requiresGradient: Bool) -> StoredValue {
    StoredValue(blockedRows(shape), shape: shape, requiresGradient: requiresGradient, writtenAt: compiler.forwardStepCount)
  }
  func blockedRows(_ shape: Shape) -> BufferID { compiler.buffer(bytesPerImage: paddedChannels(shape[0]) * shape[1] * shape[2] * 4) }

  // MARK: - Changes of layout

  /// A plain image in blocked layout.
  private func blocked(_ value: PlanValue) throws(TTAError) -> PlanValue {
    guard let plain = value as? PlainValue else { return value }
    let stored = stored(plain.shape, requiresGradient: plain.requiresGradient)
    compiler.emit(ToBlocked(plain.shape, plain.buffer, stored.buffer), touching: [plain.buffer, stored.buffer])
    if plain.requiresGradient {
      compiler.onBackward { [self] () throws(TTAError) in
        guard let operand = gradientOperand(of: stored) else { return }
        let rows = compiler.rows(plain.shape)
        compiler.emitBackward(FromBlocked(plain.shape, operand, rows), touching: operand.touched + [rows])
        compiler.contribute(rows, to: plain)
      }
    }
    return stored
  }
  /// A value in plain rows, for operators without a fused form and for taps.
  func plain(_ value: PlanValue) -> PlainValue {
    if let images = value as? NormalizedImages {
      if let done = normalizedRows { return done }
      let result = PlainValue(compiler.rows(images.shape), shape: images.shape, requiresGradient: false)
      let none = compiler.buffer()
      let binding = OperatorBinding(
        operation: images.operation, name: graph.nodes[images.node].name, inputs: [.images], inputShapes: [images.shape],
        outputShape: images.shape, output: result.buffer, keptPerImage: none, keptPerBatch: none, partialSums: none, parameters: [],
        reportsMoments: false)
      compiler.emit(OperatorForward(binding), touching: [result.buffer, none])
      normalizedRows = result
      return result
    }
    if let done = plainForms[ObjectIdentifier(value)] { return done }
    let operand = operandLeavingSigns(of: value)
    let result = PlainValue(compiler.rows(value.shape), shape: value.shape, requiresGradient: value.requiresGradient)
    compiler.emit(FromBlocked(value.shape, operand, result.buffer), touching: operand.touched + [result.buffer])
    plainForms[ObjectIdentifier(value)] = result
    guard value.requiresGradient else { return result }
    register(value)
    compiler.onBackward { [self] () throws(TTAError) in
      guard let gradient = result.gradient else { return arrive(nothingAt: value) }
      let blocks = blockedRows(value.shape)
      compiler.emitBackward(ToBlocked(value.shape, gradient, blocks), touching: [gradient, blocks])
      arrive(blocks, at: value)
    }
    return result
  }
  private var normalizedRows: PlainValue?
  private var plainForms: [ObjectIdentifier: PlainValue] = [:]

  // MARK: - Convolutions

  private func lower(_ index: Int, _ operation: Convolution, _ input: PlanValue) -> PlanValue? {
    let depthwise = operation.groups > 1 && operation.groups == input.shape[0] && operation.filters == operation.groups
    guard operation.groups == 1 || depthwise, operation.dilation == .init(1), input.shape.rank == 3 else { return nil }
    let output = graph.nodes[index].shape
    var shape = ck_conv_shape(
      channels: Int32(input.shape[0]), filters: Int32(output[0]), height: Int32(input.shape[1]), width: Int32(input.shape[2]),
      out_height: Int32(output[1]), out_width: Int32(output[2]), kernel_height: Int32(operation.kernel.height),
      kernel_width: Int32(operation.kernel.width), stride_height: Int32(operation.stride.height),
      stride_width: Int32(operation.stride.width),
      pad_top: Int32(operation.padding.top), pad_left: Int32(operation.padding.left), depthwise: depthwise)
    let exact = compiler.key.lowering == .exact
    func algorithm(_ direction: ck_direction, plain: Bool) -> ck_conv_algorithm? {
      let chosen = ck_conv_choose(&shape, direction, exact, compiler.key.isSingleImage)
      if (chosen == CK_CONV_STEM) == plain { return ck_conv_supports(&shape, direction, chosen) ? chosen : nil }
      let other = plain ? CK_CONV_STEM : (depthwise ? CK_CONV_DEPTHWISE : CK_CONV_DIRECT)
      return ck_conv_supports(&shape, direction, other) ? other : nil
    }
    let isStem = input is NormalizedImages && algorithm(CK_FORWARD, plain: true) != nil
    guard let forward = algorithm(CK_FORWARD, plain: isStem) else { return nil }
    let backward = input.requiresGradient ? algorithm(CK_BACKWARD_DATA, plain: false) : nil
    if input.requiresGradient, backward == nil { return nil }
    var value = input
    if !isStem {
      if input is NormalizedImages { value = plain(input) }
      guard let blocks = try? blocked(value) else { return nil }
      value = blocks
    }

    // What is read, and whether it is kept on the way.
    var operand: OperandSpecification
    if isStem {
      operand = OperandSpecification(x: .images)
    } else {
      if let site = value as? SiteValue, site.materialized == nil, needsMemory(site, consumers[inputNode(index)]) {
        if forward == CK_CONV_WINOGRAD || forward == CK_CONV_DIRECT || operation.stride == .init(1), !depthwise {
          operand = operandLeavingSigns(of: site)
          let kept = blockedRows(site.shape)
          operand.store = kept
          site.materialize(in: kept, at: compiler.forwardStepCount)
        } else {
          materialize(site)
          operand = self.operand(of: site)
        }
      } else {
        operand = operandLeavingSigns(of: value)
      }
      register(value)
    }
    let node = graph.nodes[index]
    let result = stored(output, requiresGradient: gradientNeeded(index))
    var epilogue = EpilogueSpecification(output: result.buffer)
    let bias = node.parameters.count > 1 ? node.parameters[1] : nil
    if bias != nil { epilogue.bias = compiler.buffer(fixedBytes: paddedChannels(output[0]) * 4) }
    let conv = made(&shape, CK_FORWARD, forward, node)
    let source = packedSource(index, conv, node.parameters[0])
    let step = ConvolutionForward(
      node.name, conv, source, operand, epilogue, bias: bias, normalization: isStem ? (input as? NormalizedImages)?.operation : nil)
    result.producer = (step, compiler.forwardStepCount)
    compiler.emit(step, touching: operand.touched + epilogue.touched + [source.transient].compactMap { $0 })
    guard result.requiresGradient else { return result }
    let dataGradient = backward.map { algorithm in
      let conv = made(&shape, CK_BACKWARD_DATA, algorithm, node)
      return (conv: conv, source: packedSource(index, conv, node.parameters[0]))
    }
    reserveWeightGradient(node, conv)
    compiler.onBackward { [self] () throws(TTAError) in
      guard let gradient = gradientOperand(of: result) else { return arrive(nothingAt: value) }
      let read = isStem ? OperandSpecification(x: .images) : self.operand(of: value)
      emitWeightGradient(node, step, conv, reading: read, gradient)
      guard let (conv, source) = dataGradient else { return }
      let epilogue = arrivingEpilogue(at: value)
      compiler.emitBackward(
        ConvolutionBackward(node.name, conv, source, gradient, epilogue),
        touching: gradient.touched + epilogue.touched + [source.transient].compactMap { $0 })
      didArrive(epilogue, at: value)
    }
    return result
  }
  private func made(
    _ shape: inout ck_conv_shape, _ direction: ck_direction, _ algorithm: ck_conv_algorithm, _ node: Graph.Node
  ) -> ck_conv {
    var conv = ck_conv_make(&shape, direction, algorithm)
    // No more tiles at a time than there are: scratch is made for whole blocks.
    conv.tile_block = min(conv.tile_block, Int32(tiles(conv)))
    let rounds = algorithm == CK_CONV_DIRECT || algorithm == CK_CONV_POINTWISE
    conv.bfloat16 = rounds && compiler.key.precision == .bfloat16 && !differentiates(node)
    return conv
  }
  private func inputNode(_ index: Int) -> Int { graph.nodes[index].inputs[0] }

  private func packedSource(_ index: Int, _ conv: ck_conv, _ weight: ParameterID) -> PackedSource {
    var conv = conv
    compiler.reserve(scratch: ck_conv_scratch_bytes(&conv))
    let bytes = ck_conv_packed_count(&conv) * 4
    let key = Program.PackedKey(
      node: index, backward: conv.direction == CK_BACKWARD_DATA, algorithm: conv.algorithm.rawValue, bfloat16: conv.bfloat16)
    // Weights that are learnt are others at the next run.
    let isLearnt = compiler.key.differentiated.contains(weight)
    let kept = compiler.keptPacked.reduce(bytes) { $0 + ($1.replacesFile ? 0 : $1.bytes) }
    guard isLearnt || kept > Self.packedLimit || packsAtLittleCost(conv, bytes) else {
      compiler.keep(packed: .init(key: key, weight: weight, bytes: bytes, replacesFile: false))
      return PackedSource(key: key, weight: weight, transient: nil)
    }
    compiler.reads(weight)
    return PackedSource(key: key, weight: weight, transient: compiler.buffer(fixedBytes: bytes))
  }
  private func packsAtLittleCost(_ conv: ck_conv, _ bytes: Int) -> Bool {
    conv.algorithm == CK_CONV_WINOGRAD && bytes >= Self.leastTransientBytes && tiles(conv) >= Self.leastTransientTiles
  }
  /// Winograd's tiles of all images.
  private func tiles(_ conv: ck_conv) -> Int {
    Int((conv.shape.out_height + 3) / 4 * ((conv.shape.out_width + 3) / 4)) * compiler.capacity
  }

  // MARK: - Norms, activations, sums

  private func lowerNorm(_ index: Int, _ kind: FusedNorm.Kind, _ input: PlanValue) -> PlanValue? {
    let stored: StoredValue
    switch input {
    case let value as StoredValue: stored = value
    case let site as SiteValue: stored = storedForm(of: site)
    default: return nil
    }
    let node = graph.nodes[index]
    let (channels, padded) = (node.shape[0], paddedChannels(node.shape[0]))
    let norm: FusedNorm
    var readsMoments = true
    switch kind {
    case .batch:
      norm = FusedNorm(
        kind: kind, node: index, channels: channels, positions: node.shape[1] * node.shape[2], parameters: node.parameters,
        input: stored.buffer, coefficients: compiler.buffer(fixedBytes: 3 * padded * 4),
        kept: compiler.buffer(fixedBytes: 4 * channels * 8),
        gradientCoefficients: compiler.buffer(fixedBytes: 3 * padded * 4))
      readsMoments = compiler.key.statistics != .stored || compiler.key.reportsMoments
      compiler.report(
        moments: .init(node: index, buffer: norm.kept, channels: channels, positions: node.shape[1] * node.shape[2]))
    case .group(let operation):
      norm = FusedNorm(
        kind: kind, node: index, channels: channels, positions: node.shape[1] * node.shape[2], parameters: node.parameters,
        input: stored.buffer, coefficients: compiler.buffer(bytesPerImage: 3 * padded * 4),
        kept: compiler.buffer(bytesPerImage: 2 * operation.groups * 8), gradientCoefficients: compiler.buffer(bytesPerImage: 3 * padded * 4)
      )
    }
    let sums = readsMoments ? moments(of: stored, centeredOn: norm.runningMean) : nil
    let center = sums?.center?.buffer
    compiler.emit(
      NormForward(node.name, norm, sums: sums?.sums, center: center),
      touching: [norm.coefficients, norm.kept] + [sums?.sums, center].compactMap { $0 })
    return SiteValue(
      Addend(source: .stored(stored), norm: norm), nil, CK_ACTIVATION_NONE, shape: node.shape, requiresGradient: gradientNeeded(index))
  }
  /// A site in memory as a stored value of its own.
  private func storedForm(of site: SiteValue) -> StoredValue {
    let operand = operandLeavingSigns(of: site)
    let result = stored(site.shape, requiresGradient: site.requiresGradient)
    let epilogue = EpilogueSpecification(output: result.buffer)
    let step = Elementwise("evaluate", site.shape, operand, epilogue)
    result.producer = (step, compiler.forwardStepCount)
    compiler.emit(step, touching: operand.touched + epilogue.touched)
    register(site)
    if site.requiresGradient {
      compiler.onBackward { [self] () throws(TTAError) in
        guard let gradient = plainGradient(of: result) else { return arrive(nothingAt: site) }
        arrive(gradient, at: site)
      }
    }
    return result
  }
  /// Sums of a stored value, taken by the step that writes it, or by one more pass.
  private func moments(of stored: StoredValue, centeredOn parameter: ParameterID?) -> SumsSpecification {
    if let moments = stored.moments { return moments }
    let padded = paddedChannels(stored.shape[0])
    var sums = SumsSpecification(sums: compiler.buffer(bytesPerImage: 2 * padded * 8))
    var center: ChannelCopy?
    if let parameter {
      let buffer = compiler.buffer(fixedBytes: padded * 4)
      center = ChannelCopy(parameter: parameter, buffer: buffer)
      sums.center = AffineReference(buffer: buffer, scale: 0, shift: nil, imageStride: 0)
    }
    stored.moments = sums
    if let producer = stored.producer {
      producer.step.attach(sums, center: center)
      compiler.touch(sums.touched, inForwardStep: producer.index)
    } else {
      let operand = OperandSpecification(x: stored.buffer)
      let step = Elementwise("moments", stored.shape, operand, EpilogueSpecification(output: stored.buffer))
      step.attach(sums, center: center)
      compiler.emit(step, touching: operand.touched + sums.touched)
    }
    return sums
  }

  private func lower(_ index: Int, _ operation: Activation, _ input: PlanValue) -> PlanValue? {
    let code: ck_activation
    switch operation.function {
    case .relu: code = CK_ACTIVATION_RELU
    case .relu6: code = CK_ACTIVATION_RELU6
    case .silu: code = CK_ACTIVATION_SILU
    default: return nil
    }
    let (shape, needed) = (graph.nodes[index].shape, gradientNeeded(index))
    switch input {
    case let stored as StoredValue:
      return SiteValue(Addend(source: .stored(stored)), nil, code, shape: shape, requiresGradient: needed)
    case let site as SiteValue:
      // The sum before the activation is nobody else's: the activation joins it.
      // SiLU's slope is found from a stored input, not from a sum that nobody keeps.
      let joins = site.gate == nil && (code != CK_ACTIVATION_SILU || site.second == nil)
      if joins, site.activation == CK_ACTIVATION_NONE, site.materialized == nil, consumers[inputNode(index)].count == 1 {
        return SiteValue(site.first, site.second, code, shape: shape, requiresGradient: needed)
      }
      materialize(site)
      register(site)
      return SiteValue(Addend(source: .site(site)), nil, code, shape: shape, requiresGradient: needed)
    default: return nil
    }
  }

  private func lowerAdd(_ index: Int, _ left: PlanValue, _ right: PlanValue) -> PlanValue? {
    guard left is StoredValue || left is SiteValue, right is StoredValue || right is SiteValue, left !== right else { return nil }
    if let fused = addInEpilogue(index, left, right) ?? addInEpilogue(index, right, left) { return fused }
    let inputs = graph.nodes[index].inputs
    let first = addend(left, readers: consumers[inputs[0]])
    let second = addend(right, readers: consumers[inputs[1]])
    return SiteValue(first, second, CK_ACTIVATION_NONE, shape: graph.nodes[index].shape, requiresGradient: gradientNeeded(index))
  }
  /// A side of a sum: as a norm over a stored value where nobody else reads it, else from memory.
  private func addend(_ value: PlanValue, readers: [Int]) -> Addend {
    if let stored = value as? StoredValue { return Addend(source: .stored(stored)) }
    guard let site = value as? SiteValue else { fatalError("a sum over another layout") }
    if site.second == nil, site.gate == nil, site.activation == CK_ACTIVATION_NONE, site.materialized == nil, readers.count == 1,
      case .stored = site.first.source
    {
      return site.first
    }
    materialize(site)
    register(site)
    return Addend(source: .site(site))
  }
  /// A raw convolution output that only this sum reads: the other side is added in the convolution's epilogue, so that the sum lies in memory
  /// with its moments (pre-activation networks).
  private func addInEpilogue(_ index: Int, _ raw: PlanValue, _ other: PlanValue) -> PlanValue? {
    guard let raw = raw as? StoredValue, let producer = raw.producer, let step = producer.step as? ConvolutionForward,
      step.epilogue.addend == nil, raw.moments == nil,
      let rawNode = graph.nodes[index].inputs.first(where: { compiler.value(of: $0) === raw }), consumers[rawNode].count == 1
    else { return nil }
    let addend: BufferID
    switch other {
    case let stored as StoredValue:
      guard stored.writtenAt < producer.index else { return nil }
      addend = stored.buffer
    case let site as SiteValue:
      guard let buffer = site.materialized, site.materializedAt < producer.index else { return nil }
      register(site)
      addend = buffer
    default: return nil
    }
    step.attach(addend: addend)
    compiler.touch([addend], inForwardStep: producer.index)
    let needed = gradientNeeded(index)
    let sum = StoredValue(raw.buffer, shape: raw.shape, requiresGradient: needed, writtenAt: raw.writtenAt)
    sum.producer = producer
    guard needed else { return sum }
    compiler.onBackward { [self] () throws(TTAError) in
      guard other.requiresGradient else {
        raw.terms += sum.terms
        return
      }
      guard let gradient = plainGradient(of: sum) else { return arrive(nothingAt: other) }
      raw.terms.append(.plain(gradient))
      arrive(gradient, at: other)
    }
    return sum
  }

  // MARK: - Pooling and shortcuts

  private func lower(_ index: Int, _ operation: Pooling, _ input: PlanValue) -> PlanValue? {
    guard input is StoredValue || input is SiteValue else { return nil }
    let output = graph.nodes[index].shape
    var shape = ck_pool_shape(
      channels: Int32(input.shape[0]), height: Int32(input.shape[1]), width: Int32(input.shape[2]), out_height: Int32(output[1]),
      out_width: Int32(output[2]), kernel_height: Int32(operation.kernel.height), kernel_width: Int32(operation.kernel.width),
      stride_height: Int32(operation.stride.height), stride_width: Int32(operation.stride.width), pad_top: Int32(operation.padding.height),
      pad_left: Int32(operation.padding.width), maximum: operation.kind == .maximum,
      count_include_pad: operation.kind != .average(countsPadding: false))
    compiler.reserve(scratch: ck_pooling_scratch_bytes(&shape))
    keepIfNeeded(input, index)
    let operand = operandLeavingSigns(of: input)
    register(input)
    let result = stored(output, requiresGradient: gradientNeeded(index))
    let epilogue = EpilogueSpecification(output: result.buffer)
    let name = graph.nodes[index].name
    let step = PoolingForward("\(name): pooling", shape, operand, epilogue)
    result.producer = (step, compiler.forwardStepCount)
    compiler.emit(step, touching: operand.touched + epilogue.touched)
    guard result.requiresGradient else { return result }
    compiler.onBackward { [self] () throws(TTAError) in
      guard let gradient = plainGradient(of: result) else { return arrive(nothingAt: input) }
      let epilogue = arrivingEpilogue(at: input)
      compiler.emitBackward(
        PoolingBackward("\(name): pooling backward", shape, operand, gradient, epilogue),
        touching: operand.touched + epilogue.touched + [gradient])
      didArrive(epilogue, at: input)
    }
    return result
  }
  private func lowerMean(_ index: Int, _ input: PlanValue) -> PlanValue? {
    guard input is StoredValue || input is SiteValue else { return nil }
    keepIfNeeded(input, index)
    let operand = operandLeavingSigns(of: input)
    register(input)
    let result = PlainValue(
      compiler.rows(graph.nodes[index].shape), shape: graph.nodes[index].shape, requiresGradient: gradientNeeded(index))
    compiler.emit(GlobalAverage(input.shape, operand, result.buffer), touching: operand.touched + [result.buffer])
    guard result.requiresGradient else { return result }
    let site = input as? SiteValue
    site?.openMeans += 1
    compiler.onBackward { [self] () throws(TTAError) in
      site?.openMeans -= 1
      if let site, site.openMeans == 0, site.gatedGradient != nil { return joinGatedGradient(site, mean: result.gradient) }
      guard let gradient = result.gradient else { return arrive(nothingAt: input) }
      let epilogue = arrivingEpilogue(at: input)
      compiler.emitBackward(GlobalAverageBackward(input.shape, gradient, epilogue), touching: epilogue.touched + [gradient])
      didArrive(epilogue, at: input)
    }
    return result
  }
  /// A value times one factor per channel that a single step reads: the factors become part of what that step reads.
  private func lowerGate(_ index: Int, _ input: PlanValue, _ factors: PlanValue) throws(TTAError) -> PlanValue? {
    guard let site = input as? SiteValue, site.gate == nil, site.second == nil, site !== factors, consumers[index].count == 1,
      site.shape[0] % 16 == 0, factors.shape.elementCount == site.shape[0]
    else { return nil }
    let gate = Gate(site: site, factors: try compiler.plain(factors))
    register(site)
    let needed = gradientNeeded(index)
    guard site.materialized == nil else {
      return SiteValue(
        Addend(source: .site(site)), nil, CK_ACTIVATION_NONE, gate: gate, shape: site.shape, requiresGradient: needed)
    }
    return SiteValue(site.first, nil, site.activation, gate: gate, shape: site.shape, requiresGradient: needed)
  }
  private func keepIfNeeded(_ value: PlanValue, _ index: Int) {
    if let site = value as? SiteValue, site.materialized == nil, needsMemory(site, consumers[inputNode(index)]) { materialize(site) }
  }
  private func lower(_ index: Int, _ operation: Shortcut, _ input: PlanValue) -> PlanValue? {
    let source: BufferID
    switch input {
    case let stored as StoredValue: source = stored.buffer
    case let site as SiteValue: source = materialize(site)
    default: return nil
    }
    register(input)
    let node = graph.nodes[index]
    let result = stored(node.shape, requiresGradient: gradientNeeded(index))
    compiler.emit(
      ShortcutStep(node.name, operation, input.shape, source, result.buffer, backward: false), touching: [source, result.buffer])
    guard result.requiresGradient else { return result }
    compiler.onBackward { [self] () throws(TTAError) in
      guard let gradient = plainGradient(of: result) else { return arrive(nothingAt: input) }
      let target = blockedRows(input.shape)
      compiler.emitBackward(
        ShortcutStep(node.name, operation, input.shape, gradient, target, backward: true), touching: [gradient, target])
      arrive(target, at: input)
    }
    return result
  }
}
