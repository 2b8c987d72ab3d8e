// Functions, sums and products of values that depend on the images.

import Engine
import Onnx

extension OnnxImporter {
  /// A value that can be read: attention that is not complete becomes products and a softmax.
  mutating func settled(_ value: TracedValue) throws(TTAError) -> TracedValue {
    guard case .scores(let scores) = value else { return value }
    let product = try matrixProduct(scores.queries, scores.keys, "attention.scores")
    guard scores.isSoftmax else { return .image(product) }
    let place = try tracer.node(of: product, for: "attention.scores")
    return .image(product.gathered(in: try tracer.add("attention.softmax", RowFunction(.softmax), [place])))
  }

  // MARK: - One value

  /// A function of every value; the view stays where it covers its node.
  mutating func elementwise(_ x: ImageView, _ name: String, _ operation: any Operator) throws(TTAError) -> ImageView {
    var result = try tracer.settled(x, for: name)
    result.node = try tracer.add(name, operation, [result.node])
    return result
  }
  mutating func function(
    _ x: ImageView, _ node: OnnxNode, _ bounds: (TracedConstant?, TracedConstant?), _ given: (Bool, Bool)
  ) throws(TTAError) -> ImageView {
    func activation(_ function: Activation.Function) -> any Operator { Activation(function) }
    let operation: any Operator
    switch node.operation {
    case "Relu": operation = Activation(.relu)
    case "Sigmoid": operation = Activation(.sigmoid)
    case "Tanh": operation = Activation(.tanh)
    case "Gelu": operation = Activation(node.text("approximate", "none") == "tanh" ? .geluTanh : .gelu)
    case "Silu": operation = Activation(.silu)
    case "HardSwish": operation = Activation(.hardSwish)
    case "LeakyRelu": operation = Activation(.leakyReLU(slope: node.float("alpha", 0.01)))
    case "Softplus": operation = Activation(.softplus)
    case "Elu": operation = ScalarFunction(.elu(scale: node.float("alpha", 1), factor: 1))
    case "Selu": operation = ScalarFunction(.elu(scale: node.float("alpha", 1.673_263_192), factor: node.float("gamma", 1.050_701_022)))
    case "Mish": operation = ScalarFunction(.mish)
    case "HardSigmoid":
      let (scale, shift) = (node.float("alpha", 0.2), node.float("beta", 0.5))
      operation =
        abs(scale - 1 / 6) < 1e-7 && shift == 0.5 ? Activation(.hardSigmoid) : ScalarFunction(.hardSigmoid(scale: scale, shift: shift))
    case "Clip":
      guard bounds.0?.scalar != nil || !given.0, bounds.1?.scalar != nil || !given.1 else { throw refuse("a bound that is no number") }
      let lowest = bounds.0?.scalar ?? node.float("min", -.greatestFiniteMagnitude)
      let highest = bounds.1?.scalar ?? node.float("max", .greatestFiniteMagnitude)
      operation = lowest == 0 && highest == 6 ? Activation(.relu6) : ScalarFunction(.clip(lowest: lowest, highest: highest))
    case "Erf": operation = ScalarFunction(.errorFunction)
    case "Exp": operation = ScalarFunction(.exponential)
    case "Log": operation = ScalarFunction(.logarithm)
    case "Sqrt": operation = ScalarFunction(.squareRoot)
    case "Abs": operation = ScalarFunction(.magnitude)
    case "Reciprocal": operation = ScalarFunction(.reciprocal)
    case "Neg": return x.scaled(-1)
    default: throw refuse(node.operation)
    }
    return try elementwise(x, node.layerName, operation)
  }
  mutating func softmax(_ x: ImageView, _ node: OnnxNode) throws(TTAError) -> ImageView {
    let function: RowFunction.Function = node.operation == "Softmax" ? .softmax : .logSoftmax
    guard file.opset >= 13 else {
      // Older operators take everything from the axis on as one row.
      let axis = try axis(node.integer("axis", 1), of: x)
      let place = try tracer.node(
        of: x, as: Shape([max(1, x.imageLengths[..<axis].reduce(1, *)), x.imageLengths[axis...].reduce(1, *)]), for: node.layerName)
      guard !x.axes[axis...].joined().contains(.batch) else { throw refuse("a softmax over the batch") }
      return x.gathered(in: try tracer.add(node.layerName, RowFunction(function), [place]))
    }
    let axis = try axis(node.integer("axis", -1), of: x)
    guard !x.axes[axis].contains(.batch) else { throw refuse("a softmax over the batch") }
    var order = x.axes.indices.filter { $0 != axis }
    order.append(axis)
    let moved = x.transposed(order)
    let width = moved.imageLengths[order.count - 1]
    let place = try tracer.node(of: moved, as: Shape([moved.count / width, width]), for: node.layerName)
    let result = moved.gathered(in: try tracer.add(node.layerName, RowFunction(function), [place]))
    var back = Array(repeating: 0, count: order.count)
    for (place, axis) in order.enumerated() { back[axis] = place }
    return result.transposed(back)
  }

