// Golden cases that are small networks, as graphs.

import Engine

/// Puts the small networks of the golden folder together; parameter names are those of the files.
struct GoldenNetworks {
  private var graph: GraphBuilder
  private let shapes: [String: Shape]

  init(input: Shape, parameterShapes: [String: Shape]) {
    graph = GraphBuilder(inputShape: input)
    shapes = parameterShapes
  }

  /// The graph of a case; nil for an unknown one.
  static func graph(of layer: GoldenEngine.Layer, input: Shape, parameterShapes: [String: Shape]) throws -> Graph? {
    var net = GoldenNetworks(input: input, parameterShapes: parameterShapes)
    let heads = layer.attributes["heads"]?.int ?? 2
    let images = Graph.images
    switch layer.op {
    case "attention_h2_d16", "attention_h4_d12_n1": _ = try net.attention("", images, heads: heads)
    case "post_norm_block":
      let x = try net.norm("norm1", net.sum("a", images, net.attention("attn.", images, heads: net.headCount)), epsilon: 1e-5)
      _ = try net.norm("norm2", net.sum("b", x, net.perceptron(x, .relu)), epsilon: 1e-5)
    case "pre_norm_block_gelu_eps1e-6":
      let x = try net.sum("a", images, net.attention("attn.", net.norm("norm1", images, epsilon: 1e-6), heads: net.headCount))
      _ = try net.sum("b", x, net.perceptron(net.norm("norm2", x, epsilon: 1e-6), .gelu))
    case "squeeze_excite_hardsigmoid":
      var s = try net.graph.add("pool", Mean(over: .positions), [images])
      s = try net.graph.add("act1", Activation(.relu), [net.linear("fc1", s)])
      s = try net.graph.add("act2", Activation(.hardSigmoid), [net.linear("fc2", s)])
      _ = try net.graph.add("scale", Multiply(), [images, s])
    case "basic_block_identity_batch": _ = try net.basicBlock("", images, stride: 1)
    case "basic_block_down_batch", "basic_block_down_source": _ = try net.basicBlock("", images, stride: 2)
    case "tiny_cifar_resnet8_source":
      let x = try net.basicBlock("0.", images, stride: 1)
      _ = try net.basicBlock("1.", x, stride: 2)
    case "inverted_residual_batch", "inverted_residual_s2_same": try net.invertedResidual(same: layer.op.hasSuffix("same"))
    case "tiny_wide_resnet_batch": try net.wideResNet()
    default: return nil
    }
    return net.graph.build()
  }

  private var headCount: Int { (shapes["attn.qkv.weight"]?[1] ?? 0) == 12 ? 3 : 4 }
  private func shape(_ name: String) -> Shape { shapes[name] ?? [] }

  private mutating func linear(_ name: String, _ input: Int) throws -> Int {
    let weight = shape(name + ".weight")
    let isConvolution = weight.rank == 4
    let operation: any Operator = Linear(outputs: weight[0])
    return try graph.add(
      name, operation, [input],
      parameters: [("weight", .weight, isConvolution ? [weight[0], weight[1]] : weight), ("bias", .bias, [weight[0]])])
  }
  private mutating func attention(_ prefix: String, _ input: Int, heads: Int) throws -> Int {
    let qkv = try linear(prefix + "qkv", input)
    let mixed = try graph.add(prefix + "heads", Attention(heads: heads), [qkv])
    return try linear(prefix + "proj", mixed)
  }
  private mutating func perceptron(_ input: Int, _ function: Activation.Function) throws -> Int {
    let prefix = shapes["mlp.fc1.weight"] != nil ? "mlp." : ""
    let hidden = try linear(prefix + "fc1", input)
    return try linear(prefix + "fc2", graph.add("act", Activation(function), [hidden]))
  }
  private mutating func norm(_ name: String, _ input: Int, epsilon: Float) throws -> Int {
    let width = shape(name + ".weight")
    return try graph.add(
      name, LayerNorm(epsilon: epsilon), [input], parameters: [("weight", .normScale, width), ("bias", .normShift, width)])
  }
  private mutating func sum(_ name: String, _ left: Int, _ right: Int) throws -> Int { try graph.add(name, Add(), [left, right]) }
  private mutating func convolution(
    _ name: String, _ input: Int, stride: Int = 1, padding: Convolution.Padding? = nil, depthwise: Bool = false
  ) throws -> Int {
    let weight = shape(name + ".weight")
    let operation = Convolution(
      filters: weight[0], kernel: .init(weight[2], weight[3]), stride: .init(stride), padding: padding ?? .init(weight[2] / 2),
      groups: depthwise ? weight[0] : 1)
    return try graph.add(name, operation, [input], parameters: [("weight", .weight, weight)])
  }
  private mutating func batchNorm(_ name: String, _ input: Int) throws -> Int {
    let channels = shape(name + ".weight")
    return try graph.add(
      name, BatchNorm(epsilon: 1e-5), [input],
      parameters: [
        ("weight", .normScale, channels), ("bias", .normShift, channels), ("running_mean", .runningMean, channels),
        ("running_var", .runningVariance, channels),
      ])
  }
  private mutating func activation(_ name: String, _ input: Int, _ function: Activation.Function = .relu) throws -> Int {
    try graph.add(name, Activation(function), [input])
  }
  private mutating func basicBlock(_ prefix: String, _ input: Int, stride: Int) throws -> Int {
    var x = try convolution(prefix + "conv1", input, stride: stride)
    x = try activation(prefix + "relu1", batchNorm(prefix + "bn1", x))
    x = try batchNorm(prefix + "bn2", convolution(prefix + "conv2", x))
    var shortcut = input
    let (from, to) = (shape(prefix + "conv1.weight")[1], shape(prefix + "conv2.weight")[0])
    if stride > 1 || from != to {
      shortcut = try graph.add(
        prefix + "shortcut", Shortcut(stride: stride, channelsBefore: (to - from) / 2, outChannels: to), [input])
    }
    return try activation(prefix + "relu2", sum(prefix + "add", x, shortcut))
  }
  private mutating func invertedResidual(same: Bool) throws {
    let padding = same ? Convolution.Padding(top: 0, bottom: 1, left: 0, right: 1) : nil
    var x = try activation("act0", batchNorm("conv.0.1", convolution("conv.0.0", Graph.images)), .relu6)
    x = try convolution("conv.1.0", x, stride: same ? 2 : 1, padding: padding, depthwise: true)
    x = try activation("act1", batchNorm("conv.1.1", x), .relu6)
    x = try batchNorm("conv.3", convolution("conv.2", x))
    if !same { _ = try sum("add", Graph.images, x) }
  }
  private mutating func wideResNet() throws {
    var x = try convolution("conv1", Graph.images)
    for stage in 1...3 {
      let name = "block\(stage).layer.0."
      let stride = stage > 1 ? 2 : 1
      let activated = try activation(name + "relu1", batchNorm(name + "bn1", x))
      let inner = try activation(name + "relu2", batchNorm(name + "bn2", convolution(name + "conv1", activated, stride: stride)))
      let shortcut = shapes[name + "convShortcut.weight"] == nil ? x : try convolution(name + "convShortcut", activated, stride: stride)
      x = try sum(name + "add", convolution(name + "conv2", inner), shortcut)
    }
    x = try graph.add("pool", Mean(over: .positions), [activation("relu", batchNorm("bn1", x))])
    _ = try linear("fc", x)
  }
}
