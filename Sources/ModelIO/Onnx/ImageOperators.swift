// Operators of which an input depends on the images.

import Engine
import Onnx

/// What the import of ONNX files reads.
public enum OnnxSupport {
  /// Tiers A to C of the operators of image classifiers, and what older networks need beside them.
  public static let operators: [String] =
    [
      "Abs", "Add", "AveragePool", "BatchNormalization", "Cast", "CastLike", "Clip", "Concat", "Constant", "ConstantOfShape", "Conv", "Div",
      "Dropout", "Elu", "Erf", "Exp", "Expand", "Flatten", "Gather", "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool",
      "GroupNormalization", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "LRN", "LayerNormalization", "LeakyRelu",
      "Log",
      "LogSoftmax", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mish", "Mul", "Neg", "Pad", "Pow", "Range", "Reciprocal", "ReduceMax",
      "ReduceMean", "ReduceSum", "Relu", "Reshape", "Selu", "Shape", "Sigmoid", "Slice", "Softmax", "Softplus", "Split", "Sqrt", "Squeeze",
      "Sub", "Sum", "Tanh", "Transpose", "Unsqueeze",
    ]
  /// How many inputs an operator has at least.
  static func leastInputs(_ operation: String) -> Int {
    switch operation {
    case "Constant": 0
    case "BatchNormalization": 5
    case "InstanceNormalization", "GroupNormalization", "Linear", "Where", "Range": 3
    case "Sub", "Mul", "Div", "Add", "Pow", "MatMul", "Gemm", "Conv", "Gather", "Expand", "Mod", "Equal", "LayerNormalization", "CastLike":
      2
    default: 1
    }
  }
}

