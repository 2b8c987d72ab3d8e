// From an ONNX graph to a graph of ours.

import Engine
import Onnx

/// Follows an ONNX graph from the images to the logits, operator by operator.
///
/// Shape arithmetic is computed on the way; views (`ImageView`) are moved to memory only where an operator needs their values in order. Operators
/// and their meaning: the ONNX operator specification, opsets 7 to 24.
struct OnnxImporter {
  /// Constants of the input normalisation, for images in 0…1.
  struct Preprocessing {
    var mean: [Float], deviation: [Float]
  }
  /// What an import gives.
  struct Result {
    var graph: Graph
    var parameters: Parameters
    /// Where a parameter lies in the file; parameters that import computed have no place.
    var sources: [String: ParameterSource]
    var notes: [String]
  }

  let file: OnnxFile
  var tracer: GraphTracer
  var values: [String: TracedValue] = [:]
  var notes: [String] = []
  /// Values of constants that were computed.
  private var computed = 0

  init(file: OnnxFile, tracer: GraphTracer) { (self.file, self.tracer) = (file, tracer) }

  /// Imports a classifier for square images of `inputSize` pixels, or the size that the file fixes. Throws `unsupported` for operators that are
  /// not read, naming the node, and `invalidData` for graphs that contradict themselves.
  static func load(_ file: OnnxFile, inputSize: Int?, preprocessing: Preprocessing) throws(TTAError) -> Result {
    let (input, shape, declaredBatch) = try imageInput(of: file, inputSize: inputSize)
    var importer = OnnxImporter(file: file, tracer: GraphTracer(imageShape: shape, declaredBatch: declaredBatch))
    let normalized = try importer.tracer.add(
      "input", Normalize(mean: preprocessing.mean, deviation: preprocessing.deviation), [Graph.images])
    importer.values[input] = .image(ImageView(node: normalized, leading: [.batch], shape: shape.dimensions))
    guard let output = file.outputs.first?.name else { throw TTAError(.invalidData, "\(file.path): the graph has no output") }
    if file.outputs.count > 1 { importer.notes.append("of \(file.outputs.count) outputs, \(output) is taken as the logits") }
    guard let logits = try importer.trace(to: [output])[0] else { throw TTAError(.internal, "no logits") }
    return try importer.finish(logits, output)
  }

  /// The graph's only input that is no constant: images.
  private static func imageInput(of file: OnnxFile, inputSize: Int?) throws(TTAError) -> (name: String, shape: Shape, batch: Int?) {
    let read = Set(file.nodes.flatMap(\.inputs))
    let images = file.inputs.filter { read.contains($0.name) }
    guard images.count == 1, let input = images.first, input.type == .float, let lengths = input.lengths, lengths.count == 4 else {
      let found = images.map { input in
        "\(input.name) (\(input.type.map { "\($0)" } ?? "no tensor") \(input.lengths.map { "\($0.map { $0.map(String.init) ?? "?" })" } ?? ""))"
      }
      throw TTAError(
        .unsupported,
        "\(file.path): expected one float input batch × 3 × height × width, got \(found.isEmpty ? "none" : found.joined(separator: ", "))",
        hint: "export the classifier alone, from normalised images to logits, in float32")
    }
    let size = try [2, 3].map { axis throws(TTAError) -> Int in
      if let fixed = lengths[axis], fixed > 0 {
        guard inputSize == nil || inputSize == fixed else {
          throw TTAError(
            .usage, "\(file.path): the graph is for images of \(fixed) pixels, --input-size says \(inputSize ?? 0)",
            hint: "leave --input-size out, or export for the other size")
        }
        return fixed
      }
      guard let inputSize else {
        throw TTAError(
          .usage, "\(file.path): the graph leaves the size of the images open",
          hint: "say --input-size 224, or what the network was trained for")
      }
      return inputSize
    }
    guard lengths[1] == nil || lengths[1] == 3 else {
      throw TTAError(
        .unsupported, "\(file.path): expected images of 3 channels, got \(lengths[1] ?? 0)",
        hint: "convert the model's first layer to three channels")
    }
    guard size.allSatisfy({ $0 <= 8192 }) else {
      throw TTAError(.invalidData, "\(file.path): images of \(size[0])×\(size[1]) pixels", hint: "at most 8192 pixels on a side")
    }
    return (input.name, [3, size[0], size[1]], lengths[0].flatMap { $0 > 0 ? $0 : nil })
  }

