// Low-rank branches beside the layers of a model.

public import Engine

/// Two low-rank maps beside every attention projection (`qkv`, `proj`), or beside every convolution of a network without attention, each with a factor that is
/// an input of the model: y = W x + b + l · U_l D_l x + h · U_h D_h x.
///
/// The structure of ViDA (Liu et al., "ViDA: Homeostatic Visual Domain Adapter for Continual Test Time Adaptation", ICLR 2024). D starts normal with the
/// deviation 1/r², U at 0, so that the model equals the source until they learn; `tta prepare vida` warms them up on source data. Convolutional networks get 1×1
/// convolutions with the stride of the layer, as the paper describes; code for those was not released.
public struct ViDABranches: ModelAdapter {
  /// Ranks and rate.
  public struct Options: ComponentOptions {
    /// Rank of the domain-shared branch.
    public var lowRank = 1
    /// Rank of the domain-specific branch.
    public var highRank = 128
    /// Factor on the learning rate of the strategy.
    public var rate: Float = 1
    /// Values from `tta prepare vida`; none for fresh ones.
    public var file = ""
    /// Of fresh values.
    public var seed = 0
    /// 1 and 128.
    public init() {}
    /// For `tta list`.
    public static let meanings = [
      "low_rank": "rank of the domain-shared branch", "high_rank": "rank of the domain-specific branch",
      "rate": "factor on the strategy's learning rate", "file": "branches from tta prepare vida; none for fresh ones",
      "seed": "of fresh branches",
    ]
    /// Ranks of at least 1.
    public func validate() throws {
      guard lowRank >= 1, highRank >= 1 else { throw TTAError(.usage, "low_rank and high_rank: expected at least 1") }
    }
  }
  static let summary = Summary(
    "two low-rank branches beside attention projections or convolutions", paper: "Liu et al., ICLR 2024", updates: "its own weights",
    needs: ["attention layers or convolutions"])
  /// The role of its parameters.
  public static let role = ParameterRole.adapter("vida")

  let options: Options
  private let values: [String: Tensor], digest: String?
  /// The factors l and h.
  public private(set) var factors: InputID?
  var current: [Float] = [1, 1]

  /// Branches from a file, or fresh ones. Throws where the file cannot be read.
  public init(_ options: Options = Options()) throws {
    if options.file.isEmpty {
      self.init(options, values: [:])
    } else {
      let file = try SourceStageFile(path: options.file, kind: "vida")
      self.init(options, values: try file.tensors(), digest: file.modelDigest)
    }
  }
  /// Branches with the given values, `LAYER.low_down` `[r, inputs]` and so on; what is missing is fresh.
  public init(_ options: Options, values: [String: Tensor], digest: String? = nil) {
    (self.options, self.values, self.digest) = (options, values, digest)
  }
  /// Adds the branches, and lets them learn.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    try SourceStageFile.check(digest, against: setup.original, what: "vida: \(options.file)")
    let factors = setup.model.input("vida.factors", default: Tensor(current, shape: [2]))
    self.factors = factors
    var random = RandomSource(seed: UInt64(bitPattern: Int64(options.seed)))
    let layers = Self.layers(of: setup.model.graph)
    guard !layers.isEmpty else {
      throw TTAError(.usage, "vida: the model has neither attention projections nor convolutions", hint: "use a strategy without branches")
    }
    for layer in layers {
      let (low, high) = ranks(layer)
      func value(_ name: String, _ shape: Shape, deviation: Float) throws -> Model.NewParameter {
        if let given = values["\(layer.name).\(name)"] {
          guard given.shape == shape else {
            throw TTAError(
              .invalidData, "vida: \(layer.name).\(name): expected \(shape), got \(given.shape)",
              hint: "give the ranks that the branches were prepared with: low_rank, high_rank")
          }
          return .init(name, Self.role, given)
        }
        let draws = deviation == 0 ? Tensor(zeros: shape) : random.normals(shape, deviation: deviation)
        return .init(name, Self.role, draws)
      }
      let parameters = [
        try value("low_down", [low, layer.inputs], deviation: 1 / Float(low * low)),
        try value("low_up", [layer.outputs, low], deviation: 0),
        try value("high_down", [high, layer.inputs], deviation: 1 / Float(high * high)),
        try value("high_up", [layer.outputs, high], deviation: 0),
      ]
      try setup.model.branch(
        LowRankPair(outputs: layer.outputs, ranks: (low, high), stride: layer.stride), beside: layer.name, named: layer.name + ".vida",
        parameters: parameters, inputs: [factors])
    }
    try setup.adapt(.role(Self.role), rate: options.rate)
  }
  /// Ranks of prepared values, or those of the options, at most the width of the layer.
  private func ranks(_ layer: Layer) -> (Int, Int) {
    let widest = min(layer.inputs, layer.outputs)
    return (
      values["\(layer.name).low_down"]?.count ?? min(options.lowRank, widest),
      values["\(layer.name).high_down"]?.count ?? min(options.highRank, widest)
    )
  }
  /// Sets the factors.
  public func willAnswer(_ batch: Batch, in context: inout AdaptationContext) {
    if let factors { context.options.inputs[factors] = Tensor(current, shape: [2]) }
  }

  /// A layer that gets branches.
  struct Layer { var name: String, inputs: Int, outputs: Int, stride: Int }
  /// Attention projections; without any, the convolutions whose result a strided 1×1 convolution can join.
  static func layers(of graph: Graph) -> [Layer] {
    func layer(_ node: Graph.Node, stride: Int) -> Layer {
      let weight = graph.parameters[Int(node.parameters[0].rawValue)].shape
      return Layer(name: node.name, inputs: weight[1], outputs: weight[0], stride: stride)
    }
    let projections = graph.nodes.filter { $0.operation is Linear && ($0.name.hasSuffix("attn.qkv") || $0.name.hasSuffix("attn.proj")) }
    if !projections.isEmpty { return projections.map { layer($0, stride: 1) } }
    return graph.nodes.compactMap { node in
      guard let convolution = node.operation as? Convolution, convolution.groups == 1, let input = node.inputs.first, input >= 0,
        convolution.stride.height == convolution.stride.width
      else { return nil }
      let (before, stride) = (graph.nodes[input].shape, convolution.stride.height)
      guard node.shape[1] == (before[1] + stride - 1) / stride, node.shape[2] == (before[2] + stride - 1) / stride else { return nil }
      return layer(node, stride: stride)
    }
  }
}
