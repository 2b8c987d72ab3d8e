// Convolutions, poolings, norms and means.

import Engine
import Onnx

extension OnnxImporter {
  /// The planes of images: channels × rows × columns of a view batch × channels × rows × columns, with the axis in front.
  private mutating func images(_ x: ImageView, _ node: OnnxNode) throws(TTAError) -> (place: Int, leading: [AxisPart]) {
    guard x.axes.count == 4 else { throw refuse("a value of \(x.axes.count) axes, where images have 4,") }
    guard x.axes[0] == [.batch] || x.axes[0].isEmpty, !x.axes.dropFirst().joined().contains(.batch) else {
      throw refuse("the shape \(x.lengths.text), where the batch is not the first axis alone,")
    }
    return (try tracer.node(of: x, as: Shape(Array(x.imageLengths.dropFirst())), for: node.layerName), x.axes[0])
  }
  /// A layer from planes to planes.
  mutating func planes(_ x: ImageView, _ node: OnnxNode, _ operation: any Operator, _ parameters: [GraphTracer.Parameter] = [])
    throws(TTAError) -> ImageView
  {
    let (place, leading) = try images(x, node)
    let result = try tracer.add(node.layerName, operation, [place], parameters)
    return ImageView(node: result, leading: leading, shape: tracer.shape(of: result).dimensions)
  }
  /// A tensor of a layer; its place in the file where it is an initialiser as it stands.
  private func parameter(_ name: String, _ role: ParameterRole, _ constant: TracedConstant, _ shape: Shape) throws(TTAError)
    -> GraphTracer.Parameter
  {
    guard let tensor = constant.numbers, tensor.elementCount == shape.elementCount else {
      throw TTAError(.invalidData, "expected \(shape) values of \(name), got \(constant.lengths.text)")
    }
    let source = constant.origin == nil ? nil : ParameterSource(tensor: name, shape: tensor.shape)
    return GraphTracer.Parameter(name: name, role: role, tensor: tensor.reshaped(to: shape), source: source)
  }

  // MARK: - Windows