  // MARK: - Two values

  mutating func arithmetic(_ values: [TracedValue], _ node: OnnxNode) throws(TTAError) -> ImageView {
    guard var result = values.first else { throw TTAError(.invalidData, "it has no input") }
    if values.count == 1, case .image(let x) = result { return x }
    let operations: [String: BroadcastArithmetic.Operation] = [
      "Add": .add, "Sum": .add, "Mean": .add, "Sub": .subtract, "Mul": .multiply, "Div": .divide, "Max": .maximum, "Min": .minimum,
    ]
    for (k, value) in values.enumerated().dropFirst() {
      switch (result, value) {
      case (.image(let x), .image(let y)):
        guard let operation = operations[node.operation] else { throw refuse("a power that depends on the images") }
        result = .image(try combined(x, y, operation, node))
      case (.image(let x), .constant(let y)):
        result = .image(
          try combined(x, y, name: node.inputs.count > k ? node.inputs[k] : "", isReversed: false, node, operations[node.operation]))
      case (.constant(let x), .image(let y)):
        result = .image(try combined(y, x, name: node.inputs.first ?? "", isReversed: true, node, operations[node.operation]))
      default: throw refuse("constants before images")
      }
    }
    guard case .image(let sum) = result else { throw refuse("constants alone") }
    return node.operation == "Mean" ? sum.scaled(1 / Float(values.count)) : sum
  }
  private mutating func combined(_ left: ImageView, _ right: ImageView, _ operation: BroadcastArithmetic.Operation, _ node: OnnxNode)
    throws(TTAError) -> ImageView
  {
    let name = node.layerName
    var (x, y) = (try tracer.settled(left, for: name), try tracer.settled(right, for: name))
    if x.lengths == y.lengths, operation == .add || operation == .multiply {
      func join(_ a: Int, _ b: Int) throws(TTAError) -> Int { try tracer.add(name, operation == .add ? Add() : Multiply(), [a, b]) }
      if x.axes == y.axes, tracer.shape(of: x.node) == tracer.shape(of: y.node) {
        x.node = try join(x.node, y.node)
        return x
      }
      let shape = x.isWhole(of: tracer.shape(of: x.node).elementCount) ? tracer.shape(of: x.node) : nil
      let place = try tracer.node(of: x, as: shape, for: name)
      return x.gathered(in: try join(place, try tracer.node(of: y, as: tracer.shape(of: place), for: name)))
    }
    // Factors of channels.
    if operation == .multiply, x.axes.count == 4, y.axes.count == 4 {
      if x.count < y.count { swap(&x, &y) }
      let (large, small) = (x.lengths, y.lengths)
      if small == [large[0], large[1], 1, 1], large[0] == .batch, large.dropFirst().allSatisfy(\.isFixed) {
        let shape = Shape(large.dropFirst().map(\.fixed))
        let factors = try tracer.node(of: y, as: [shape[0], 1, 1], for: name)
        return ImageView(
          node: try tracer.add(name, Multiply(), [tracer.node(of: x, as: shape, for: name), factors]), leading: [.batch],
          shape: shape.dimensions)
      }
      (x, y) = (try tracer.settled(left, for: name), try tracer.settled(right, for: name))
    }
    let rank = max(x.axes.count, y.axes.count)
    func padded(_ view: ImageView) -> ImageView {
      var result = view
      result.axes = Array(repeating: [], count: rank - view.axes.count) + view.axes
      return result
    }
    (x, y) = (padded(x), padded(y))
    let lengths = zip(x.lengths, y.lengths).map { $0 == 1 ? $1 : $0 }
    guard zip(x.lengths, y.lengths).allSatisfy({ $0 == $1 || $0 == 1 || $1 == 1 }) else {
      throw TTAError(.invalidData, "values of shapes \(x.lengths.text) and \(y.lengths.text)")
    }
    let places = [
      try tracer.node(of: x, as: Shape(x.imageLengths), for: name), try tracer.node(of: y, as: Shape(y.imageLengths), for: name),
    ]
    return view(try tracer.add(name, BroadcastArithmetic(operation), places), lengths)
  }
  /// A node whose shape is the lengths within one image, with the batch where they grow.
  private func view(_ node: Int, _ lengths: [Extent]) -> ImageView {
    var step = 1
    let axes: [[AxisPart]] = lengths.reversed().map { length in
      let count = max(length.fixed, length.perImage)
      defer { step *= count }
      return (length.isFixed ? [] : [.batch]) + (count > 1 ? [.run(length: count, step: step)] : [])
    }
    return ImageView(node: node, offset: 0, axes: axes.reversed())
  }
  private mutating func combined(
    _ x: ImageView, _ constant: TracedConstant, name input: String, isReversed: Bool, _ node: OnnxNode,
    _ operation: BroadcastArithmetic.Operation?
  ) throws(TTAError) -> ImageView {
    let name = node.layerName
    guard let tensor = constant.numbers else { throw refuse("arithmetic with numbers that grow with the batch") }
    if let c = constant.scalar, constant.lengths.count <= x.axes.count {
      switch (operation, isReversed) {
      case (.add, _): return c == 0 ? x : try elementwise(x, name, ScalarFunction(.affine(scale: 1, shift: c)))
      case (.subtract, false): return c == 0 ? x : try elementwise(x, name, ScalarFunction(.affine(scale: 1, shift: -c)))
      case (.subtract, true): return try elementwise(x.scaled(-1), name, ScalarFunction(.affine(scale: 1, shift: c)))
      case (.multiply, _): return x.scaled(c)
      case (.divide, false): return x.scaled(1 / c)
      case (.divide, true): return try elementwise(x, name, ScalarFunction(.reciprocal)).scaled(c)
      case (.maximum, _): return try elementwise(x, name, ScalarFunction(.clip(lowest: c, highest: .greatestFiniteMagnitude)))
      case (.minimum, _): return try elementwise(x, name, ScalarFunction(.clip(lowest: -.greatestFiniteMagnitude, highest: c)))
      case (nil, false): return try elementwise(x, name, c == 0.5 ? ScalarFunction(.squareRoot) : ScalarFunction(.power(c)))
      case (nil, true): throw refuse("a power of a constant")
      }
    }
    guard let operation else { throw refuse("powers that differ") }
    let rank = max(x.axes.count, constant.lengths.count)
    guard rank == x.axes.count || x.axes.isEmpty || !x.axes.joined().contains(.batch) else {
      throw refuse("a constant of more axes than the images have")
    }
    // The constant's lengths beside the view's, without the batch.
    var wide = x
    wide.axes = Array(repeating: [], count: rank - x.axes.count) + x.axes
    let lengths = Array(repeating: Extent(1), count: rank - constant.lengths.count) + constant.lengths
    let own = wide.lengths
    guard zip(own, lengths).allSatisfy({ $0 == $1 || $1 == 1 || $0 == 1 }) else {
      throw TTAError(.invalidData, "values of shapes \(own.text) and \(constant.lengths.text)")
    }
    let shape = lengths.map { $0.isFixed ? $0.fixed : 1 }
    let source = constant.origin != nil && !input.isEmpty ? ParameterSource(tensor: input, shape: tensor.shape) : nil
    func parameter(_ role: ParameterRole, _ shape: Shape) -> GraphTracer.Parameter {
      GraphTracer.Parameter(
        name: input.isEmpty ? name + ".constant" : input, role: role, tensor: tensor.reshaped(to: shape), source: source)
    }
    let isImage = rank == 4 && own[0] == .batch && own.dropFirst().allSatisfy(\.isFixed)
    let planes = Shape(isImage ? own.dropFirst().map(\.fixed) : [])
    if isImage, shape == [1, planes[0], 1, 1], !isReversed || operation == .add || operation == .multiply {
      let channels = Shape([planes[0]])
      switch operation {
      case .multiply:
        let place = try tracer.node(of: wide, as: planes, for: name)
        return ImageView(
          node: try tracer.add(name, ScaleChannels(isLast: false), [place], [parameter(.weight, tensor.shape)]), leading: [.batch],
          shape: planes.dimensions)
      case .add:
        let place = try tracer.node(of: wide, as: planes, for: name)
        // Behind factors of its own it is one layer with them.
        if tracer.nodes[place].operation is ScaleChannels {
          let scaled = tracer.nodes[place]
          let both = [scaled.parameters[0], parameter(.bias, channels)]
          return ImageView(node: try tracer.add(name, ScaleAndShift(), scaled.inputs, both), leading: [.batch], shape: planes.dimensions)
        }
      default: break
      }
    }
    // A position embedding: as many values as an image's.
    if operation == .add, constant.lengths.allSatisfy(\.isFixed), own.first == .batch, own.dropFirst().allSatisfy(\.isFixed),
      shape.first == 1, Array(shape.dropFirst()) == own.dropFirst().map(\.fixed)
    {
      let place = try tracer.node(of: wide, for: name)
      let added = try tracer.add(name, AddParameter(), [place], [parameter(.token, Shape(shape))])
      return ImageView(node: added, leading: [.batch], shape: tracer.shape(of: added).dimensions)
    }
    let place = try tracer.node(of: wide, as: Shape(wide.imageLengths), for: name)
    let result = BroadcastArithmetic(operation, parameterShape: Shape(shape), isReversed: isReversed)
    return view(try tracer.add(name, result, [place], [parameter(.weight, Shape(shape))]), zip(own, lengths).map { $0 == 1 ? $1 : $0 })
  }

