// Dropout on the classifier's input.

import Engine

/// Factors on the classifier's input, one per feature, the same for all images of a pass: Monte Carlo dropout without an operator of its own.
///
/// A feature is dropped with the probability `share`; the others are scaled by 1 / (1 − share), so that the mean stays.
struct FeatureMasks: Codable, Sendable {
  private let share: Float, fixed: [[Float]]
  private let scale: InputID, width: Int

  /// Adds the factors to the model, 1 until a pass sets them. Throws without a linear classifier.
  init(_ share: Float, _ fixed: [[Float]], _ setup: inout AdaptationSetup) throws {
    (self.share, self.fixed) = (share, fixed)
    let classifier = try setup.classifier()
    width = setup.model.graph.parameters[Int(classifier.weight.rawValue)].shape[1]
    scale = setup.model.input("dropout.scale", default: Tensor(repeating: 1, shape: [width]))
    let shift = setup.model.input("dropout.shift", default: Tensor(zeros: [width]))
    try setup.model.insert(ScaleAndShift(), after: classifier.features, named: "dropout", inputs: [scale, shift])
  }
  /// Runs `count` passes under masks of their own; the model is whole again afterwards.
  func passes<Result>(
    _ count: Int, in context: inout AdaptationContext, _ body: (inout AdaptationContext) throws -> Result
  ) throws -> [Result] {
    defer { context.options.inputs[scale] = nil }
    return try (0..<count).map { pass in
      let mask =
        fixed.isEmpty ? (0..<width).map { _ in context.random.uniform() < share ? 0 : 1 / (1 - share) } : fixed[pass % fixed.count]
      context.options.inputs[scale] = Tensor(mask, shape: [width])
      return try body(&context)
    }
  }
}
