// A classifier that follows the classes' shares in the stream.

public import Engine

/// Follows the classes' shares in the stream and changes features and classifier by a small network of their imbalance, for every network of a strategy alike.
///
/// Park et al., "Label Shift Adapter for Test-Time Adaptation under Covariate and Label Shifts", ICCV 2023. **A reconstruction**: no code was published,
/// and the following are our choices where the text available to us is silent: the degree of imbalance Σ m_c π_c with m linear in the rank of a class from
/// +1 (most frequent in the source) to −1; a network of two layers with ReLU that gives scale − 1 and shift of the features and additions to the
/// classifier's weight and offset, zero at the start of its training; π uniform at first and moved by `rate` to the mean prediction of each batch; the
/// source stage of `tta prepare label-shift`. Published tables of the method are not claimed.
public struct LabelShiftAdapter: ModelAdapter {
  /// The file and the rate.
  public struct Options: ComponentOptions {
    /// From `tta prepare label-shift`.
    public var file = ""
    /// Share of each batch in the prior.
    public var rate: Float = 0.1
    /// A tenth.
    public init() {}
    /// For `tta list`.
    public static let meanings = ["file": "the adapter from tta prepare label-shift", "rate": "share of each batch in the moving prior"]
    /// A rate from 0 to 1.
    public func validate() throws {
      try requireShare(rate, "rate")
      guard !file.isEmpty else {
        throw TTAError(
          .usage, "label-shift: file: expected an adapter", hint: "make it with tta prepare label-shift and give --adapter label-shift=FILE"
        )
      }
    }
  }
  static let summary = Summary(
    "a classifier that follows the classes' shares (reconstruction)", paper: "Park et al., ICCV 2023", updates: "its prior",
    needs: ["a linear classifier", "a file from tta prepare label-shift"])

  /// The network.
  public let network: LabelShiftNetwork
  let rate: Float
  private let digest: String?
  /// The classes' shares so far.
  public private(set) var prior: [Float]
  private var inputs: [InputID] = []

  /// The adapter of a file. Throws where it cannot be read.
  public init(_ options: Options) throws {
    let file = try SourceStageFile(path: options.file, kind: "label-shift")
    self.init(try LabelShiftNetwork(file), rate: options.rate, digest: file.modelDigest)
  }
  /// An adapter with its network.
  public init(_ network: LabelShiftNetwork, rate: Float) { self.init(network, rate: rate, digest: nil) }
  private init(_ network: LabelShiftNetwork, rate: Float, digest: String?) {
    (self.network, self.rate, self.digest) = (network, rate, digest)
    prior = [Float](repeating: 1 / Float(network.classes), count: network.classes)
  }
  /// Scale and shift behind the features, a second classifier beside the first.
  public mutating func configure(_ setup: inout AdaptationSetup) throws {
    try SourceStageFile.check(digest, against: setup.original, what: "label-shift: the adapter")
    let classifier = try setup.classifier()
    let shape = setup.model.graph.parameters[Int(classifier.weight.rawValue)].shape
    guard shape == [network.classes, network.width] else {
      throw TTAError(
        .invalidData, "label-shift: an adapter for a classifier of \(network.classes)×\(network.width), the model's is \(shape)",
        hint: "prepare it with this model")
    }
    let values = network(prior)
    inputs = [
      setup.model.input("label-shift.scale", default: values.scale), setup.model.input("label-shift.shift", default: values.shift),
      setup.model.input("label-shift.weight", default: values.weight), setup.model.input("label-shift.bias", default: values.bias),
    ]
    try setup.model.insert(ScaleAndShift(), after: classifier.features, named: "label-shift.affine", inputs: Array(inputs[0..<2]))
    try setup.model.branch(
      Linear(outputs: network.classes), beside: classifier.node, named: "label-shift.linear", inputs: Array(inputs[2..<4]))
  }
  /// The values of the present prior.
  public func willAnswer(_ batch: Batch, in context: inout AdaptationContext) {
    let values = network(prior)
    context.options.inputs[inputs[0]] = values.scale
    context.options.inputs[inputs[1]] = values.shift
    context.options.inputs[inputs[2]] = values.weight
    context.options.inputs[inputs[3]] = values.bias
  }
  /// The prior follows the answer.
  public mutating func didAnswer(_ prediction: Prediction, in context: inout AdaptationContext) {
    let mean = meanRow(rows(of: prediction.probabilities))
    prior = zip(prior, mean).map { (1 - rate) * $0 + rate * Float($1) }
    context.observe("prior", Tensor(prior, shape: [prior.count]))
  }
}

