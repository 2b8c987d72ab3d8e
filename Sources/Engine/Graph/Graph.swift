// The wiring of a network as a value.

/// A named result of a graph: logits, features, any node.
public struct Tap: Hashable, Codable, Sendable, ExpressibleByStringLiteral, Comparable {
  /// Name of a node, or `logits`, or `features`.
  public let name: String
  /// A result by name.
  public init(_ name: String) { self.name = name }
  /// `"layer3.0.relu"`.
  public init(stringLiteral name: String) { self.name = name }
  /// The scores of the classes.
  public static let logits: Tap = "logits"
  /// The input of the linear classifier.
  public static let features: Tap = "features"
  /// By name.
  public static func < (left: Tap, right: Tap) -> Bool { left.name < right.name }
}

/// The final linear layer and the node that feeds it, for methods that read or change them.
public struct Classifier: Hashable, Sendable {
  /// The linear layer's node.
  public let node: String
  /// The node whose output it reads.
  public let features: String
  /// Its weight, classes × features.
  public let weight: ParameterID
  /// Its offset, if any.
  public let bias: ParameterID?
}

/// Operators and their wiring; shapes are those of one image, the batch axis is implied.
public struct Graph: Sendable {
  /// One operator in its place.
  public struct Node: Sendable {
    /// Unique, named after the layer.
    public let name: String
    /// What it computes.
    public var operation: any Operator
    /// Indices of the nodes it reads; `Graph.images` stands for the batch.
    public var inputs: [Int]
    /// What it owns, in the operator's order.
    public var parameters: [ParameterID]
    /// Shape of its output for one image.
    public internal(set) var shape: Shape
  }
  /// The batch as an input of a node.
  public static let images = -1

  /// Shape of one image: channels × height × width.
  public let inputShape: Shape
  /// In an order that can be executed.
  public internal(set) var nodes: [Node]
  /// Index of the node that gives the logits.
  public internal(set) var logits: Int
  /// In the order of their nodes; those that methods added come last.
  public internal(set) var parameters: [ParameterInfo]
  /// The final linear layer, where there is one.
  public internal(set) var classifier: Classifier?

  /// Number of classes: the length of the logits.
  public var classCount: Int { nodes.isEmpty ? 0 : nodes[logits].shape.elementCount }
  /// The shape that a node's input has.
  package func shape(of input: Int) -> Shape { input == Self.images ? inputShape : nodes[input].shape }
  package func inputShapes(of node: Int) -> [Shape] { nodes[node].inputs.map(shape(of:)) }

  /// The node behind a tap; throws with the nearest names when there is none.
  public func node(of tap: Tap) throws(TTAError) -> Int {
    if tap == .logits { return logits }
    if tap == .features {
      guard let classifier else {
        throw TTAError(.unsupported, "the model has no linear classifier, so there are no features to hand out")
      }
      return try node(of: Tap(classifier.features))
    }
    guard let index = nodes.firstIndex(where: { $0.name == tap.name }) else {
      let near = NearestNames.nearest(to: tap.name, in: nodes.map(\.name))
      throw TTAError(.usage, "the model has no node \"\(tap.name)\"", hint: "nearest names: \(near.joined(separator: ", "))")
    }
    return index
  }
  /// A parameter by its name.
  public func parameter(named name: String) -> ParameterInfo? { parameters.first { $0.name == name } }
  /// Multiplications and additions of one image's forward, counted as direct products.
  public var operationsPerImage: Double {
    nodes.indices.reduce(0) { $0 + nodes[$1].operation.operations(for: nodes[$1].inputs.map { $0 < 0 ? inputShape : nodes[$0].shape }) }
  }
  /// All normalisation layers, as node indices.
  public var normNodes: [Int] { nodes.indices.filter { nodes[$0].operation is any NormOperator } }
}

/// A classifier as a value: wiring and weights. The first node normalises images given in 0…1.
public struct Model: Sendable {
  /// The wiring.
  public internal(set) var graph: Graph
  /// The values of the source.
  public internal(set) var parameters: Parameters
  /// A model as a reader built it; the values must fit the graph.
  public init(graph: Graph, parameters: Parameters) throws(TTAError) {
    guard graph.parameters.count == parameters.count else {
      throw TTAError(.internal, "a graph with \(graph.parameters.count) parameters got \(parameters.count) values")
    }
    for info in graph.parameters where parameters[info.id].shape != info.shape {
      throw TTAError(.invalidData, "\(info.name): expected a tensor \(info.shape), got \(parameters[info.id].shape)")
    }
    self.graph = graph
    self.parameters = parameters
  }
}
