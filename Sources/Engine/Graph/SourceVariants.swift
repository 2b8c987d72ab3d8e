// Networks whose source was trained in a special way: with instance-aware norms, with a rotation head.

extension Graph {
  /// The network with instance-aware batch norm in the place of batch norm, parameters and names as they are (NOTE, Gong et al., NeurIPS 2022).
  ///
  /// - Throws: where there is no batch norm layer.
  public func withInstanceAwareNorms(width: Float = 4) throws(TTAError) -> Graph {
    var graph = self
    var count = 0
    for index in nodes.indices {
      guard let norm = nodes[index].operation as? BatchNorm else { continue }
      graph.nodes[index].operation = InstanceAwareBatchNorm(epsilon: norm.epsilon, width: width)
      count += 1
    }
    guard count > 0 else {
      throw TTAError(
        .unsupported, "the architecture has no batch norm layers that could be instance-aware",
        hint: "choose one with batch norm, such as cifar-resnet20")
    }
    return graph
  }
}

/// A second head that tells by how many quarter turns an image was rotated: a copy of the last stage and of all that follows, with four scores. The
/// stages before are shared with the classifier.
///
/// Sun et al., "Test-Time Training with Self-Supervision for Generalization under Distribution Shifts", ICML 2020, section 3: shared up to the second of three
/// stages (ResNet-26), up to the third of four (ResNet-50). Its nodes and parameters are called after the copied ones, with `rotation_head.` in front; its
/// parameters have a role of their own, so that no selection for the classifier contains them.
public enum RotationHead {
  /// In front of names of nodes and parameters.
  public static let prefix = "rotation_head."
  /// The role of its parameters.
  public static let role = ParameterRole.adapter("rotation-head")
  /// Quarter turns that it tells apart.
  public static let turns = 4

  /// The scores of the turns, and the first node that the classifier does not share with the head; nil where the network has no head.
  public static func find(in graph: Graph) -> (scores: Tap, split: String)? {
    guard let classifier = graph.classifier, graph.nodes.contains(where: { $0.name == prefix + classifier.node }),
      let first = graph.nodes.first(where: { $0.name.hasPrefix(prefix) })
    else { return nil }
    return (Tap(prefix + classifier.node), String(first.name.dropFirst(prefix.count)))
  }

  /// The network with a head.
  ///
  /// - Throws: for networks without stages called `layer1`, `layer2` … or `block1`, `block2` …, and without a linear classifier.
  public static func add(to graph: Graph) throws(TTAError) -> Graph {
    guard let classifier = graph.classifier else {
      throw TTAError(.unsupported, "rotation head: the network does not end in a linear layer", hint: "choose another architecture")
    }
    let stages = graph.nodes.map { stage($0.name) }
    guard let last = stages.compactMap({ $0 }).max(), last > 1, let split = stages.firstIndex(of: last) else {
      throw TTAError(
        .unsupported, "rotation head: the network has no stages layer1, layer2 … that the head could share",
        hint: "choose a residual network, such as resnet26 or cifar-resnet20")
    }
    let end = graph.nodes.count
    var result = graph
    for index in split..<end {
      var node = graph.nodes[index]
      let isScores = node.name == classifier.node
      node = Graph.Node(
        name: prefix + node.name, operation: isScores ? Linear(outputs: turns, hasBias: node.parameters.count > 1) : node.operation,
        inputs: node.inputs.map { $0 >= split ? $0 - split + end : $0 },
        parameters: node.parameters.map { id in
          let info = graph.parameters[id.index]
          let own = ParameterID(result.parameters.count)
          let shape = isScores ? Shape([turns] + info.shape.dimensions.dropFirst()) : info.shape
          result.parameters.append(ParameterInfo(id: own, name: prefix + info.name, role: role, shape: shape))
          return own
        }, shape: isScores ? [turns] : node.shape)
      result.nodes.append(node)
    }
    return result
  }
  /// The number behind `layer` or `block` that a name begins with.
  private static func stage(_ name: String) -> Int? {
    guard let match = name.prefixMatch(of: /(?:layer|block)(\d+)\./) else { return nil }
    return Int(match.1)
  }

  /// Values of a parameter of the head before training: those of the parameter it was copied from; nil where the shapes differ (the scores).
  public static func twin(of info: ParameterInfo, in graph: Graph) -> ParameterInfo? {
    guard info.role == role, let twin = graph.parameter(named: String(info.name.dropFirst(prefix.count))), twin.shape == info.shape else {
      return nil
    }
    return twin
  }
}
