// The fused path, backward.
//
// The gradient of a site gathers from its readers; the last one to arrive applies the activation's mask and takes the two sums that the norm
// behind it needs. The norm's own backward is an affine function of gradient and input, applied while the next convolution packs.

internal import CKernels

extension FusedLowering {
  // MARK: - Gradients of sites

  /// Where a kernel writes a gradient that arrives at a value: the last one to arrive at a site masks and sums.
  func arrivingEpilogue(at value: PlanValue) -> EpilogueSpecification {
    guard let site = value as? SiteValue, site.received + 1 == site.expected else {
      return EpilogueSpecification(output: blockedRows(value.shape))
    }
    joinPending(site, keeping: 1)
    var epilogue = finalEpilogue(site)
    epilogue.addend = site.pending.first
    return epilogue
  }
  /// A kernel wrote the gradient.
  func didArrive(_ epilogue: EpilogueSpecification, at value: PlanValue) {
    switch value {
    case let stored as StoredValue: stored.terms.append(.plain(epilogue.output))
    case let site as SiteValue:
      site.received += 1
      if site.received == site.expected { finish(site, epilogue) } else { site.pending.append(epilogue.output) }
    default: break
    }
  }
  /// A buffer holds a gradient that arrives at a value; it is not written to.
  func arrive(_ buffer: BufferID, at value: PlanValue) {
    switch value {
    case let stored as StoredValue: stored.terms.append(.plain(buffer))
    case let site as SiteValue:
      site.received += 1
      site.pending.append(buffer)
      if site.received == site.expected { closePending(site) }
    default: break
    }
  }
  /// A reader turned out to pass no gradient.
  func arrive(nothingAt value: PlanValue) {
    guard let site = value as? SiteValue, site.requiresGradient else { return }
    site.expected -= 1
    if site.expected > 0, site.received == site.expected { closePending(site) }
  }
  private func closePending(_ site: SiteValue) {
    joinPending(site, keeping: 2)
    let operand = OperandSpecification(x: site.pending[0], third: site.pending.count > 1 ? site.pending[1] : nil)
    let epilogue = finalEpilogue(site)
    compiler.emitBackward(Elementwise("gather gradients", site.shape, operand, epilogue), touching: operand.touched + epilogue.touched)
    finish(site, epilogue)
  }
  /// Adds up waiting gradients until at most `keeping` are left.
  private func joinPending(_ site: SiteValue, keeping: Int) {
    while site.pending.count > keeping {
      let (first, second) = (site.pending.removeFirst(), site.pending.removeFirst())
      site.pending.insert(sum(first, second, site.shape), at: 0)
    }
  }
  private func sum(_ first: BufferID, _ second: BufferID, _ shape: Shape) -> BufferID {
    let operand = OperandSpecification(x: first, third: second)
    let epilogue = EpilogueSpecification(output: blockedRows(shape))
    compiler.emitBackward(Elementwise("add gradients", shape, operand, epilogue), touching: operand.touched + epilogue.touched)
    return epilogue.output
  }

  /// Mask of the activation, sums for the norms behind it; both come later for a gated value.
  private func finalEpilogue(_ site: SiteValue) -> EpilogueSpecification {
    var epilogue = EpilogueSpecification(output: blockedRows(site.shape))
    if site.gate != nil { return epilogue }
    if site.activation != CK_ACTIVATION_NONE {
      epilogue.maskActivation = site.activation
      if let signs = site.signs {
        epilogue.maskSigns = signs
      } else {
        precondition(site.second == nil, "no step left the signs of a sum")
        epilogue.maskSource = buffer(of: site.first)
        epilogue.maskAffine = site.first.norm?.affine
      }
    }
    epilogue.sums = sums(for: site.first.norm)
    let more = site.second.flatMap { sums(for: $0.norm) }
    if epilogue.sums == nil { epilogue.sums = more } else { epilogue.moreSums = more }
    return epilogue
  }
  private func sums(for norm: FusedNorm?) -> SumsSpecification? {
    guard let norm, needsSums(norm) else { return nil }
    return SumsSpecification(
      sums: compiler.buffer(bytesPerImage: 2 * norm.padded * 8), source: norm.input, center: norm.mean)
  }
  func needsSums(_ norm: FusedNorm) -> Bool {
    norm.isPerImage || compiler.key.statistics == .batch || compiler.key.differentiated.contains(norm.scale)
      || compiler.key.differentiated.contains(norm.shift)
  }