/// Two layers from the degree of imbalance to scale, shift and additions to the classifier; for large classifiers the addition to the weight is A diag(s) B
/// of a low rank, with s from the network and A, B learnt beside it.
public struct LabelShiftNetwork: Codable, Sendable {
  /// Weights `[hidden, 1]`, `[hidden]`, `[outputs, hidden]`, `[outputs]` with outputs = 2 d + K d + K: scale − 1, shift, weight, offset; with factors
  /// outputs = 2 d + rank + K.
  public var firstWeight: Tensor, firstBias: Tensor, secondWeight: Tensor, secondBias: Tensor
  /// A `[K, rank]` and B `[rank, d]`; nil where the network gives the whole addition.
  public var factors: Factors?
  /// Two factors of the addition to the classifier's weight.
  public struct Factors: Codable, Sendable {
    /// A and B.
    public var left: Tensor, right: Tensor
    /// Two matrices whose inner sizes are the same.
    public init(left: Tensor, right: Tensor) { (self.left, self.right) = (left, right) }
    /// A diag(s) B.
    func product(_ middle: ArraySlice<Float>) -> [Float] {
      let (rank, width, a, b) = (right.count, right.rowElementCount, left.values, right.values)
      var result = [Float](repeating: 0, count: left.count * width)
      for (r, s) in middle.enumerated() where s != 0 {
        for row in 0..<left.count {
          let factor = a[row * rank + r] * s
          for k in 0..<width { result[row * width + k] += factor * b[r * width + k] }
        }
      }
      return result
    }
  }
  /// One number per class, +1 for the source's most frequent down to −1.
  public var mapping: [Float]
  /// Classes, and features of the classifier.
  public let classes: Int, width: Int

  /// A network with the given values; throws where their shapes do not fit each other.
  public init(
    firstWeight: Tensor, firstBias: Tensor, secondWeight: Tensor, secondBias: Tensor, factors: Factors? = nil, mapping: [Float]
  ) throws(TTAError) {
    (self.firstWeight, self.firstBias, self.secondWeight, self.secondBias) = (firstWeight, firstBias, secondWeight, secondBias)
    (self.mapping, self.factors) = (mapping, factors)
    let (hidden, outputs) = (firstBias.elementCount, secondBias.elementCount)
    classes = mapping.count
    width = factors?.right.rowElementCount ?? (outputs - classes) / max(1, classes + 2)
    let middle = factors?.right.count ?? classes * width
    guard classes > 1, outputs == 2 * width + middle + classes, firstWeight.elementCount == hidden,
      secondWeight.shape == [outputs, hidden], factors.map({ $0.left.shape == [classes, middle] }) ?? true
    else {
      throw TTAError(
        .invalidData,
        "label-shift: tensors that do not fit each other: \(classes) classes, \(hidden) hidden, second layer \(secondWeight.shape)",
        hint: "make the adapter with tta prepare label-shift")
    }
  }
  init(_ file: SourceStageFile) throws(TTAError) {
    try self.init(
      firstWeight: file.tensor("fc1.weight"), firstBias: file.tensor("fc1.bias"), secondWeight: file.tensor("fc2.weight"),
      secondBias: file.tensor("fc2.bias"),
      factors: file.has("factors.left") ? Factors(left: file.tensor("factors.left"), right: file.tensor("factors.right")) : nil,
      mapping: file.tensor("mapping").values)
  }
  /// +1 for the most frequent class down to −1, linear in rank; the earlier class first at ties.
  public static func mapping(sourceCounts: [Float]) -> [Float] {
    let order = sourceCounts.indices.sorted { sourceCounts[$0] != sourceCounts[$1] ? sourceCounts[$0] > sourceCounts[$1] : $0 < $1 }
    var mapping = [Float](repeating: 0, count: sourceCounts.count)
    for (rank, label) in order.enumerated() { mapping[label] = 1 - 2 * Float(rank) / Float(max(1, sourceCounts.count - 1)) }
    return mapping
  }
  /// Σ m π: 0 for a uniform prior.
  public func degree(of prior: [Float]) -> Float { Float(zip(mapping, prior).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }) }

  /// What goes into the model under a prior.
  public struct Values: Sendable {
    /// Factors `[d]`, offsets `[d]`, additions to the classifier `[K, d]` and `[K]`.
    public var scale: Tensor, shift: Tensor, weight: Tensor, bias: Tensor
  }
  /// The second layer's results under a prior.
  private func outputs(_ prior: [Float]) -> [Float] {
    let degree = degree(of: prior)
    let hidden = zip(firstWeight.values, firstBias.values).map { max(0, $0 * degree + $1) }
    let (weights, offsets) = (secondWeight.values, secondBias.values)
    return offsets.indices.map { row in
      hidden.indices.reduce(offsets[row]) { $0 + weights[row * hidden.count + $1] * hidden[$1] }
    }
  }
  /// s under a prior, or the whole addition where there are no factors.
  func middle(_ prior: [Float]) -> [Float] { Array(outputs(prior).dropFirst(2 * width).dropLast(classes)) }
  /// The values under a prior.
  public func callAsFunction(_ prior: [Float]) -> Values {
    let outputs = outputs(prior)
    let weightEnd = outputs.count - classes
    let middle = outputs[2 * width..<weightEnd]
    return Values(
      scale: Tensor(outputs[..<width].map { 1 + $0 }, shape: [width]), shift: Tensor(Array(outputs[width..<2 * width]), shape: [width]),
      weight: Tensor(factors?.product(middle) ?? Array(middle), shape: [classes, width]),
      bias: Tensor(Array(outputs[weightEnd...]), shape: [classes]))
  }
}