  private struct Window {
    var kernel: Convolution.Pair, stride: Convolution.Pair, dilation: Convolution.Pair
    var padding: Convolution.Padding
  }
  private func window(_ node: OnnxNode, kernel: [Int], input: [Int]) throws(TTAError) -> Window {
    func pair(_ name: String) throws(TTAError) -> [Int] {
      let list = node.integers(name) ?? [1, 1]
      guard list.count == 2, list.allSatisfy({ $0 > 0 && $0 < 1 << 12 }) else { throw refuse("\(name) \(list)") }
      return list
    }
    let (stride, dilation) = (try pair("strides"), try pair("dilations"))
    var pads = node.integers("pads") ?? [0, 0, 0, 0]
    guard pads.count == 4, pads.allSatisfy({ $0 >= 0 && $0 < 1 << 12 }), kernel.allSatisfy({ $0 > 0 && $0 < 1 << 12 }) else {
      throw refuse("a window of \(kernel) with pads \(pads)", .invalidData)
    }
    let automatic = node.text("auto_pad", "NOTSET")
    if automatic == "SAME_UPPER" || automatic == "SAME_LOWER" {
      for axis in 0..<2 {
        let span = dilation[axis] * (kernel[axis] - 1) + 1
        let total = max(0, ((input[axis] + stride[axis] - 1) / stride[axis] - 1) * stride[axis] + span - input[axis])
        let less = total / 2
        (pads[axis], pads[axis + 2]) = automatic == "SAME_UPPER" ? (less, total - less) : (total - less, less)
      }
    } else if automatic == "VALID" {
      pads = [0, 0, 0, 0]
    }
    return Window(
      kernel: .init(kernel[0], kernel[1]), stride: .init(stride[0], stride[1]), dilation: .init(dilation[0], dilation[1]),
      padding: .init(top: pads[0], bottom: pads[2], left: pads[1], right: pads[3]))
  }
  /// A layer of one dimension as one of two: rows of height 1. The node, and whether it was widened.
  private func planar(_ node: OnnxNode, _ x: ImageView) -> (node: OnnxNode, x: ImageView, isWidened: Bool) {
    guard x.axes.count == 3 else { return (node, x, false) }
    var wide = node
    for (name, idle) in [("kernel_shape", 1), ("strides", 1), ("dilations", 1)] {
      if let list = node.integers(name), list.count == 1 { wide.attributes[name] = .integers([idle] + list) }
    }
    if let pads = node.integers("pads"), pads.count == 2 { wide.attributes["pads"] = .integers([0, pads[0], 0, pads[1]]) }
    return (wide, x.inserting(at: 2), true)
  }
  private func narrowed(_ x: ImageView, _ isWidened: Bool) -> ImageView {
    var result = x
    if isWidened { result.axes.remove(at: 2) }
    return result
  }
  mutating func convolution(_ given: ImageView, _ weight: TracedConstant?, _ bias: TracedConstant?, _ written: OnnxNode) throws(TTAError)
    -> ImageView
  {
    guard let weight else { throw refuse("a convolution whose weights depend on the images") }
    let (node, x, isWidened) = planar(written, given)
    guard var shape = weight.lengths.fixed, shape.count == given.axes.count else {
      throw refuse("a convolution of \(weight.lengths.count - 2) dimensions")
    }
    if isWidened { shape.insert(1, at: 2) }
    let input = x.imageLengths
    guard input.count == 4 else { throw refuse("a convolution of \(input.count - 2) dimensions") }
    let window = try window(node, kernel: Array(shape[2...]), input: Array(input[2...]))
    let groups = node.integer("group", 1)
    guard groups > 0, shape[1] * groups == input[1] else {
      throw TTAError(.invalidData, "expected weights for \(input[1]) channels in \(groups) groups, got \(Shape(shape))")
    }
    var parameters = [try parameter(node.inputs[1], .weight, weight, Shape(shape))]
    // Exporters write offsets of zero in front of norms; a layer without one is the same.
    let isIdle =
      bias.map { bias in bias.origin.map { !$0.hasSuffix(".bias") } ?? true && bias.numbers?.values.allSatisfy { $0 == 0 } == true } ?? true
    if let bias, !isIdle { parameters.append(try parameter(node.inputs[2], .bias, bias, [shape[0]])) }
    let operation = Convolution(
      filters: shape[0], kernel: window.kernel, stride: window.stride, padding: window.padding, dilation: window.dilation, groups: groups,
      hasBias: parameters.count > 1)
    return narrowed(try planes(x, node, operation, parameters), isWidened)
  }
  mutating func pooled(_ given: ImageView, _ written: OnnxNode) throws(TTAError) -> ImageView {
    let (node, wide, isWidened) = planar(written, given)
    var x = wide
    guard let kernel = node.integers("kernel_shape"), kernel.count == 2, x.axes.count == 4 else {
      throw refuse("pooling of \(x.axes.count - 2) dimensions")
    }
    let window = try window(node, kernel: kernel, input: Array(x.imageLengths[2...]))
    guard window.dilation == .init(1), node.integer("storage_order", 0) == 0 else { throw refuse("pooling with gaps") }
    let isMaximum = node.operation == "MaxPool"
    var padding = Convolution.Pair(window.padding.top, window.padding.left)
    var after = Convolution.Pair(window.padding.bottom, window.padding.right)
    if padding != after, !isMaximum, node.flag("count_include_pad") {
      let pad = Pad(top: padding.height, left: padding.width, bottom: after.height, right: after.width)
      x = try planes(x, OnnxNode("Pad", [], node.outputs, name: node.layerName + ".pad"), pad)
      (padding, after) = (.init(0), .init(0))
    }
    let kind: Pooling.Kind = isMaximum ? .maximum : .average(countsPadding: node.flag("count_include_pad"))
    let operation = Pooling(
      kind, kernel: window.kernel, stride: window.stride, padding: padding, paddingAfter: after, roundsUp: node.flag("ceil_mode"))
    return narrowed(try planes(x, node, operation), isWidened)
  }
  mutating func pooledGlobally(_ x: ImageView, _ node: OnnxNode) throws(TTAError) -> ImageView {
    let (place, leading) = try images(x, node)
    let operation: any Operator =
      node.operation == "GlobalAveragePool" ? Mean(over: .positions) : AdaptivePooling(takesMaximum: true, size: .init(1))
    let result = try tracer.add(node.layerName, operation, [place])
    return ImageView(node: result, leading: leading, shape: [tracer.shape(of: result)[0], 1, 1])
  }

  // MARK: - Norms

