// How values in blocked layout are read: evaluated on the way, from memory, and with what the backward will need of them.

internal import CKernels

extension FusedLowering {
  /// True where somebody other than a convolution reads a value, so that it has to lie in memory.
  func needsMemory(_ site: SiteValue, _ readers: [Int]) -> Bool {
    if site.second != nil, readers.count > 1 { return true }
    return readers.contains { reader in
      guard reader >= 0 else { return false }
      return graph.nodes[reader].operation is Add || graph.nodes[reader].operation is Shortcut
    }
  }
  /// How a value is read by one more step.
  func operand(of value: PlanValue) -> OperandSpecification {
    switch value {
    case let stored as StoredValue: return OperandSpecification(x: stored.buffer)
    case let site as SiteValue:
      if let buffer = site.materialized { return OperandSpecification(x: buffer) }
      var operand = OperandSpecification(x: buffer(of: site.first), affine: site.first.norm?.affine, activation: site.activation)
      if let second = site.second {
        operand.second = buffer(of: second)
        operand.secondAffine = second.norm?.affine
      }
      operand.gate = site.gate?.reference
      return operand
    default: fatalError("a value in another layout was read as blocked")
    }
  }
  /// How a value is read by a step of the forward; the first to read one whose mask the backward could not find otherwise leaves its signs.
  func operandLeavingSigns(of value: PlanValue) -> OperandSpecification {
    var operand = operand(of: value)
    if let site = value as? SiteValue, site.materialized == nil, site.signs == nil, needsSigns(site) {
      site.signs = compiler.buffer(bytesPerImage: paddedChannels(site.shape[0]) / 8 * site.shape[1] * site.shape[2])
      operand.signs = site.signs
    }
    return operand
  }
  /// True where the mask of a value's activation would keep in memory what the backward does not read anyway: sums, and values without a norm.
  private func needsSigns(_ site: SiteValue) -> Bool {
    guard compiler.key.needsBackward, site.requiresGradient, site.gate == nil,
      site.activation == CK_ACTIVATION_RELU || site.activation == CK_ACTIVATION_RELU6
    else { return false }
    guard site.second == nil, let norm = site.first.norm else { return true }
    return !needsSums(norm)
  }
  func buffer(of addend: Addend) -> BufferID {
    switch addend.source {
    case .stored(let stored): return stored.buffer
    case .site(let site): return materialize(site)
    }
  }
  /// The buffer that holds a site's value; a step of its own evaluates it if nothing did so far.
  @discardableResult func materialize(_ site: SiteValue) -> BufferID {
    if let buffer = site.materialized { return buffer }
    let operand = operandLeavingSigns(of: site)
    let epilogue = EpilogueSpecification(output: blockedRows(site.shape))
    compiler.emit(Elementwise("evaluate", site.shape, operand, epilogue), touching: operand.touched + epilogue.touched)
    site.materialize(in: epilogue.output, at: compiler.forwardStepCount)
    return epilogue.output
  }
  /// A reader registers: one more gradient will arrive at the value.
  func register(_ value: PlanValue) {
    if let site = value as? SiteValue, site.requiresGradient { site.expected += 1 }
  }
}
