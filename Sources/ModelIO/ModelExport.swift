// An adapted classifier for other runtimes.

public import Engine

extension Model {
  /// The running statistics become those of the given batches (each n × channels × height × width), so that a runtime in evaluation mode answers as
  /// adaptation with batch statistics does: the average over batches of mean and unbiased variance, as PyTorch estimates them with momentum
  /// 1 / k at batch k. One forward per batch; nothing changes where there are no batch norm layers. Throws what `batch` throws.
  public func withStatistics(ofBatches count: Int, on executor: Executor, _ batch: (_ index: Int) throws -> Tensor) throws -> Model {
    let program = Program(graph)
    var options = ForwardOptions().with(.batch)
    options.reportsMoments = true
    var parameters = parameters
    for index in 0..<count {
      let moments = try executor.forward(batch(index), program, at: parameters, options).moments
      parameters.track(moments, momentum: 1 / Float(index + 1))
    }
    return try Model(graph: graph, parameters: parameters)
  }

  /// Weights in which every batch norm that directly follows a convolution is part of it: w γ / √(σ² + ε), and a bias β + (b − μ) γ / √(σ² + ε)
  /// under the convolution's name. Other parameters are as they were. Throws where there is nothing to fold.
  public func foldingNorms() throws(TTAError) -> [(name: String, tensor: Tensor)] {
    var folded: [ParameterID: Tensor] = [:]
    var added: [ParameterID: (name: String, tensor: Tensor)] = [:]
    var dropped: Set<ParameterID> = []
    let readers = graph.nodes.reduce(into: [Int: Int]()) { counts, node in for input in node.inputs { counts[input, default: 0] += 1 } }
    for node in graph.nodes {
      guard let norm = node.operation as? BatchNorm, let input = node.inputs.first, input >= 0, readers[input] == 1,
        let convolution = graph.nodes[input].operation as? Convolution
      else { continue }
      let (own, values) = (graph.nodes[input].parameters, node.parameters.map { parameters[$0].values })
      let factors = values[0].indices.map { Double(values[0][$0]) / (Double(values[3][$0]) + Double(norm.epsilon)).squareRoot() }
      let weight = parameters[own[0]]
      let bias = convolution.hasBias ? parameters[own[1]].values : Array(repeating: 0, count: factors.count)
      var scaled = weight.values
      for i in scaled.indices { scaled[i] = Float(Double(scaled[i]) * factors[i / weight.rowElementCount]) }
      folded[own[0]] = Tensor(scaled, shape: weight.shape)
      let shifts = factors.indices.map { Float(Double(values[1][$0]) + (Double(bias[$0]) - Double(values[2][$0])) * factors[$0]) }
      let name = graph.parameters.first { $0.id == own[0] }?.name ?? ""
      let shift = (name: Self.biasName(beside: name), tensor: Tensor(shifts, shape: [shifts.count]))
      if convolution.hasBias { folded[own[1]] = shift.tensor } else { added[own[0]] = shift }
      dropped.formUnion(node.parameters)
    }
    guard !dropped.isEmpty else {
      throw TTAError(.unsupported, "no batch norm follows a convolution: there is nothing to fold", hint: "leave --fold-norms out")
    }
    return graph.parameters.filter { !dropped.contains($0.id) }.flatMap { info in
      [(name: info.name, tensor: folded[info.id] ?? parameters[info.id])] + (added[info.id].map { [$0] } ?? [])
    }
  }
  /// The name of the offset of a convolution that had none: `conv1.bias` beside `conv1.weight`, `onnx::Conv_16.bias` beside `onnx::Conv_16`.
  static func biasName(beside weight: String) -> String {
    weight.hasSuffix("weight") ? weight.dropLast("weight".count) + "bias" : weight + ".bias"
  }
}