  /// Follows the graph to the named values; those behind the first may be unknown unless it has to be complete.
  mutating func trace(to outputs: [String], isComplete: Bool = true) throws(TTAError) -> [TracedValue?] {
    for (name, tensor) in file.initializers where values[name] == nil { values[name] = .constant(try constant(tensor, origin: name)) }
    var small: [String: Tensor] = [:]
    for (name, value) in values { if case .constant(let constant) = value { small[name] = constant.numbers } }
    for node in file.nodes where ["Constant", "Identity", "CastLike"].contains(node.operation) {
      guard let output = node.outputs.first else { continue }
      small[output] = node.operation == "Constant" ? try literal(node)?.numbers : node.inputs.first.flatMap { small[$0] }
    }
    let constants = small
    for node in OnnxPatterns.merged(file.nodes, outputs: outputs, constants: { constants[$0] }) {
      do { try trace(node) } catch {
        guard !error.message.hasPrefix(file.path) else { throw error }
        throw TTAError(
          error.code, "\(file.path): node \(node.title): \(error.message)",
          hint: error.hint ?? "the file is damaged or its export went wrong; export the model again", cause: error)
      }
    }
    if let missing = outputs.first(where: { values[$0] == nil }), isComplete || missing == outputs.first {
      throw TTAError(
        .invalidData, "\(file.path): no node gives the output \"\(missing)\"", hint: "the file is damaged; export the model again")
    }
    return outputs.map { values[$0] }
  }
  func constant(_ tensor: OnnxTensor, origin: String? = nil) throws(TTAError) -> TracedConstant {
    tensor.type.isInteger
      ? TracedConstant(integers: try file.integers(of: tensor), shape: tensor.shape)
      : TracedConstant(try file.values(of: tensor), origin: origin)
  }
  /// What a Constant node holds.
  func literal(_ node: OnnxNode) throws(TTAError) -> TracedConstant? {
    switch (
      node.attributes["value"], node.attributes["value_float"], node.attributes["value_floats"], node.attributes["value_int"],
      node.attributes["value_ints"]
    ) {
    case (.tensor(let tensor)?, _, _, _, _): try constant(tensor)
    case (_, .float(let value)?, _, _, _): TracedConstant(Tensor([value], shape: []))
    case (_, _, .floats(let values)?, _, _): TracedConstant(Tensor(values, shape: [values.count]))
    case (_, _, _, .integer(let value)?, _): TracedConstant(integers: [value], shape: [])
    case (_, _, _, _, .integers(let values)?): TracedConstant(integers: values, shape: [values.count])
    default: nil
    }
  }

  /// One node: computed where nothing depends on the images, else a view or a node of ours.
  private mutating func trace(_ node: OnnxNode) throws(TTAError) {
    guard node.domain.isEmpty else {
      throw TTAError(.unsupported, "the domain \(node.domain) is not read", hint: "export without operators of other domains")
    }
    let inputs = try node.inputs.map { name throws(TTAError) -> TracedValue? in
      if name.isEmpty { return nil }
      guard let value = values[name] else {
        throw TTAError(
          .invalidData, "it reads \"\(name)\", which no earlier node gives",
          hint: "the graph has a cycle or its nodes are out of order; export the model again")
      }
      return value
    }
    guard let output = node.outputs.first else { throw TTAError(.invalidData, "it has no output") }
    guard node.inputs.count >= OnnxSupport.leastInputs(node.operation) else {
      throw TTAError(.invalidData, "it has \(node.inputs.count) inputs, expected at least \(OnnxSupport.leastInputs(node.operation))")
    }
    if node.operation == "Constant" {
      guard var value = try literal(node) else { throw TTAError(.unsupported, "a constant that holds no numbers") }
      value.origin = value.isInteger ? nil : output
      values[output] = .constant(value)
      return
    }
    let constants = inputs.map { value -> TracedConstant? in if case .constant(let constant)? = value { constant } else { nil } }
    if zip(inputs, constants).allSatisfy({ $0 == nil || $1 != nil }), inputs.contains(where: { $0 != nil }) {
      guard var value = try ConstantFolding.value(of: node, constants, read: { tensor throws(TTAError) in try constant(tensor) }) else {
        throw TTAError(
          .unsupported,
          "\(node.operation) of constants \(constants.compactMap { $0?.lengths.text }.joined(separator: ", ")) is not computed at import",
          hint: "simplify the graph before (onnxscript.optimizer.fold_constants, onnx-simplifier)")
      }
      if case .numbers(let tensor) = value.content {
        if value.origin == nil { computed += tensor.elementCount }
        value.origin = value.lengths.allSatisfy(\.isFixed) ? output : nil
      }
      guard computed <= 2 * ConstantFolding.valueLimit else {
        throw TTAError(
          .invalidData, "the constants before and of it have more than \(2 * ConstantFolding.valueLimit) values",
          hint: "the file is damaged; export the model again")
      }
      values[output] = .constant(value)
      return
    }
    let results = try image(node, inputs)
    for (name, value) in zip(node.outputs, results) where !name.isEmpty { values[name] = value }
  }

  private func finish(_ value: TracedValue, _ output: String) throws(TTAError) -> Result {
    var importer = self
    guard case .image(var view) = try importer.settled(value) else {
      throw TTAError(
        .invalidData, "\(file.path): the output \"\(output)\" does not depend on the images",
        hint: "export the classifier from images to logits")
    }
    guard view.axes.first == [.batch], view.axes.dropFirst().allSatisfy({ !$0.contains(.batch) }), view.count > 1 else {
      throw TTAError(
        .unsupported, "\(file.path): the output \"\(output)\" has the shape \(view.lengths.text); expected batch × classes",
        hint: "export the classifier alone, from images to logits")
    }
    view.axes = [[.batch], view.axes.dropFirst().flatMap { $0 }]
    var logits = try importer.tracer.node(of: view, for: output)
    // A softmax at the end is not part of a classifier: methods need its input.
    while let input = importer.tracer.nodes[logits].inputs.first, input >= 0 {
      let operation = importer.tracer.nodes[logits].operation
      if let function = operation as? RowFunction, function.function == .softmax || function.function == .logSoftmax {
        importer.notes.append("the softmax at the end is left out: methods need the logits")
      } else if !(operation is Reshape
        && (importer.tracer.nodes[input].operation is Linear || importer.tracer.nodes[input].operation is RowFunction))
      {
        break
      }
      logits = input
    }
    if importer.tracer.shape(of: logits).rank != 1 {
      logits = try importer.tracer.add("logits", Reshape(), [logits])
    }
    let (graph, parameters, sources) = try importer.tracer.finish(logits: logits)
    return Result(graph: graph, parameters: parameters, sources: sources, notes: importer.notes)
  }
}