  // MARK: - Products

  mutating func product(_ values: [TracedValue?], _ node: OnnxNode) throws(TTAError) -> TracedValue {
    guard values.count == 2, let left = values[0], let right = values[1] else { throw TTAError(.invalidData, "it needs two inputs") }
    switch (left, right) {
    case (.image(let x), .constant(let weight)):
      if weight.lengths.count == 2 { return .image(try linear(x, weight: (node.inputs[1], weight, true), bias: nil, node)) }
      throw refuse("a product with a constant of \(weight.lengths.count) axes")
    case (.image(let x), .image(let y)):
      guard x.axes.count >= 2, y.axes.count >= 2 else { throw refuse("a product of vectors") }
      return .scores(AttentionScores(queries: x, keys: y, isSoftmax: false))
    default: throw refuse("a constant in front of the images")
    }
  }
  mutating func matrixProduct(_ x: ImageView, _ y: ImageView, _ name: String) throws(TTAError) -> ImageView {
    let rank = x.axes.count
    let (a, b) = (x.lengths, y.lengths)
    guard rank == y.axes.count, a.dropLast(2) == b.dropLast(2), a[rank - 1] == b[rank - 2], a[rank - 1].isFixed, a[rank - 2].isFixed,
      b[rank - 1].isFixed
    else {
      throw refuse("a product of \(a.text) and \(b.text)")
    }
    let count = x.imageLengths.dropLast(2).reduce(1, *)
    let left = try tracer.node(of: x, as: Shape([count] + x.imageLengths.suffix(2)), for: name)
    let right = try tracer.node(of: y, as: Shape([count] + y.imageLengths.suffix(2)), for: name)
    return view(try tracer.add(name, MatrixProduct(), [left, right]), a.dropLast() + [b[rank - 1]])
  }
  /// softmax(Q Kᵀ / √d) V where queries, keys and values lie side by side in one node; nil for any other arrangement.
  mutating func attention(_ scores: AttentionScores, _ values: ImageView, _ name: String) throws(TTAError) -> ImageView? {
    let (q, k, v) = (scores.queries, scores.keys, values)
    let rank = q.axes.count
    guard rank >= 3, k.axes.count == rank, v.axes.count == rank, q.node == k.node, k.node == v.node,
      q.axes.dropLast(2) == v.axes.dropLast(2),
      k.axes.dropLast(2) == v.axes.dropLast(2), q.axes[rank - 2] == v.axes[rank - 2], q.axes[rank - 1] == v.axes[rank - 1],
      k.axes[rank - 1] == q.axes[rank - 2], k.axes[rank - 2] == q.axes[rank - 1], v.scale == 1
    else { return nil }
    let leading = q.axes.dropLast(2).joined().filter { $0 != .batch }
    guard q.axes.dropLast(2).joined().contains(.batch), leading.count <= 1, q.axes[rank - 2].count == 1, q.axes[rank - 1].count == 1,
      case .run(let tokens, let tokenStep) = q.axes[rank - 2][0], case .run(let depth, 1) = q.axes[rank - 1][0]
    else { return nil }
    var heads = 1
    if let part = leading.first {
      guard case .run(let count, let step) = part, step == depth else { return nil }
      heads = count
    }
    let width = heads * depth
    guard tokenStep == 3 * width, q.offset == 0, k.offset == width, v.offset == 2 * width,
      tracer.shape(of: q.node).elementCount == tokens * 3 * width,
      abs(q.scale * k.scale * Float(depth).squareRoot() - 1) < 1e-5
    else { return nil }
    let whole = ImageView(node: q.node, leading: nil, shape: [tokens, 3 * width])
    let place = try tracer.node(of: whole, as: [tokens, 3 * width], for: name)
    var result = ImageView(node: try tracer.add(name, Attention(heads: heads), [place]), offset: 0, axes: q.axes)
    result.axes[rank - 2] = [.run(length: tokens, step: width)]
    return result
  }
  /// x Wᵀ + b along the last axis; `isTransposed` where the file's weight is inputs × outputs.
  mutating func linear(
    _ x: ImageView, weight: (name: String, value: TracedConstant?, isTransposed: Bool), bias: (name: String, value: TracedConstant?)?,
    _ node: OnnxNode,
    scale: (weight: Float, bias: Float) = (1, 1)
  ) throws(TTAError) -> ImageView {
    guard let constant = weight.value, let given = constant.numbers, given.shape.rank == 2 else {
      throw refuse("a weight that is no matrix")
    }
    guard let last = x.lengths.last, last.isFixed else { throw refuse("a product over the batch") }
    let stored = weight.isTransposed ? transposed(given) : given
    guard stored.shape[1] == last.fixed else {
      throw TTAError(.invalidData, "expected \(last.fixed) inputs of the weight \(weight.name), got \(stored.shape[1])")
    }
    let isOwn = constant.origin != nil
    var parameters = [
      GraphTracer.Parameter(
        name: weight.name, role: .weight, tensor: scaled(stored, scale.weight),
        source: isOwn && scale.weight == 1
          ? ParameterSource(tensor: weight.name, shape: given.shape, isTransposed: weight.isTransposed) : nil)
    ]
    if let bias, let value = bias.value?.numbers {
      guard value.elementCount == stored.shape[0] || value.elementCount == 1 else {
        throw TTAError(.invalidData, "expected \(stored.shape[0]) values of the offset \(bias.name), got \(value.elementCount)")
      }
      let whole =
        value.elementCount == stored.shape[0]
        ? value.reshaped(to: [stored.shape[0]]) : Tensor(repeating: value.values[0], shape: [stored.shape[0]])
      let place =
        bias.value?.origin != nil && scale.bias == 1 && value.elementCount == whole.elementCount
        ? ParameterSource(tensor: bias.name, shape: value.shape) : nil
      parameters.append(GraphTracer.Parameter(name: bias.name, role: .bias, tensor: scaled(whole, scale.bias), source: place))
    }
    let place = try tracer.node(
      of: x, as: x.axes.count <= 2 ? Shape([last.fixed]).prefixed(x.count / last.fixed) : nil, for: node.layerName)
    let result = try tracer.add(node.layerName, Linear(outputs: stored.shape[0], hasBias: parameters.count > 1), [place], parameters)
    var axes = x.axes
    axes[axes.count - 1] = stored.shape[0] > 1 ? [.run(length: stored.shape[0], step: 1)] : []
    return ImageView(node: result, offset: 0, axes: axes).gathered(in: result)
  }
  private func transposed(_ matrix: Tensor) -> Tensor {
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    var result = Tensor(zeros: [columns, rows])
    matrix.withSpan { source in
      result.update { target in
        let tile = 32
        for first in stride(from: 0, to: rows, by: tile) {
          for column in 0..<columns {
            for row in first..<min(rows, first + tile) { target[column * rows + row] = source[row * columns + column] }
          }
        }
      }
    }
    return result
  }
  private func scaled(_ tensor: Tensor, _ factor: Float) -> Tensor {
    factor == 1 ? tensor : Tensor(tensor.values.map { $0 * factor }, shape: tensor.shape)
  }
  mutating func gemm(_ values: [TracedValue?], _ node: OnnxNode) throws(TTAError) -> ImageView {
    guard values.count >= 2, case .image(let given)? = values[0] else { throw refuse("a constant in front of the images") }
    let x = node.flag("transA") ? given.transposed([1, 0]) : given
    let factors = (node.float("alpha", 1), node.float("beta", 1))
    let third = values.count > 2 ? values[2] : nil
    if case .constant(let weight)? = values[1] {
      let weight = (node.inputs[1], Optional(weight), !node.flag("transB"))
      switch third {
      case nil: return try linear(x, weight: weight, bias: nil, node, scale: factors)
      case .constant(let bias)?
      where bias.numbers.map({ $0.elementCount == 1 || $0.shape.dimensions.dropLast().allSatisfy { $0 == 1 } }) == true:
        return try linear(x, weight: weight, bias: (node.inputs[2], bias), node, scale: factors)
      default:
        let product = try linear(x, weight: weight, bias: nil, node, scale: (factors.0, 1))
        return try sum(product, third, factors.1, node)
      }
    }
    guard case .image(let second)? = values[1] else { throw TTAError(.invalidData, "it needs two inputs") }
    let product = try matrixProduct(x, node.flag("transB") ? second.transposed([1, 0]) : second, node.layerName).scaled(factors.0)
    return third == nil ? product : try sum(product, third, factors.1, node)
  }
  private mutating func sum(_ x: ImageView, _ offset: TracedValue?, _ factor: Float, _ node: OnnxNode) throws(TTAError) -> ImageView {
    var parts = [TracedValue.image(x)]
    switch offset {
    case .image(let y)?: parts.append(.image(y.scaled(factor)))
    case .constant(let y)?: parts.append(.constant(factor == 1 ? y : TracedConstant(scaled(y.numbers ?? Tensor(zeros: []), factor))))
    default: break
    }
    return try arithmetic(parts, OnnxNode("Add", [node.outputs[0], node.inputs[2]], node.outputs, name: node.layerName + ".sum"))
  }
}

extension Shape {
  /// The shape behind an axis, if that is longer than 1.
  func prefixed(_ length: Int) -> Shape { length == 1 ? self : Shape([length] + dimensions) }
}
