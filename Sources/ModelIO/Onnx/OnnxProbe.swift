// Any ONNX graph on given values, for comparing operators with their definitions.

package import Engine
package import Onnx

/// Runs a graph that need not be a classifier: a single operator, a graph of several inputs.
package enum OnnxProbe {
  /// A value of a graph's input or output.
  package enum Value: Sendable {
    case numbers(Tensor)
    case integers([Int], Shape)
  }

  /// The outputs of a graph for given inputs, in the order of the file; those behind the first that the import leaves out (statistics, places of maxima)
  /// are missing.
  ///
  /// The graph is imported in the first way that works: with the first input as a single image and the others as constants, with all inputs as parts of one
  /// image, or with the first input's rows as a batch. Throws what the last way throws.
  package static func run(_ file: OnnxFile, _ inputs: [(name: String, value: Value)]) throws -> [Value] {
    var failure: (any Error)?
    for way in [Way.image, .parts, .batch] {
      do { return try run(file, inputs, way) } catch {
        if failure == nil || way == .batch { failure = failure ?? error }
      }
    }
    throw failure ?? TTAError(.invalidData, "\(file.path): no input")
  }
  private enum Way { case image, parts, batch }

  private static func run(_ file: OnnxFile, _ inputs: [(name: String, value: Value)], _ way: Way) throws -> [Value] {
    var images: [(name: String, tensor: Tensor)] = []
    var constants: [(name: String, constant: TracedConstant)] = []
    for input in inputs {
      switch input.value {
      case .numbers(let tensor) where images.isEmpty || way == .parts: images.append((input.name, tensor))
      case .numbers(let tensor): constants.append((input.name, TracedConstant(tensor, origin: input.name)))
      case .integers(let values, let shape): constants.append((input.name, TracedConstant(integers: values, shape: shape)))
      }
    }
    guard images.allSatisfy({ $0.tensor.elementCount > 0 }) else { throw TTAError(.unsupported, "\(file.path): an input without values") }
    if images.isEmpty { images = [("", Tensor(zeros: [1]))] }
    let rows = way == .batch ? images[0].tensor.shape.dimensions.first ?? 1 : 1
    guard way != .batch || images[0].tensor.shape.rank > 1 else { throw TTAError(.unsupported, "\(file.path): one row") }
    let values = images.flatMap(\.tensor.values)
    let shape = Shape([values.count / rows])
    var importer = OnnxImporter(file: file, tracer: GraphTracer(imageShape: shape, declaredBatch: way == .batch ? rows : nil))
    for (name, constant) in constants { importer.values[name] = .constant(constant) }
    var offset = 0
    for (name, tensor) in images where !name.isEmpty {
      let lengths = way == .batch ? Array(tensor.shape.dimensions.dropFirst()) : tensor.shape.dimensions
      var view = ImageView(node: Graph.images, leading: way == .batch ? [.batch] : nil, shape: lengths)
      view.offset = offset
      offset += tensor.elementCount
      importer.values[name] = .image(view)
    }
    let known = try importer.trace(to: file.outputs.map(\.name), isComplete: false)
    let results = known.prefix { $0 != nil }.compactMap { $0 }
    return try results.map { result in
      switch try importer.settled(result) {
      case .constant(let constant):
        if let integers = constant.integers?.fixed { return .integers(integers, Shape(constant.lengths.map(\.fixed))) }
        guard let numbers = constant.numbers else { throw TTAError(.unsupported, "\(file.path): an output that grows with the batch") }
        return .numbers(numbers)
      case .image(let view):
        let lengths = view.lengths.map { $0.isFixed ? $0.fixed : $0.perImage * rows }
        guard view.axes.allSatisfy({ !$0.contains(.batch) }) || view.axes.first == [.batch] else {
          throw TTAError(.unsupported, "\(file.path): an output whose first axis is not the batch")
        }
        var tracer = importer.tracer
        let node = try tracer.node(of: view, as: [view.count], for: "result")
        let last = node == Graph.images ? try tracer.add("result", Reshape(), [node]) : node
        let (graph, parameters, _) = try tracer.finish(logits: last)
        let batch = Tensor(values, shape: Shape([rows] + shape.dimensions))
        let trains = file.nodes.contains { $0.operation == "BatchNormalization" && $0.flag("training_mode") }
        let options = trains ? ForwardOptions().with(.batch) : ForwardOptions()
        let output = try Executor().forward(batch, Program(graph), at: parameters, options).logits
        return .numbers(output.reshaped(to: Shape(lengths)))
      case .scores: throw TTAError(.internal, "attention that is not settled")
      }
    }
  }
}