extension OnnxImporter {
  /// The outputs of one node.
  mutating func image(_ node: OnnxNode, _ inputs: [TracedValue?]) throws(TTAError) -> [TracedValue] {
    func constant(_ k: Int) -> TracedConstant? {
      if k < inputs.count, case .constant(let constant)? = inputs[k] { return constant }
      return nil
    }
    // Attention is put together from views; any other reader needs the values.
    if case .scores(let scores)? = inputs.first {
      switch node.operation {
      case "Softmax" where !scores.isSoftmax && isLastAxis(node.integer("axis", -1), 99):
        return [.scores(AttentionScores(queries: scores.queries, keys: scores.keys, isSoftmax: true))]
      case "MatMul" where scores.isSoftmax:
        if case .image(let second)? = inputs[1], let result = try attention(scores, second, node.layerName) { return [.image(result)] }
      case "Mul" where !scores.isSoftmax, "Div" where !scores.isSoftmax:
        if let factor = constant(1)?.scalar {
          var scaled = scores
          scaled.queries.scale *= node.operation == "Mul" ? factor : 1 / factor
          return [.scores(scaled)]
        }
      case "Identity", "Dropout": return [.scores(scores)]
      default: break
      }
    }
    var known: [TracedValue?] = []
    for value in inputs { known.append(try value.map { value throws(TTAError) in try settled(value) }) }
    func view(_ k: Int) throws(TTAError) -> ImageView {
      if k < known.count, case .image(let view)? = known[k] { return view }
      throw TTAError(.unsupported, "input \(k + 1) does not depend on the images", hint: Self.way)
    }
    switch node.operation {
    // Values as they are, seen otherwise.
    case "CastLike" where constant(0) != nil:
      guard let value = constant(0)?.numbers else { throw refuse("a number that grows with the batch") }
      return [.constant(TracedConstant(value, origin: node.outputs[0]))]
    case "Identity", "Dropout", "Cast", "CastLike":
      if node.operation == "Cast", OnnxType(rawValue: node.integer("to", 1))?.isInteger != false {
        throw refuse("a cast of images to integers")
      }
      return [.image(try view(0))]
    case "Shape":
      guard let part = TracedConstant(try view(0).lengths, lengths: [Extent(try view(0).axes.count)]).part(of: node) else {
        throw refuse("its range")
      }
      return [.constant(part)]
    case "Transpose":
      let x = try view(0)
      let order = node.integers("perm") ?? Array(x.axes.indices.reversed())
      guard order.sorted() == Array(x.axes.indices) else { throw refuse("the order \(order) of \(x.axes.count) axes", .invalidData) }
      return [.image(x.transposed(order))]
    case "Reshape":
      return [.image(try reshaped(view(0), to: constant(1)?.integers ?? node.extents("shape"), zeroCopies: !node.flag("allowzero"), node))]
    case "Flatten": return [.image(try flattened(view(0), at: node.integer("axis", 1)))]
    case "Unsqueeze", "Squeeze": return [.image(try withAxes(view(0), node, node.axes(constant(1))))]
    case "Expand":
      guard let target = constant(1)?.integers, let result = try view(0).expanded(to: target) else {
        throw refuse("repeating along the batch or by an unknown number")
      }
      return [.image(result)]
    case "Gather": return [.image(try gathered(view(0), constant(1), node))]
    case "Slice": return [.image(try sliced(view(0), node, known.indices.dropFirst().map { constant($0) }))]
    case "Split": return try split(view(0), node, constant(1)).map { .image($0) }
    case "Concat": return [.image(try concatenated(known.compactMap { $0 }, node))]
    case "Pad": return [.image(try padded(view(0), node, known.indices.dropFirst().map { constant($0) }))]
    // Functions of one value.
    case "Relu", "Sigmoid", "Tanh", "Gelu", "Silu", "HardSwish", "LeakyRelu", "Softplus", "Elu", "Selu", "Mish", "HardSigmoid", "Clip",
      "Erf", "Exp", "Log",
      "Sqrt", "Abs", "Neg", "Reciprocal":
      return [
        .image(
          try function(view(0), node, (constant(1), constant(2)), (known.count > 1 && known[1] != nil, known.count > 2 && known[2] != nil)))
      ]
    // Two values and more.
    case "Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean": return [.image(try arithmetic(known.compactMap { $0 }, node))]
    case "MatMul": return [try product(known, node)]
    case "Linear":
      return [.image(try linear(view(0), weight: (node.inputs[1], constant(1), true), bias: (node.inputs[2], constant(2)), node))]
    case "Gemm": return [.image(try gemm(known, node))]
    // Layers.
    case "Conv": return [.image(try convolution(view(0), constant(1), constant(2), node))]
    case "MaxPool", "AveragePool": return [.image(try pooled(view(0), node))]
    case "GlobalAveragePool", "GlobalMaxPool": return [.image(try pooledGlobally(view(0), node))]
    case "BatchNormalization": return [.image(try batchNorm(view(0), (1...4).map { constant($0) }, node))]
    case "InstanceNormalization", "GroupNormalization": return [.image(try groupNorm(view(0), constant(1), constant(2), node))]
    case "LayerNormalization": return [.image(try layerNorm(view(0), constant(1), constant(2), node))]
    case "LRN":
      let operation = LocalResponseNorm(
        size: node.integer("size", 1), alpha: node.float("alpha", 1e-4), beta: node.float("beta", 0.75), bias: node.float("bias", 1))
      return [.image(try planes(view(0), node, operation))]
    case "Softmax", "LogSoftmax": return [.image(try softmax(view(0), node))]
    case "ReduceMean", "ReduceSum", "ReduceMax": return [.image(try reduced(view(0), node, constant(1)))]
    default:
      throw TTAError(
        .unsupported,
        "the operator \(node.operation) is not read (tier D: beyond the classifiers of torchvision and timm that docs/models.md lists)",
        hint: Self.way)
    }
  }

  static let way = "export it as docs/models.md shows; what loads and what does not stands there"
  func refuse(_ what: String, _ code: TTAError.Code = .unsupported) -> TTAError { TTAError(code, "\(what) is not read", hint: Self.way) }
  /// Whether an axis is the last of `rank`.
  private func isLastAxis(_ axis: Int, _ rank: Int) -> Bool { axis == -1 || axis == rank - 1 }
  func axis(_ given: Int, of view: ImageView) throws(TTAError) -> Int {
    let axis = given < 0 ? given + view.axes.count : given
    guard axis >= 0, axis < view.axes.count else { throw TTAError(.invalidData, "axis \(given) of \(view.axes.count)") }
    return axis
  }

  // MARK: - Views