  /// A site's gradient is complete: it goes on to both sides.
  private func finish(_ site: SiteValue, _ epilogue: EpilogueSpecification) {
    let gradient = epilogue.output
    if let gate = site.gate { return finish(gate, gradient) }
    var sums = [epilogue.sums, epilogue.moreSums].compactMap { $0 }
    for addend in [site.first, site.second].compactMap({ $0 }) {
      if let norm = addend.norm {
        let own = needsSums(norm) ? sums.removeFirst() : nil
        pass(gradient, through: norm, own)
        if case .stored(let stored) = addend.source { stored.terms.append(.norm(gradient, norm)) }
        continue
      }
      switch addend.source {
      case .stored(let stored): stored.terms.append(.plain(gradient))
      case .site(let other): if other.requiresGradient { arrive(gradient, at: other) }
      }
    }
  }
  /// A gated value's gradient is complete: the factors get its products with the value, the value the gradient times the factors.
  private func finish(_ gate: Gate, _ gradient: BufferID) {
    if gate.factors.requiresGradient {
      let (operand, rows) = (operand(of: gate.site), compiler.rows(gate.factors.shape))
      compiler.emitBackward(
        ChannelProducts(gate.site.shape, operand, gradient, rows), touching: operand.touched + [gradient, rows])
      compiler.contribute(rows, to: gate.factors)
    }
    guard gate.site.requiresGradient else { return }
    gate.site.gatedGradient = (gradient, gate.reference)
    if gate.site.openMeans == 0 { joinGatedGradient(gate.site) }
  }
  /// The gradient of a gated value arrives at the value behind the gate, in one pass with that of its mean: factors · gradient + mean / positions.
  func joinGatedGradient(_ site: SiteValue, mean: BufferID? = nil) {
    guard let (gradient, factors) = site.gatedGradient else { return }
    var affine = AffineReference(buffer: factors.buffer, scale: 0, shift: nil, imageStride: factors.channels)
    if let mean {
      affine = AffineReference(
        buffer: compiler.buffer(bytesPerImage: 2 * factors.channels * 4), scale: 0, shift: factors.channels,
        imageStride: 2 * factors.channels)
      compiler.emitBackward(
        GateCoefficients(factors, mean: mean, positions: site.shape[1] * site.shape[2], affine.buffer),
        touching: [factors.buffer, mean, affine.buffer])
      site.expected -= 1
    }
    let operand = OperandSpecification(x: gradient, affine: affine)
    let epilogue = arrivingEpilogue(at: site)
    compiler.emitBackward(Elementwise("gate backward", site.shape, operand, epilogue), touching: operand.touched + epilogue.touched)
    didArrive(epilogue, at: site)
  }
  private func pass(_ gradient: BufferID, through norm: FusedNorm, _ sums: SumsSpecification?) {
    let (scale, shift) = (compiler.gradientBuffer(norm.scale), compiler.gradientBuffer(norm.shift))
    compiler.emitBackward(
      NormBackward(graphName(norm.node), norm, sums: sums?.sums, scaleGradient: scale, shiftGradient: shift),
      touching: [norm.kept, norm.coefficients, norm.gradientCoefficients] + [sums?.sums, scale, shift].compactMap { $0 })
  }
  private func graphName(_ node: Int) -> String { compiler.graph.nodes[node].name }

  // MARK: - Gradients of weights

