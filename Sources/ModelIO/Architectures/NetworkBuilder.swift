// Layers as architectures write them: names and parameters as in PyTorch.

import Engine

/// A graph builder that knows the layers of image classifiers and their parameter names.
struct NetworkBuilder {
  private var graph: GraphBuilder

  init(inputSize: Int) { graph = GraphBuilder(inputShape: [3, inputSize, inputSize]) }
  func build() -> Graph { graph.build() }
  func shape(_ node: Int) -> Shape { graph.shape(of: node) }

  mutating func normalizedImages(_ configuration: ArchitectureConfiguration) throws(TTAError) -> Int {
    try graph.add("input", Normalize(mean: configuration.mean, deviation: configuration.deviation), [Graph.images])
  }
  mutating func convolution(
    _ name: String, _ input: Int, filters: Int, kernel: Int, stride: Int = 1, padding: Int = 0, groups: Int = 1, bias: Bool = false
  ) throws(TTAError) -> Int {
    let operation = Convolution(
      filters: filters, kernel: .init(kernel), stride: .init(stride), padding: .init(padding), groups: groups, hasBias: bias)
    var parameters: [GraphBuilder.NewParameter] = [("weight", .weight, [filters, shape(input)[0] / groups, kernel, kernel])]
    if bias { parameters.append(("bias", .bias, [filters])) }
    return try graph.add(name, operation, [input], parameters: parameters)
  }
  mutating func batchNorm(_ name: String, _ input: Int, epsilon: Float = 1e-5) throws(TTAError) -> Int {
    let channels = shape(input)[0]
    return try graph.add(
      name, BatchNorm(epsilon: epsilon), [input],
      parameters: [
        ("weight", .normScale, [channels]), ("bias", .normShift, [channels]), ("running_mean", .runningMean, [channels]),
        ("running_var", .runningVariance, [channels]),
      ])
  }
  mutating func groupNorm(_ name: String, _ input: Int, groups: Int) throws(TTAError) -> Int {
    try graph.add(
      name, GroupNorm(groups: groups), [input],
      parameters: [("weight", .normScale, [shape(input)[0]]), ("bias", .normShift, [shape(input)[0]])])
  }
  mutating func layerNorm(_ name: String, _ input: Int, epsilon: Float) throws(TTAError) -> Int {
    let width = shape(input).dimensions.last ?? 0
    return try graph.add(
      name, LayerNorm(epsilon: epsilon), [input], parameters: [("weight", .normScale, [width]), ("bias", .normShift, [width])])
  }
  /// `prefix` stands in front of `weight` and `bias` (`in_proj_` in torchvision's attention).
  mutating func linear(_ name: String, _ input: Int, outputs: Int, bias: Bool = true, prefix: String = "") throws(TTAError) -> Int {
    let width = shape(input).dimensions.last ?? 0
    var parameters: [GraphBuilder.NewParameter] = [(prefix + "weight", .weight, [outputs, width])]
    if bias { parameters.append((prefix + "bias", .bias, [outputs])) }
    return try graph.add(name, Linear(outputs: outputs, hasBias: bias), [input], parameters: parameters)
  }
  mutating func activation(_ name: String, _ input: Int, _ function: Activation.Function = .relu) throws(TTAError) -> Int {
    try graph.add(name, Activation(function), [input])
  }
  /// A convolution and its batch norm by their names, and the function behind them, padded so that a stride of 1 keeps the size.
  mutating func normalizedConvolution(
    _ names: (String, String), _ input: Int, filters: Int, kernel: Int, stride: Int = 1, groups: Int = 1, function: Activation.Function?
  ) throws(TTAError) -> Int {
    let x = try batchNorm(
      names.1, try convolution(names.0, input, filters: filters, kernel: kernel, stride: stride, padding: kernel / 2, groups: groups))
    guard let function else { return x }
    return try activation(names.1 + ".act", x, function)
  }
  mutating func multiply(_ name: String, _ left: Int, _ right: Int) throws(TTAError) -> Int {
    try graph.add(name, Multiply(), [left, right])
  }
  mutating func concatenate(_ name: String, _ parts: [Int]) throws(TTAError) -> Int { try graph.add(name, Concatenate(), parts) }
  /// A learnt factor per channel under a name of its own.
  mutating func layerScale(_ name: String, _ input: Int, shape factors: Shape) throws(TTAError) -> Int {
    try graph.add(name, ScaleChannels(isLast: false), [input], parameters: [(name, .weight, factors)], layer: "")
  }
  mutating func add(_ name: String, _ left: Int, _ right: Int) throws(TTAError) -> Int { try graph.add(name, Add(), [left, right]) }
  mutating func layer(_ name: String, _ operation: any Operator, _ input: Int) throws(TTAError) -> Int {
    try graph.add(name, operation, [input])
  }
  /// A node whose only parameter is named like itself (`cls_token`).
  mutating func token(_ name: String, _ operation: any Operator, _ input: Int, shape: Shape) throws(TTAError) -> Int {
    try graph.add(name, operation, [input], parameters: [(name, .token, shape)], layer: "")
  }
}