  mutating func reshaped(_ x: ImageView, to target: [Extent]?, zeroCopies: Bool, _ node: OnnxNode) throws(TTAError) -> ImageView {
    guard let target else { throw refuse("a shape that depends on the images") }
    guard let lengths = TracedShapes.resolve(target, from: x.lengths, zeroCopies: zeroCopies) else {
      throw TTAError(.invalidData, "the shape \(target.text) for \(x.lengths.text)")
    }
    if let result = x.reshaped(to: lengths, declaredBatch: tracer.declaredBatch) { return result }
    // Axes that have to be cut across gaps in memory.
    let settled = x.gathered(in: try tracer.node(of: x, for: node.layerName))
    guard let result = settled.reshaped(to: lengths, declaredBatch: tracer.declaredBatch) else {
      throw refuse("the shape \(target.text) for \(x.lengths.text)")
    }
    return result
  }
  func flattened(_ x: ImageView, at given: Int) throws(TTAError) -> ImageView {
    let split = given < 0 ? given + x.axes.count : given
    guard split >= 0, split <= x.axes.count else { throw TTAError(.invalidData, "axis \(given) of \(x.axes.count)") }
    return ImageView(node: x.node, offset: x.offset, axes: [x.axes[..<split].flatMap { $0 }, x.axes[split...].flatMap { $0 }]).scaled(
      x.scale)
  }
  func withAxes(_ x: ImageView, _ node: OnnxNode, _ axes: [Int]?) throws(TTAError) -> ImageView {
    var result = x
    if node.operation == "Unsqueeze" {
      guard let axes else { throw refuse("axes that depend on the images") }
      let rank = x.axes.count + axes.count
      let places = axes.map { $0 < 0 ? $0 + rank : $0 }.sorted()
      guard places.allSatisfy({ $0 >= 0 && $0 < rank }), Set(places).count == places.count else {
        throw TTAError(.invalidData, "axes \(axes) of \(rank)")
      }
      for place in places { result = result.inserting(at: place) }
      return result
    }
    let lengths = x.lengths
    let places =
      try axes.map { axes throws(TTAError) in try axes.map { axis throws(TTAError) in try self.axis(axis, of: x) } }
      ?? x.axes.indices.filter { lengths[$0] == 1 }
    for place in places {
      // A batch that the file fixes at 1 stays.
      guard lengths[place] == 1 || (x.axes[place] == [.batch] && tracer.declaredBatch == 1) else {
        throw TTAError(.invalidData, "axis \(place) of \(lengths.text) is not 1")
      }
    }
    let dropped = Set(places.filter { x.axes[$0] != [.batch] })
    result.axes = x.axes.indices.filter { !dropped.contains($0) }.map { x.axes[$0] }
    return result
  }
  mutating func gathered(_ x: ImageView, _ indices: TracedConstant?, _ node: OnnxNode) throws(TTAError) -> ImageView {
    guard let indices else { throw refuse("places that depend on the images") }
    let axis = try axis(node.integer("axis", 0), of: x)
    if x.axes.count == 1, case .grid(let offset, let steps) = indices.content {
      // All values in order under the lengths of the grid.
      var step = Extent?.some(1)
      for k in indices.lengths.indices.reversed() {
        guard indices.lengths[k] == 1 || step == Extent(steps[k]) else { throw refuse("a gather of scattered places") }
        step = step.flatMap { $0 * indices.lengths[k] }
      }
      guard offset == 0, step == x.lengths[0] else { throw refuse("a gather of some of the batch") }
      return try reshaped(x, to: indices.lengths, zeroCopies: false, node)
    }
    guard let list = indices.integers?.fixed, x.lengths[axis].isFixed else { throw refuse("a gather along the batch") }
    let length = x.lengths[axis].fixed
    let places = list.map { $0 < 0 ? $0 + length : $0 }
    guard places.allSatisfy({ $0 >= 0 && $0 < length }) else { throw TTAError(.invalidData, "places \(list) of an axis of \(length)") }
    let step = places.count > 1 ? places[1] - places[0] : 1
    let whole = try joinable(x, axis, node)
    guard let first = places.first else { throw refuse("a gather of nothing", .invalidData) }
    var result: ImageView
    if step > 0, zip(places, places.dropFirst()).allSatisfy({ $1 - $0 == step }),
      let even = whole.sliced(axis, from: first, count: places.count, stride: step)
    {
      result = even
    } else {
      let parts = places.compactMap { whole.sliced(axis, from: $0, count: 1, stride: 1) }
      guard parts.count == places.count, places.count <= 4096 else { throw refuse("a gather of \(places.count) uneven places") }
      let joining = OnnxNode("Concat", [], node.outputs, name: node.layerName + ".gather", attributes: ["axis": .integer(axis)])
      result = try concatenated(parts.map { .image($0) }, joining)
    }
    // The axis becomes as many as the places have.
    let lengths = result.lengths[..<axis] + indices.lengths + result.lengths[(axis + 1)...]
    guard let shaped = result.reshaped(to: Array(lengths), declaredBatch: nil) else {
      throw refuse("places of \(indices.lengths.count) axes")
    }
    return shaped
  }
  /// A view whose axis is one piece.
  private mutating func joinable(_ x: ImageView, _ axis: Int, _ node: OnnxNode) throws(TTAError) -> ImageView {
    if x.axes[axis].count <= 1 { return x }
    let lengths = x.lengths
    guard lengths[axis].isFixed else { throw refuse("a part of the batch") }
    var result = x.gathered(in: try tracer.node(of: x, for: node.layerName))
    if case .run(_, let step)? = result.axes[axis].last { result.axes[axis] = [.run(length: lengths[axis].fixed, step: step)] }
    return result
  }
  mutating func sliced(_ given: ImageView, _ node: OnnxNode, _ inputs: [TracedConstant?]) throws(TTAError) -> ImageView {
    guard let spans = SliceSpan.all(of: node, inputs: inputs, rank: given.axes.count) else {
      throw refuse("a slice by numbers that are not fixed")
    }
    var x = given
    for span in spans {
      let length = x.lengths[span.axis]
      if !length.isFixed, span.start == 0, span.end >= 1 << 30, span.step == 1 { continue }
      guard length.isFixed, span.step > 0 else { throw refuse(length.isFixed ? "a slice backwards" : "a slice of the batch") }
      let (start, count) = span.resolved(length.fixed)
      guard count > 0, let part = try joinable(x, span.axis, node).sliced(span.axis, from: start, count: count, stride: span.step) else {
        throw refuse("an empty slice", .invalidData)
      }
      x = part
    }
    return x
  }
  mutating func split(_ given: ImageView, _ node: OnnxNode, _ sizes: TracedConstant?) throws(TTAError) -> [ImageView] {
    let axis = try axis(node.integer("axis", 0), of: given)
    let x = try joinable(given, axis, node)
    guard x.lengths[axis].isFixed else { throw refuse("a split of the batch") }
    let (length, count) = (x.lengths[axis].fixed, node.outputs.count)
    let share = (length + count - 1) / count
    let parts = sizes?.integers?.fixed ?? node.integers("split") ?? (0..<count).map { min(share, length - $0 * share) }
    guard parts.count == count, parts.allSatisfy({ $0 > 0 }), parts.reduce(0, +) == length else {
      throw TTAError(.invalidData, "parts \(parts) of an axis of \(length)")
    }
    var (start, result) = (0, [ImageView]())
    for part in parts {
      guard let view = x.sliced(axis, from: start, count: part, stride: 1) else { throw refuse("a split of several axes") }
      result.append(view)
      start += part
    }
    return result
  }
  mutating func concatenated(_ values: [TracedValue], _ node: OnnxNode) throws(TTAError) -> ImageView {
    guard let first = values.lazy.compactMap({ value -> ImageView? in if case .image(let view) = value { view } else { nil } }).first else {
      throw refuse("constants alone")
    }
    let axis = try axis(node.integer("axis", 0), of: first)
    guard first.lengths[axis].isFixed else { throw refuse("joining batches") }
    if values.count == 1 { return first }
    if values.count == 2, case .constant(let none) = values[0], none.lengths == [0] { return first }
    // A learnt token in front of a sequence.
    if values.count == 2, case .constant(let token) = values[0], case .image(let x) = values[1], axis > 0, x.axes.count == 3,
      x.axes[0] == [.batch], axis == 1,
      let tensor = token.numbers, token.lengths.count == 3, token.lengths[1] == 1, token.lengths[2] == x.lengths[2]
    {
      let place = try tracer.node(of: x, as: Shape([x.lengths[1].fixed, x.lengths[2].fixed]), for: node.layerName)
      let width = x.lengths[2].fixed
      let parameter = GraphTracer.Parameter(
        name: tokenName(node.inputs[0]) ?? node.layerName + ".token", role: .token, tensor: tensor.reshaped(to: [1, 1, width]),
        source: tokenName(node.inputs[0]).map { ParameterSource(tensor: $0, shape: tensor.shape) })
      let joined = try tracer.add(node.layerName, PrependToken(), [place], [parameter])
      return ImageView(node: joined, leading: [.batch], shape: tracer.shape(of: joined).dimensions)
    }
    // The axis in front, joined, and back in its place.
    let order = [axis] + first.axes.indices.filter { $0 != axis }
    var (places, length) = ([Int](), 0)
    var joined = first.transposed(order)
    let inner = joined.imageLengths.dropFirst().reduce(1, *)
    for value in values {
      guard case .image(let x) = value else { throw refuse("joining constants and images") }
      guard x.axes.count == first.axes.count, x.axes.indices.allSatisfy({ $0 == axis || x.lengths[$0] == first.lengths[$0] }) else {
        throw TTAError(.invalidData, "values of shapes \(first.lengths.text) and \(x.lengths.text)")
      }
      let moved = x.transposed(order)
      places.append(try tracer.node(of: moved, as: Shape([moved.imageLengths[0], inner]), for: node.layerName))
      length += moved.imageLengths[0]
    }
    if let shapes = imageShapes(values, axis) {
      // Channels of images keep their planes.
      places = try zip(values, shapes).map { value, shape throws(TTAError) in
        guard case .image(let x) = value else { throw refuse("joining constants and images") }
        return try tracer.node(of: x, as: shape, for: node.layerName)
      }
    }
    let result = try tracer.add(node.layerName, Concatenate(), places)
    joined.axes[0] = [.run(length: length, step: 1)]
    joined = joined.gathered(in: result)
    var back = Array(repeating: 0, count: order.count)
    for (place, axis) in order.enumerated() { back[axis] = place }
    return joined.transposed(back)
  }
  /// Shapes of images whose channels are joined; nil for other values.
  private func imageShapes(_ values: [TracedValue], _ axis: Int) -> [Shape]? {
    guard axis == 1 else { return nil }
    var shapes: [Shape] = []
    for value in values {
      guard case .image(let x) = value, x.axes.count == 4, !x.axes.dropFirst().joined().contains(.batch) else { return nil }
      shapes.append(Shape(Array(x.imageLengths.dropFirst())))
    }
    return shapes
  }
  private func tokenName(_ input: String) -> String? {
    // Repeating a token for the batch gives it another name: the initialiser's is the one to keep.
    var (name, left) = (input, file.nodes.count)
    while left > 0, values[name].map({ if case .constant(let constant) = $0 { constant.origin == nil } else { true } }) ?? true {
      guard let maker = file.nodes.first(where: { $0.outputs.contains(name) }), let first = maker.inputs.first else { return nil }
      name = first
      left -= 1
    }
    return left > 0 ? name : nil
  }
  mutating func padded(_ x: ImageView, _ node: OnnxNode, _ inputs: [TracedConstant?]) throws(TTAError) -> ImageView {
    guard node.text("mode", "constant") == "constant", let pads = inputs.first??.integers?.fixed ?? node.integers("pads"),
      pads.count == 2 * x.axes.count,
      x.axes.count == 4, pads.allSatisfy({ $0 >= 0 && $0 < 1 << 12 }), pads[0] == 0, pads[4] == 0,
      inputs.count < 3 || inputs[2] == nil
    else { throw refuse("padding of this kind") }
    let value = (inputs.count > 1 ? inputs[1]?.scalar : nil) ?? node.float("value", 0)
    var padded = x
    if pads[2] + pads[3] + pads[6] + pads[7] > 0 || pads[1] + pads[5] == 0 {
      padded = try planes(x, node, Pad(top: pads[2], left: pads[3], bottom: pads[6], right: pads[7], value: value))
    }
    guard pads[1] + pads[5] > 0 else { return padded }
    // Channels more: rows of one plane that has a channel's values in each row.
    let (channels, leading) = (padded.imageLengths[1], padded.axes[0])
    let planes = Array(padded.imageLengths[2...])
    guard leading == [.batch] || leading.isEmpty else { throw refuse("padding of this kind") }
    let place = try tracer.node(of: padded, as: [1, channels, planes.reduce(1, *)], for: node.layerName)
    let result = try tracer.add(node.layerName + ".channels", Pad(top: pads[1], left: 0, bottom: pads[5], right: 0, value: value), [place])
    return ImageView(node: result, leading: leading, shape: [pads[1] + channels + pads[5]] + planes)
  }
}

extension ImageView {
  /// The view with a factor.
  func scaled(_ factor: Float) -> ImageView {
    var result = self
    result.scale *= factor
    return result
  }
}

extension OnnxNode {
  /// The layer's name: that of its weight without the last part, the node's own, or its output's.
  var layerName: String {
    for input in inputs.dropFirst() where input.hasSuffix(".weight") && !input.contains("::") {
      return String(input.dropLast(".weight".count))
    }
    return name.isEmpty ? outputs.first ?? operation : name
  }
}