  func differentiates(_ node: Graph.Node) -> Bool { node.parameters.contains { compiler.key.differentiated.contains($0) } }
  /// Scratch for the weight gradient of a convolution that may get one.
  func reserveWeightGradient(_ node: Graph.Node, _ conv: ck_conv) {
    var conv = conv
    if differentiates(node) { compiler.reserve(scratch: ck_conv_weight_gradient_scratch_bytes(&conv)) }
  }
  /// The gradients of a convolution's weights and bias, where they are differentiated.
  func emitWeightGradient(
    _ node: Graph.Node, _ forward: ConvolutionForward, _ conv: ck_conv, reading operand: OperandSpecification,
    _ gradient: OperandSpecification
  ) {
    guard differentiates(node) else { return }
    var conv = conv
    let partial = compiler.buffer(fixedBytes: ck_conv_weight_gradient_partial_bytes(&conv, Int32(compiler.capacity)))
    let targets = (
      weights: compiler.gradientBuffer(node.parameters[0]), bias: node.parameters.dropFirst().first.flatMap(compiler.gradientBuffer)
    )
    compiler.emitBackward(
      ConvolutionWeightGradient(forward, operand, gradient, partial: partial, weights: targets.weights, bias: targets.bias),
      touching: operand.touched + gradient.touched + [partial, targets.weights, targets.bias].compactMap { $0 })
  }

  // MARK: - Gradients of stored values

  /// A stored value's gradient as something to read; nil where none arrived.
  func gradientOperand(of stored: StoredValue) -> OperandSpecification? {
    var plain: [BufferID] = []
    var norms: [(BufferID, FusedNorm)] = []
    for term in stored.terms {
      switch term {
      case .plain(let buffer): plain.append(buffer)
      case .norm(let buffer, let norm): norms.append((buffer, norm))
      }
    }
    while norms.count > 1 {
      let (buffer, norm) = norms.removeLast()
      plain.append(evaluated(operand(buffer, norm), stored.shape))
    }
    while plain.count > (norms.isEmpty ? 2 : 1) {
      let (first, second) = (plain.removeFirst(), plain.removeFirst())
      plain.insert(sum(first, second, stored.shape), at: 0)
    }
    if let (buffer, norm) = norms.first {
      var operand = operand(buffer, norm)
      operand.third = plain.first
      return operand
    }
    guard let first = plain.first else { return nil }
    return OperandSpecification(x: first, third: plain.count > 1 ? plain[1] : nil)
  }
  /// a · gradient + b · input + c.
  private func operand(_ gradient: BufferID, _ norm: FusedNorm) -> OperandSpecification {
    let (padded, stride) = (norm.padded, norm.stride)
    let coefficients = norm.gradientCoefficients
    guard needsInput(norm) else {
      return OperandSpecification(x: gradient, affine: AffineReference(buffer: coefficients, scale: 0, shift: nil, imageStride: stride))
    }
    return OperandSpecification(
      x: gradient, affine: AffineReference(buffer: coefficients, scale: 0, shift: 2 * padded, imageStride: stride), second: norm.input,
      secondAffine: AffineReference(buffer: coefficients, scale: padded, shift: nil, imageStride: stride))
  }
  /// False where the statistics are constants: the input's gradient is then a multiple of the arriving one.
  private func needsInput(_ norm: FusedNorm) -> Bool { norm.isPerImage || compiler.key.statistics == .batch }

  /// A stored value's gradient in one buffer; nil where none arrived.
  func plainGradient(of stored: StoredValue) -> BufferID? {
    guard let operand = gradientOperand(of: stored) else { return nil }
    if operand.affine == nil, operand.second == nil, operand.third == nil { return operand.x }
    return evaluated(operand, stored.shape)
  }
  private func evaluated(_ operand: OperandSpecification, _ shape: Shape) -> BufferID {
    let epilogue = EpilogueSpecification(output: blockedRows(shape))
    compiler.emitBackward(Elementwise("evaluate gradient", shape, operand, epilogue), touching: operand.touched + epilogue.touched)
    return epilogue.output
  }
}
