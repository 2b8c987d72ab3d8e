// The source stage of the Label Shift Adapter.

public import Engine
import Foundation

/// Trains the network of a `LabelShiftAdapter` on features of labelled source images; model and features stay as they are.
///
/// A reconstruction, as the adapter itself: each step draws a class distribution π from the source's, the uniform and the reversed one, mixed with
/// random weights, and minimises the generalised logit-adjusted cross entropy CE(z + τ (log p_s − log π), y), which makes softmax(z) the best answer under π.
public struct LabelShiftTraining: Sendable {
  /// How it is trained.
  public struct Recipe: Sendable {
    /// Adam's steps, images per step, learning rate.
    public var steps = 2_000, batchSize = 128, learningRate: Float = 1e-3
    /// Width of the hidden layer.
    public var hidden = 64
    /// Rank of the addition to the classifier's weight; 0 for a full one. nil is full where it takes no more than 64 million weights, else 32.
    public var rank: Int?
    /// Strength of the adjustment.
    public var tau = 1.0
    /// Of weights and draws.
    public var seed: UInt64 = 0
    /// The defaults.
    public init() {}
  }
  private let recipe: Recipe
  /// A training with its recipe.
  public init(_ recipe: Recipe = Recipe()) { self.recipe = recipe }

  /// The trained network. `features` are the classifier's inputs `[n, d]` of source images, `labels` their classes; class shares are counted from them.
  ///
  /// - Throws: without a linear classifier, for a class without an image, and for networks of more than 64 million weights.
  /// - Complexity: images per step × classes × features, three times per step.
  public func train(_ model: Model, features: Tensor, labels: [Int], report: (_ step: Int, _ loss: Double) -> Void = { _, _ in }) throws
    -> LabelShiftNetwork
  {
    guard let classifier = model.graph.classifier else {
      throw TTAError(
        .unsupported, "label-shift: the model does not end in a linear layer", hint: "use the adjuster logit-adjustment instead")
    }
    let weight = model.parameters[classifier.weight]
    let (classes, width) = (weight.count, weight.rowElementCount)
    let most = 64_000_000
    func outputs(_ rank: Int) -> Int { 2 * width + (rank == 0 ? classes * width : rank) + classes }
    let rank = recipe.rank ?? (outputs(0) * recipe.hidden <= most ? 0 : 32)
    let outputs = outputs(rank)
    guard rank >= 0, outputs * recipe.hidden <= most else {
      throw TTAError(
        .unsupported,
        "label-shift: a classifier of \(classes)×\(width) needs \(outputs * recipe.hidden) weights at rank \(rank), at most 64,000,000",
        hint: "use a lower rank, or the adjuster logit-adjustment instead")
    }
    var counts = [Float](repeating: 0, count: classes)
    for label in labels { counts[label] += 1 }
    guard !counts.contains(0) else {
      throw TTAError(
        .invalidData, "label-shift: class \(counts.firstIndex(of: 0) ?? 0) has no source image", hint: "give images of every class")
    }
    let mapping = LabelShiftNetwork.mapping(sourceCounts: counts)
    let shares = counts.map { Double($0) / Double(labels.count) }
    let reversed = Self.reversed(shares)
    var random = RandomSource(seed: recipe.seed)
    // The last layer starts at zero: the identity.
    var parameters = Parameters([
      Tensor((0..<recipe.hidden).map { _ in random.uniform(-1, 1) }, shape: [recipe.hidden, 1]),
      Tensor((0..<recipe.hidden).map { _ in random.uniform(-1, 1) }, shape: [recipe.hidden]),
      Tensor(zeros: [outputs, recipe.hidden]), Tensor(zeros: [outputs]),
    ])
    if rank > 0 {
      // Factors of about length 1 per column and row: with s = 0 their product is zero, and s has a gradient.
      parameters = Parameters(
        (0..<4).map { parameters[ParameterID($0)] } + [
          random.normals([classes, rank], deviation: 1 / Float(classes).squareRoot()),
          random.normals([rank, width], deviation: 1 / Float(width).squareRoot()),
        ])
    }
    var optimizer = Adam(learningRate: recipe.learningRate)
    let bias = classifier.bias.map { model.parameters[$0].values } ?? [Float](repeating: 0, count: classes)
    for step in 0..<recipe.steps {
      let prior = mixed(shares, reversed, &random)
      let rows = (0..<recipe.batchSize).map { _ in Int.random(in: labels.indices, using: &random) }
      let network = try network(parameters, mapping)
      let (loss, gradients) = gradients(
        network, prior: prior, shares: shares, features: features[rows], labels: rows.map { labels[$0] }, weight: weight, bias: bias)
      optimizer.step(&parameters, gradients, rates: RateScales())
      if (step + 1) % 100 == 0 || step + 1 == recipe.steps { report(step + 1, loss) }
    }
    return try network(parameters, mapping)
  }
  private func network(_ parameters: Parameters, _ mapping: [Float]) throws(TTAError) -> LabelShiftNetwork {
    try LabelShiftNetwork(
      firstWeight: parameters[ParameterID(0)], firstBias: parameters[ParameterID(1)], secondWeight: parameters[ParameterID(2)],
      secondBias: parameters[ParameterID(3)],
      factors: parameters.count > 4 ? .init(left: parameters[ParameterID(4)], right: parameters[ParameterID(5)]) : nil, mapping: mapping)
  }
  /// The shares in the opposite order of classes: the rarest becomes the most frequent.
  static func reversed(_ shares: [Double]) -> [Double] {
    let order = shares.indices.sorted { shares[$0] != shares[$1] ? shares[$0] > shares[$1] : $0 < $1 }
    var result = shares
    for (rank, label) in order.enumerated() { result[label] = shares[order[order.count - 1 - rank]] }
    return result
  }
  private func mixed(_ shares: [Double], _ reversed: [Double], _ random: inout RandomSource) -> [Double] {
    let uniform = 1 / Double(shares.count)
    let weights = (0..<3).map { _ in -log(max(Double(random.uniform()), 1e-12)) }
    // Half of the draws are the corners themselves.
    let corner = random.uniform() < 0.5 ? Int.random(in: 0..<3, using: &random) : nil
    let total = weights.reduce(0, +)
    let share = (0..<3).map { i in corner.map { $0 == i ? 1.0 : 0 } ?? weights[i] / total }
    return shares.indices.map { share[0] * shares[$0] + share[1] * uniform + share[2] * reversed[$0] }
  }

