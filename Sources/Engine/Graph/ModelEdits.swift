// Changes of a network before it is compiled: further layers, branches, heads, and inputs beside the images.
//
// An edit builds the changed graph beside the old one and takes its place only when everything fits: one that throws changes nothing.

/// A value beside the images: every forward may set it, for every network alike (`ForwardOptions.inputs`).
public struct InputID: Hashable, Codable, Sendable {
  package let parameter: ParameterID
}

extension Model {
  /// A parameter that an edit adds: the last part of its name, its role, its first value.
  public struct NewParameter: Sendable {
    /// Joined to the new node's name by a dot.
    public var name: String
    /// What it does; `adapter(…)` for most.
    public var role: ParameterRole
    /// Its value in the source.
    public var value: Tensor
    /// A parameter with its first value.
    public init(_ name: String, _ role: ParameterRole, _ value: Tensor) { (self.name, self.role, self.value) = (name, role, value) }
  }

  /// Puts an operation behind a node: whatever read the node now reads the operation. Its parameters come first, then the values of `inputs`.
  /// Throws for an unknown node, a name in use, and shapes that do not fit, further down the network too.
  @discardableResult
  public mutating func insert(
    _ operation: any Operator, after node: String, named name: String, parameters: [NewParameter] = [], inputs: [InputID] = []
  ) throws(TTAError) -> [ParameterID] {
    var draft = GraphDraft(self)
    let place = try graph.node(of: Tap(node))
    let ids = draft.add(parameters, of: name)
    try draft.insert([.init(name, operation, [place], ids + inputs.map(\.parameter))], after: place, replacing: place)
    self = try draft.model()
    return ids
  }
  /// Adds a parallel path: node(x) becomes node(x) + operation(x). Throws as `insert` does.
  @discardableResult
  public mutating func branch(
    _ operation: any Operator, beside node: String, named name: String, parameters: [NewParameter] = [], inputs: [InputID] = []
  ) throws(TTAError) -> [ParameterID] {
    var draft = GraphDraft(self)
    let place = try graph.node(of: Tap(node))
    let ids = draft.add(parameters, of: name)
    try draft.insert(
      [
        .init(name, operation, graph.nodes[place].inputs, ids + inputs.map(\.parameter)),
        .init(name + ".sum", Add(), [place, place + 1], []),
      ], after: place, replacing: place)
    self = try draft.model()
    return ids
  }
  /// Grows a further result, which a forward hands out under the node's name: a second head, statistics of a layer. Throws as `insert` does.
  @discardableResult
  public mutating func head(
    _ operation: any Operator, from node: String, named name: String, parameters: [NewParameter] = []
  ) throws(TTAError) -> [ParameterID] {
    var draft = GraphDraft(self)
    let place = try graph.node(of: Tap(node))
    let ids = draft.add(parameters, of: name)
    try draft.insert([.init(name, operation, [place], ids)], after: graph.nodes.count - 1, replacing: nil)
    self = try draft.model()
    return ids
  }
  /// Puts another operation in a node's place, with the same inputs and parameters. Throws where its result has a shape that does not fit.
  public mutating func replace(_ node: String, with operation: any Operator) throws(TTAError) {
    var draft = GraphDraft(self)
    draft.replace(try graph.node(of: Tap(node)), operation)
    self = try draft.model()
  }
  /// Adds a value beside the images, to be read by nodes that name it among their inputs. Until a forward sets it, it is `value`.
  public mutating func input(_ name: String, default value: Tensor) -> InputID {
    let id = ParameterID(graph.parameters.count)
    graph.parameters.append(ParameterInfo(id: id, name: name, role: .adapter("input"), shape: value.shape))
    parameters.append(value)
    return InputID(parameter: id)
  }
}

extension Graph {
  /// Parameters with the given inputs in their places. Throws for a value of another shape than the input's default.
  func applying(_ inputs: [InputID: Tensor], to parameters: Parameters) throws(TTAError) -> Parameters {
    guard !inputs.isEmpty else { return parameters }
    var result = parameters
    for (input, value) in inputs {
      let info = self.parameters[input.parameter.index]
      guard value.shape == info.shape else { throw TTAError(.internal, "input \(info.name): expected \(info.shape), got \(value.shape)") }
      result.update(input.parameter) { $0 = value }
    }
    return result
  }
}

/// A changed copy of a model's wiring that becomes a model when its shapes fit.
private struct GraphDraft {
  struct NewNode {
    let name: String, operation: any Operator, inputs: [Int], parameters: [ParameterID]
    init(_ name: String, _ operation: any Operator, _ inputs: [Int], _ parameters: [ParameterID]) {
      (self.name, self.operation, self.inputs, self.parameters) = (name, operation, inputs, parameters)
    }
  }
  private let inputShape: Shape
  private var nodes: [NewNode]
  private var logits: Int
  private var infos: [ParameterInfo]
  private var values: Parameters
  private let classifier: Classifier?

  init(_ model: Model) {
    inputShape = model.graph.inputShape
    nodes = model.graph.nodes.map { NewNode($0.name, $0.operation, $0.inputs, $0.parameters) }
    (logits, infos, values, classifier) = (model.graph.logits, model.graph.parameters, model.parameters, model.graph.classifier)
  }

  /// Parameters behind the others.
  mutating func add(_ parameters: [Model.NewParameter], of node: String) -> [ParameterID] {
    parameters.map { parameter in
      let id = ParameterID(infos.count)
      infos.append(ParameterInfo(id: id, name: node + "." + parameter.name, role: parameter.role, shape: parameter.value.shape))
      values.append(parameter.value)
      return id
    }
  }
  /// Nodes behind `place`; their inputs are numbered as they stand afterwards. What read node `replacing` now reads the last of them.
  mutating func insert(_ added: [NewNode], after place: Int, replacing: Int?) throws(TTAError) {
    for node in added where nodes.contains(where: { $0.name == node.name }) {
      throw TTAError(.usage, "the model has a node \"\(node.name)\" already", hint: "add an adapter once, or under another name")
    }
    func moved(_ index: Int) -> Int { index == replacing ? place + added.count : index > place ? index + added.count : index }
    let later = nodes[(place + 1)...].map { NewNode($0.name, $0.operation, $0.inputs.map(moved), $0.parameters) }
    nodes = Array(nodes[...place]) + added + later
    logits = moved(logits)
  }
  mutating func replace(_ place: Int, _ operation: any Operator) {
    nodes[place] = NewNode(nodes[place].name, operation, nodes[place].inputs, nodes[place].parameters)
  }

  func model() throws(TTAError) -> Model {
    var finished: [Graph.Node] = []
    finished.reserveCapacity(nodes.count)
    for node in nodes {
      let shapes = node.inputs.map { $0 == Graph.images ? inputShape : finished[$0].shape }
      let shape: Shape
      do { shape = try node.operation.outputShape(for: shapes) } catch {
        throw TTAError(error.code, "\(node.name): \(error.message)", hint: error.hint, cause: error)
      }
      finished.append(.init(name: node.name, operation: node.operation, inputs: node.inputs, parameters: node.parameters, shape: shape))
    }
    var graph = Graph(inputShape: inputShape, nodes: finished, logits: logits, parameters: infos, classifier: classifier)
    if let old = classifier, let linear = finished.first(where: { $0.name == old.node }), let input = linear.inputs.first {
      graph.classifier = Classifier(node: old.node, features: finished[input].name, weight: old.weight, bias: old.bias)
    }
    return try Model(graph: graph, parameters: values)
  }
}
