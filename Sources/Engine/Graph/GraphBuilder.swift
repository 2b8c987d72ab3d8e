// Building graphs node by node.

/// Puts a graph together: each call adds a node and gives its index, which later nodes read.
public struct GraphBuilder {
  private var graph: Graph
  private var names: Set<String> = []

  /// A graph for images of the given shape (channels × height × width).
  public init(inputShape: Shape) {
    graph = Graph(inputShape: inputShape, nodes: [], logits: 0, parameters: [], classifier: nil)
  }

  /// A parameter of a node: the last part of its name, its role, its shape.
  public typealias NewParameter = (name: String, role: ParameterRole, shape: Shape)

  /// Adds a node. A parameter is named after `layer` (the node's name unless given) and its own name, joined by a dot.
  @discardableResult
  public mutating func add(
    _ name: String, _ operation: any Operator, _ inputs: [Int], parameters: [NewParameter] = [], layer: String? = nil
  ) throws(TTAError) -> Int {
    guard names.insert(name).inserted else { throw TTAError(.internal, "two nodes are called \(name)") }
    let shapes = inputs.map { graph.shape(of: $0) }
    let shape: Shape
    do { shape = try operation.outputShape(for: shapes) } catch {
      throw TTAError(error.code, "\(name): \(error.message)", hint: error.hint, cause: error)
    }
    let prefix = layer ?? name
    var ids: [ParameterID] = []
    for parameter in parameters {
      let id = ParameterID(graph.parameters.count)
      let full = prefix.isEmpty ? parameter.name : prefix + "." + parameter.name
      graph.parameters.append(ParameterInfo(id: id, name: full, role: parameter.role, shape: parameter.shape))
      ids.append(id)
    }
    graph.nodes.append(.init(name: name, operation: operation, inputs: inputs, parameters: ids, shape: shape))
    return graph.nodes.count - 1
  }
  /// The shape of a node's output for one image.
  public func shape(of node: Int) -> Shape { graph.shape(of: node) }

  /// The finished graph; the last node gives the logits. Finds the classifier: a linear layer that ends the network.
  public func build() -> Graph {
    var graph = graph
    graph.logits = max(0, graph.nodes.count - 1)
    if let last = graph.nodes.last, last.operation is Linear, let input = last.inputs.first, input >= 0 {
      graph.classifier = Classifier(
        node: last.name, features: graph.nodes[input].name, weight: last.parameters[0],
        bias: last.parameters.count > 1 ? last.parameters[1] : nil)
    }
    return graph
  }
}
