// Nodes of our graph as they are put together from an ONNX graph.

import Engine
import Onnx

/// What a parameter of an imported graph is in the file: a tensor by name, as it is or transposed.
struct ParameterSource: Hashable, Sendable {
  /// The tensor's name: an initialiser, or a value that is an initialiser under another name.
  var tensor: String
  /// Its shape in the file.
  var shape: Shape
  /// Whether rows are the file's columns.
  var isTransposed = false
}

/// A value that depends on the images, or does not.
enum TracedValue {
  case constant(TracedConstant)
  case image(ImageView)
  /// Part of attention, put together when it is complete or read by something else.
  case scores(AttentionScores)
}

/// softmax(scale · Q Kᵀ), or what is in front of the softmax.
struct AttentionScores {
  var queries: ImageView, keys: ImageView
  var isSoftmax: Bool
}

/// Collects nodes; views become values in memory where an operator needs them so.
struct GraphTracer {
  struct Parameter {
    var name: String
    var role: ParameterRole
    var tensor: Tensor
    var source: ParameterSource?
  }
  struct Node {
    var name: String
    var operation: any Operator
    var inputs: [Int]
    var parameters: [Parameter]
    var shape: Shape
  }
  private(set) var nodes: [Node] = []
  let imageShape: Shape
  /// The batch that the file fixes; nil where it leaves it open.
  let declaredBatch: Int?
  private var names: Set<String> = []
  private var gathered: [GatherKey: Int] = [:]

  private struct GatherKey: Hashable {
    var node: Int, offset: Int, lengths: [Int], steps: [Int], shape: Shape, scale: Float
  }

  init(imageShape: Shape, declaredBatch: Int?) { (self.imageShape, self.declaredBatch) = (imageShape, declaredBatch) }

  func shape(of node: Int) -> Shape { node == Graph.images ? imageShape : nodes[node].shape }
  /// A name that no node has yet.
  private mutating func unique(_ name: String) -> String {
    var (result, count) = (name, 2)
    while !names.insert(result).inserted {
      result = "\(name)#\(count)"
      count += 1
    }
    return result
  }
  /// Adds a node and gives its index.
  mutating func add(_ name: String, _ operation: any Operator, _ inputs: [Int], _ parameters: [Parameter] = []) throws(TTAError) -> Int {
    let shape = try operation.outputShape(for: inputs.map { self.shape(of: $0) })
    nodes.append(Node(name: unique(name), operation: operation, inputs: inputs, parameters: parameters, shape: shape))
    return nodes.count - 1
  }

