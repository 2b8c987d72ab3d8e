// One pass over a batch and its gradients, a few images at a time where nothing depends on the others.

import Engine

extension Learner {
  /// Whether the loss is a sum over images that are judged one by one.
  var sumsOverImages: Bool { objective.part(0..<0) != nil && filters.allSatisfy(\.judgesImagesAlone) }

  /// What a network says about a batch, the loss of that, and the loss's gradients; none where the loss is empty.
  ///
  /// Where the loss is a sum over images and no layer mixes them, the images come in parts: the gradients of all parts are added, then divided as one
  /// pass's would be. The results differ from those of one pass in the order of the sums alone.
  mutating func differentiate(
    _ batch: Batch, at network: Parameters? = nil, in context: inout AdaptationContext
  ) throws -> (output: Output, loss: Loss, gradients: Gradients) {
    try differentiate(batch, at: network, from: nil, in: &context)
  }
  /// Loss and gradients once more, at a network near by, from the images that a loss had kept: the others are not looked at where nothing depends on them.
  mutating func differentiate(
    _ batch: Batch, at network: Parameters, keptBy earlier: Loss, in context: inout AdaptationContext
  ) throws -> (loss: Loss, gradients: Gradients) {
    if earlier.isEmpty { return (earlier, Gradients()) }
    let kept = earlier.kept
    guard kept.count < batch.count, sumsOverImages, try context.parts(of: batch.images) != nil else {
      let (_, loss, gradients) = try differentiate(batch, at: network, from: earlier.weights, in: &context)
      return (loss, gradients)
    }
    var (_, loss, gradients) = try differentiate(batch[kept], at: network, from: kept.map { earlier.weights[$0] }, in: &context)
    loss.spread(over: kept, of: batch.count)
    return (loss, gradients)
  }
  private mutating func differentiate(
    _ batch: Batch, at network: Parameters?, from earlier: [Float]?, in context: inout AdaptationContext
  ) throws -> (output: Output, loss: Loss, gradients: Gradients) {
    let parts = sumsOverImages ? try context.parts(of: batch.images) : nil
    if let parts, parts.count > 1 { return try differentiate(batch, parts, at: network, from: earlier, in: &context) }
    let pass = parts == nil ? try context.record(batch.images, with: network) : try context.record(part: batch.images, with: network)
    let output = pass.output
    let loss = try loss(of: output, weights: weights(of: output, for: batch, from: earlier, in: &context))
    return (output, loss, loss.isEmpty ? Gradients() : try context.gradients(of: pass, from: loss.gradient))
  }
  private mutating func differentiate(
    _ batch: Batch, _ parts: [Range<Int>], at network: Parameters?, from earlier: [Float]?, in context: inout AdaptationContext
  ) throws -> (output: Output, loss: Loss, gradients: Gradients) {
    var (outputs, losses, gradients) = ([Output](), [Loss](), Gradients())
    defer { for i in filters.indices { filters[i].didWeigh(in: context) } }
    for rows in parts {
      guard let objective = objective.part(rows) else { throw TTAError(.internal, "an objective that has a part of some images only") }
      let pass = try context.record(part: batch.images[rows], with: network)
      let output = pass.output
      let weights = try weightsOfPart(output, for: batch[rows], from: earlier.map { Array($0[rows]) }, in: &context)
      let loss = try Self.loss(objective.losses(of: output), weights: weights, divisor: 1, [])
      // Of images that were all left out there is nothing to learn.
      if !loss.isEmpty { try context.accumulate(&gradients, of: pass, from: loss.gradient) }
      outputs.append(output)
      losses.append(loss)
    }
    let weights = losses.flatMap(\.weights)
    let factor = 1 / reduction.divisor(for: weights)
    gradients.scale(by: factor)
    var gradient = losses.compactMap { $0.gradient.taps[.logits] }.joined()
    gradient.update { span in for i in span.indices { span[i] *= factor } }
    let loss = Loss(
      value: Float(losses.reduce(0.0) { $0 + Double($1.value) } * Double(factor)), weights: weights,
      gradient: OutputGradient([.logits: gradient]), isEmpty: losses.allSatisfy(\.isEmpty))
    return (outputs.joined(), loss, gradients)
  }
}

extension Loss {
  /// The loss of some images as one of more images, the others of which weigh nothing.
  fileprivate mutating func spread(over rows: [Int], of images: Int) {
    var spread = [Float](repeating: 0, count: images)
    for (row, weight) in zip(rows, weights) { spread[row] = weight }
    weights = spread
    gradient.taps = gradient.taps.mapValues { tensor in
      let width = tensor.rowElementCount
      var result = Tensor(zeros: Shape([images] + tensor.shape.dimensions.dropFirst()))
      tensor.withSpan { from in
        result.update { to in
          for (slot, row) in rows.enumerated() { for i in 0..<width { to[row * width + i] = from[slot * width + i] } }
        }
      }
      return result
    }
  }
}

extension [Output] {
  /// The rows of all outputs after each other.
  fileprivate func joined() -> Output {
    let taps = (first?.taps ?? [:]).keys.map { tap in (tap, compactMap { $0.taps[tap] }.joined()) }
    return Output(logits: map(\.logits).joined(), taps: Dictionary(uniqueKeysWithValues: taps))
  }
}