  mutating func batchNorm(_ x: ImageView, _ constants: [TracedConstant?], _ node: OnnxNode) throws(TTAError) -> ImageView {
    guard x.axes.count >= 2, x.lengths[1].isFixed, node.integer("spatial", 1) == 1 else { throw refuse("a norm of this kind") }
    let channels = x.imageLengths[1]
    let roles: [ParameterRole] = [.normScale, .normShift, .runningMean, .runningVariance]
    var parameters: [GraphTracer.Parameter] = []
    for (k, role) in roles.enumerated() {
      guard let constant = constants[k] else { throw refuse("a norm whose values depend on the images") }
      parameters.append(try parameter(node.inputs[k + 1], role, constant, [channels]))
    }
    let operation = BatchNorm(epsilon: node.float("epsilon", 1e-5))
    if x.axes.count == 4 { return try planes(x, node, operation, parameters) }
    // Features and sequences: positions along one axis.
    guard x.axes[0] == [.batch] || x.axes[0].isEmpty, !x.axes.dropFirst().joined().contains(.batch) else {
      throw refuse("the shape \(x.lengths.text)")
    }
    let area = x.imageLengths.dropFirst(2).reduce(1, *)
    let place = try tracer.node(of: x, as: [channels, area, 1], for: node.layerName)
    return x.gathered(in: try tracer.add(node.layerName, operation, [place], parameters))
  }
  mutating func groupNorm(_ x: ImageView, _ scale: TracedConstant?, _ shift: TracedConstant?, _ node: OnnxNode) throws(TTAError)
    -> ImageView
  {
    guard x.axes.count >= 3, let scale, let shift else { throw refuse("a norm of this kind") }
    let channels = x.imageLengths[1]
    let groups = node.operation == "InstanceNormalization" ? channels : node.integer("num_groups", 1)
    func perChannel(_ constant: TracedConstant) throws(TTAError) -> TracedConstant {
      guard let tensor = constant.numbers else { throw refuse("a norm of this kind") }
      if tensor.elementCount == channels { return constant }
      guard tensor.elementCount == groups, channels % groups == 0 else {
        throw TTAError(.invalidData, "expected \(channels) values of the norm, got \(tensor.elementCount)")
      }
      return TracedConstant(Tensor(tensor.values.flatMap { Array(repeating: $0, count: channels / groups) }, shape: [channels]))
    }
    let parameters = [
      try parameter(node.inputs[1], .normScale, perChannel(scale), [channels]),
      try parameter(node.inputs[2], .normShift, perChannel(shift), [channels]),
    ]
    let operation = GroupNorm(groups: groups, epsilon: node.float("epsilon", 1e-5))
    if x.axes.count == 4 { return try planes(x, node, operation, parameters) }
    guard x.axes[0] == [.batch] || x.axes[0].isEmpty, !x.axes.dropFirst().joined().contains(.batch) else {
      throw refuse("the shape \(x.lengths.text)")
    }
    let place = try tracer.node(of: x, as: [channels, x.imageLengths.dropFirst(2).reduce(1, *), 1], for: node.layerName)
    return x.gathered(in: try tracer.add(node.layerName, operation, [place], parameters))
  }
  mutating func layerNorm(_ x: ImageView, _ scale: TracedConstant?, _ shift: TracedConstant?, _ node: OnnxNode) throws(TTAError)
    -> ImageView
  {
    let axis = try axis(node.integer("axis", -1), of: x)
    guard let scale, !x.axes[axis...].joined().contains(.batch) else { throw refuse("a norm of this kind") }
    let width = x.imageLengths[axis...].reduce(1, *)
    let zeros = TracedConstant(Tensor(zeros: [width]))
    let parameters = [
      try parameter(node.inputs[1], .normScale, scale, [width]),
      try parameter(shift == nil ? node.layerName + ".shift" : node.inputs[2], .normShift, shift ?? zeros, [width]),
    ]
    let isPlain = axis == x.axes.count - 1 && x.axes.count > 2
    let place = try tracer.node(of: x, as: isPlain ? nil : Shape([width]).prefixed(max(1, x.count / width)), for: node.layerName)
    return x.gathered(in: try tracer.add(node.layerName, LayerNorm(epsilon: node.float("epsilon", 1e-5)), [place], parameters))
  }

  // MARK: - Reductions

  mutating func reduced(_ x: ImageView, _ node: OnnxNode, _ constant: TracedConstant?) throws(TTAError) -> ImageView {
    let given = node.axes(constant)
    if given?.isEmpty == true, node.flag("noop_with_empty_axes") { return x }
    let listed = given.flatMap { $0.isEmpty ? nil : $0 } ?? Array(x.axes.indices)
    let axes = Set(try listed.map { axis throws(TTAError) in try self.axis(axis, of: x) })
    guard !axes.contains(where: { x.axes[$0].contains(.batch) }) else { throw refuse("a mean over the batch") }
    let kept = x.axes.indices.filter { !axes.contains($0) }
    let moved = x.transposed(kept + axes.sorted())
    let count = axes.reduce(1) { $0 * x.imageLengths[$1] }
    let rows = x.count / count
    let result: Int
    let isPlanes = x.axes.count == 4 && x.axes[0] == [.batch] && axes == [2, 3]
    if node.operation == "ReduceMean" || node.operation == "ReduceSum" {
      if x.axes.count == 3, axes == [1], x.axes[0] == [.batch] {
        result = try tracer.add(node.layerName, Mean(over: .tokens), [tracer.node(of: x, for: node.layerName)])
      } else {
        let shape = isPlanes ? Shape(Array(x.imageLengths.dropFirst())) : [rows, count, 1]
        result = try tracer.add(node.layerName, Mean(over: .positions), [tracer.node(of: moved, as: shape, for: node.layerName)])
      }
    } else {
      let place = try tracer.node(of: moved, as: [rows, count, 1], for: node.layerName)
      result = try tracer.add(node.layerName, AdaptivePooling(takesMaximum: true, size: .init(1)), [place])
    }
    var view = x
    view.axes = x.axes.indices.map { axes.contains($0) ? [] : x.axes[$0] }
    view = view.gathered(in: result)
    view.scale = node.operation == "ReduceSum" ? Float(count) : 1
    if node.integer("keepdims", 1) == 0 { view.axes = kept.map { view.axes[$0] } }
    return view
  }
}