  /// The mean loss of a batch under a prior, and its gradients.
  package func gradients(
    _ network: LabelShiftNetwork, prior: [Double], shares: [Double], features: Tensor, labels: [Int], weight: Tensor, bias: [Float]
  ) -> (loss: Double, gradients: Gradients) {
    let (classes, width, count) = (network.classes, network.width, labels.count)
    let degree = network.degree(of: prior.map(Float.init))
    let values = network(prior.map(Float.init))
    let (scale, shift, base) = (values.scale.values, values.shift.values, weight.values)
    var whole = base
    for (i, addition) in values.weight.values.enumerated() { whole[i] += addition }
    let offset = zip(bias, values.bias.values).map { $0 + $1 }
    let h = features.values
    var adapted = h
    for i in adapted.indices { adapted[i] = adapted[i] * scale[i % width] + shift[i % width] }
    var logits = [Float](repeating: 0, count: count * classes)
    for row in 0..<count {
      for k in 0..<classes {
        var sum = offset[k]
        for j in 0..<width { sum += whole[k * width + j] * adapted[row * width + j] }
        logits[row * classes + k] = sum
      }
    }
    let losses = LossFunctions.logitAdjustedCrossEntropy(
      Tensor(logits, shape: [count, classes]), pseudoLabels: labels, sourcePrior: shares, targetPrior: prior, tau: recipe.tau)
    let g = losses.logitGradients.values.map { $0 / Float(count) }
    var outputGradient = [Float](repeating: 0, count: 2 * width + classes * width + classes)
    for row in 0..<count {
      for k in 0..<classes {
        let gradient = g[row * classes + k]
        if gradient == 0 { continue }
        outputGradient[2 * width + classes * width + k] += gradient
        for j in 0..<width {
          outputGradient[2 * width + k * width + j] += gradient * adapted[row * width + j]
          let toFeature = gradient * whole[k * width + j]
          outputGradient[j] += toFeature * h[row * width + j]
          outputGradient[width + j] += toFeature
        }
      }
    }
    var factorGradients: (left: [Float], right: [Float])?
    if let factors = network.factors {
      let (whole, middle) = (outputGradient[2 * width..<2 * width + classes * width], network.middle(prior.map(Float.init)))
      let (toMiddle, left, right) = factors.gradients(Array(whole), middle: middle)
      outputGradient.replaceSubrange(2 * width..<2 * width + classes * width, with: toMiddle)
      factorGradients = (left, right)
    }
    let (first, firstBias, second) = (network.firstWeight.values, network.firstBias.values, network.secondWeight.values)
    let hidden = zip(first, firstBias).map { max(0, $0 * degree + $1) }
    var secondGradient = [Float](repeating: 0, count: second.count)
    var hiddenGradient = [Float](repeating: 0, count: hidden.count)
    for (row, gradient) in outputGradient.enumerated() {
      for j in hidden.indices {
        secondGradient[row * hidden.count + j] = gradient * hidden[j]
        hiddenGradient[j] += gradient * second[row * hidden.count + j]
      }
    }
    for j in hidden.indices where hidden[j] <= 0 { hiddenGradient[j] = 0 }
    var gradients = [
      ParameterID(0): Tensor(hiddenGradient.map { $0 * degree }, shape: network.firstWeight.shape),
      ParameterID(1): Tensor(hiddenGradient, shape: network.firstBias.shape),
      ParameterID(2): Tensor(secondGradient, shape: network.secondWeight.shape),
      ParameterID(3): Tensor(outputGradient, shape: network.secondBias.shape),
    ]
    if let factors = network.factors, let (left, right) = factorGradients {
      gradients[ParameterID(4)] = Tensor(left, shape: factors.left.shape)
      gradients[ParameterID(5)] = Tensor(right, shape: factors.right.shape)
    }
    return (Double(losses.values.reduce(0, +)) / Double(count), Gradients(gradients))
  }
  /// Writes a network for the adapter `label-shift`.
  public static func write(_ network: LabelShiftNetwork, model: Model, to path: String) throws {
    let factors = network.factors.map { [(name: "factors.left", tensor: $0.left), (name: "factors.right", tensor: $0.right)] } ?? []
    try SourceStageFile.write(
      kind: "label-shift", model: model.parameters,
      factors + [
        (name: "fc1.weight", tensor: network.firstWeight), (name: "fc1.bias", tensor: network.firstBias),
        (name: "fc2.weight", tensor: network.secondWeight), (name: "fc2.bias", tensor: network.secondBias),
        (name: "mapping", tensor: Tensor(network.mapping, shape: [network.mapping.count])),
      ], to: path)
  }
}

extension LabelShiftNetwork.Factors {
  /// From d / d (A diag(s) B) to the gradients of s, A and B.
  func gradients(_ whole: [Float], middle: [Float]) -> (middle: [Float], left: [Float], right: [Float]) {
    let (rank, width, a, b) = (right.count, right.rowElementCount, left.values, right.values)
    var result = (
      middle: [Float](repeating: 0, count: rank), left: [Float](repeating: 0, count: a.count), right: [Float](repeating: 0, count: b.count)
    )
    for row in 0..<left.count {
      for r in 0..<rank {
        let factor = a[row * rank + r]
        var product: Float = 0
        for k in 0..<width {
          product += whole[row * width + k] * b[r * width + k]
          result.right[r * width + k] += factor * middle[r] * whole[row * width + k]
        }
        result.left[row * rank + r] = middle[r] * product
        result.middle[r] += factor * product
      }
    }
    return result
  }
}