  /// A node that holds a view's values in order under the given shape of one image (its own axes, without those of the batch alone, unless given).
  mutating func node(of view: ImageView, as wanted: Shape? = nil, for name: String) throws(TTAError) -> Int {
    let shape = wanted ?? Shape(zip(view.axes, view.imageLengths).filter { $0.0 != [.batch] }.map(\.1))
    let base = self.shape(of: view.node)
    var result: Int
    if view.isWhole(of: base.elementCount) {
      if base == shape, view.scale == 1 { return view.node }
      let key = GatherKey(node: view.node, offset: 0, lengths: [], steps: [], shape: shape, scale: 1)
      result =
        base == shape
        ? view.node : try cached(key) { tracer throws(TTAError) in try tracer.add(name + ".reshape", Reshape(shape), [view.node]) }
    } else {
      let runs = view.runs
      let key = GatherKey(
        node: view.node, offset: view.offset, lengths: runs.map(\.length), steps: runs.map(\.step), shape: shape, scale: 1)
      result = try cached(key) { tracer throws(TTAError) in
        if let axes = Self.permutation(of: base, giving: view, shape) {
          return try tracer.add(name + ".permute", Permute(axes), [view.node])
        }
        if base.rank == 2, shape == [base[1]], runs.count == 1, runs[0].step == 1, view.offset % base[1] == 0 {
          return try tracer.add(name + ".token", SelectToken(view.offset / base[1]), [view.node])
        }
        if base.rank == 3, shape == [base[1] * base[2], base[0]], view.isPermutation(of: base.elementCount),
          runs.map(\.step) == [1, shape[0]]
        {
          return try tracer.add(name + ".tokens", FlattenToTokens(), [view.node])
        }
        let operation = StridedView(offset: view.offset, lengths: key.lengths, steps: key.steps, shape: shape)
        return try tracer.add(name + ".view", operation, [view.node])
      }
    }
    if view.scale != 1 {
      let key = GatherKey(node: result, offset: 0, lengths: [], steps: [], shape: shape, scale: view.scale)
      let (source, factor) = (result, view.scale)
      result = try cached(key) { tracer throws(TTAError) in
        try tracer.add(name + ".scale", ScalarFunction(.affine(scale: factor, shift: 0)), [source])
      }
    }
    return result
  }
  private mutating func cached(_ key: GatherKey, _ make: (inout GraphTracer) throws(TTAError) -> Int) throws(TTAError) -> Int {
    if let known = gathered[key] { return known }
    let node = try make(&self)
    gathered[key] = node
    return node
  }
  /// The order of a node's axes that gives a view under a shape; nil where no order does.
  private static func permutation(of base: Shape, giving view: ImageView, _ shape: Shape) -> [Int]? {
    guard view.isPermutation(of: base.elementCount), base.rank == shape.rank else { return nil }
    var steps = Array(repeating: 1, count: base.rank)
    for axis in steps.indices.dropLast().reversed() { steps[axis] = steps[axis + 1] * base[axis + 1] }
    // The runs cut to the lengths of the result's axes.
    var runs = Array(view.runs.reversed())
    var axes: [Int] = []
    for length in shape.dimensions {
      guard length > 1, let run = runs.last else { return nil }
      guard run.length % length == 0 else { return nil }
      runs.removeLast()
      let step = run.step * (run.length / length)
      if run.length > length { runs.append((run.length / length, run.step)) }
      guard let axis = steps.indices.first(where: { steps[$0] == step && base[$0] == length && !axes.contains($0) }) else { return nil }
      axes.append(axis)
    }
    return runs.isEmpty ? axes : nil
  }

  /// The view over a node of its own, scale applied, so that its values are the node's.
  mutating func settled(_ view: ImageView, for name: String) throws(TTAError) -> ImageView {
    let base = shape(of: view.node)
    guard view.scale != 1 || !view.isPermutation(of: base.elementCount) else { return view }
    if view.isPermutation(of: base.elementCount) {
      var result = view
      let whole = ImageView(node: view.node, leading: nil, shape: base.dimensions)
      result.node = try node(of: with(whole) { $0.scale = view.scale }, as: base, for: name)
      result.scale = 1
      return result
    }
    return view.gathered(in: try node(of: view, for: name))
  }
  private func with(_ view: ImageView, _ change: (inout ImageView) -> Void) -> ImageView {
    var result = view
    change(&result)
    return result
  }

  /// Graph, parameters and their places in the file: what the logits depend on, in order.
  func finish(logits: Int) throws(TTAError) -> (graph: Graph, parameters: Parameters, sources: [String: ParameterSource]) {
    var needed = Array(repeating: false, count: nodes.count)
    needed[logits] = true
    for index in nodes.indices.reversed() where needed[index] {
      for input in nodes[index].inputs where input >= 0 { needed[input] = true }
    }
    var builder = GraphBuilder(inputShape: imageShape)
    var (places, tensors, sources) = ([Int: Int](), [Tensor](), [String: ParameterSource]())
    var taken: Set<String> = []
    for (index, node) in nodes.enumerated() where needed[index] {
      var parameters: [GraphBuilder.NewParameter] = []
      for parameter in node.parameters {
        var (name, count) = (parameter.name, 2)
        while !taken.insert(name).inserted {
          name = "\(parameter.name)#\(count)"
          count += 1
        }
        parameters.append((name, parameter.role, parameter.tensor.shape))
        tensors.append(parameter.tensor)
        sources[name] = parameter.source
      }
      let inputs = node.inputs.map { $0 < 0 ? $0 : places[$0] ?? $0 }
      places[index] = try builder.add(node.name, node.operation, inputs, parameters: parameters, layer: "")
    }
    return (builder.build(), Parameters(tensors), sources)
  }
}
