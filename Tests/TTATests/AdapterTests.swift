// Edits of a model, inputs beside the images, adapters and compositions.

import Engine
import ModelIO
import TTA
import TTATestKit
import Testing

/// Scales and shifts the features by two inputs, and adds a branch beside the classifier that learns.
private struct FeatureAdapter: ModelAdapter {
  var inputs: [InputID] = []
  var width = 0
  var answered = 0
  var rate: Float = 0.5
  mutating func configure(_ setup: inout AdaptationSetup) throws {
    let classifier = try setup.classifier()
    let node = try setup.model.graph.node(of: Tap(classifier.features))
    let width = setup.model.graph.nodes[node].shape.elementCount
    let classes = setup.model.graph.classCount
    self.width = width
    inputs = [
      setup.model.input("features.scale", default: Tensor(repeating: 1, shape: [width])),
      setup.model.input("features.shift", default: Tensor(zeros: [width])),
    ]
    try setup.model.insert(ScaleAndShift(), after: classifier.features, named: "features.adapter", inputs: inputs)
    try setup.model.branch(
      Linear(outputs: classes, hasBias: false), beside: classifier.node, named: "branch",
      parameters: [.init("weight", .adapter("feature"), Tensor(zeros: [classes, width]))])
    try setup.adapt(.role(.adapter("feature")), rate: rate)
  }
  func willAnswer(_ batch: Batch, in context: inout AdaptationContext) {
    context.options.inputs[inputs[0]] = Tensor(repeating: 1 + Float(answered), shape: [width])
  }
  mutating func didAnswer(_ prediction: Prediction, in context: inout AdaptationContext) { answered += 1 }
}

@Suite struct AdapterTests {
  private func parameters(_ value: Float, _ shape: Shape) -> [Model.NewParameter] {
    [.init("weight", .adapter("test"), Tensor(repeating: value, shape: shape))]
  }
  private func logits(_ model: Model, _ options: ForwardOptions = ForwardOptions(), _ lowering: Lowering = .fast) throws -> Output {
    try Executor(threads: 2, lowering: lowering).forward(Fixtures.images(3, model), Program(model.graph), at: model.parameters, options)
  }

  @Test(arguments: Lowering.allCases) func editsThatAddNothingChangeNothing(_ lowering: Lowering) throws {
    let model = try Fixtures.model()
    var edited = model
    let classifier = try #require(model.graph.classifier)
    let one = Tensor(repeating: 1, shape: [64])
    try edited.insert(
      ScaleAndShift(), after: classifier.features, named: "affine",
      parameters: [.init("scale", .adapter("test"), one), .init("shift", .adapter("test"), Tensor(zeros: [64]))])
    try edited.branch(Linear(outputs: 10, hasBias: false), beside: classifier.node, named: "side", parameters: parameters(0, [10, 64]))
    #expect(edited.graph.parameters.suffix(3).map(\.name) == ["affine.scale", "affine.shift", "side.weight"])
    #expect(edited.graph.classifier?.features == "affine")
    #expect(edited.graph.nodes[edited.graph.logits].name == "side.sum")
    #expect(try logits(edited, .init(), lowering).logits == logits(model, .init(), lowering).logits)
  }
  @Test func branchesAreAdded() throws {
    let model = try Fixtures.model()
    var edited = model
    let classifier = try #require(model.graph.classifier)
    try edited.branch(Linear(outputs: 10, hasBias: false), beside: classifier.node, named: "side", parameters: parameters(0.5, [10, 64]))
    var options = ForwardOptions()
    options.taps.insert(.features)
    let (before, after) = (try logits(model, options), try logits(edited, options))
    let features = try #require(before.features).values
    let expected = before.logits.values.enumerated().map { i, z in z + 0.5 * features[i / 10 * 64..<(i / 10 + 1) * 64].reduce(0, +) }
    #expect(Comparison(after.logits, Tensor(expected, shape: [3, 10]), Tolerance(absolute: 1e-4, relative: 1e-4)).isWithin)
  }
  @Test func headsAreComputedOnlyWhenAskedFor() throws {
    let model = try Fixtures.model()
    var edited = model
    let classifier = try #require(model.graph.classifier)
    let ids = try edited.head(
      Linear(outputs: 4, hasBias: false), from: classifier.features, named: "turns", parameters: parameters(1, [4, 64]))
    #expect(edited.graph.classCount == 10)
    #expect(try logits(edited).logits == logits(model).logits)
    var options = ForwardOptions()
    options.taps = [.features, "turns"]
    let output = try logits(edited, options)
    let sums = try #require(output.features).values
    let turns = try #require(output.taps["turns"])
    #expect(turns.shape == [3, 4])
    for i in 0..<12 { #expect(abs(turns.values[i] - sums[i / 4 * 64..<(i / 4 + 1) * 64].reduce(0, +)) < 1e-3) }
    // The head's own weight learns from a gradient at the head.
    let executor = Executor(threads: 2)
    let pass = try executor.record(
      Fixtures.images(3, edited), Program(edited.graph), at: edited.parameters, differentiating: ParameterSet(ids), options)
    var gradients = Gradients()
    try executor.backpropagate(pass, from: OutputGradient(["turns": Tensor(repeating: 1, shape: [3, 4])]), into: &gradients)
    let gradient = try #require(gradients[ids[0]]).values
    for k in 0..<64 { #expect(abs(gradient[k] - (sums[k] + sums[64 + k] + sums[128 + k])) < 1e-3) }
  }
  @Test func replacedOperationsKeepTheirParameters() throws {
    let model = try Fixtures.model()
    var edited = model
    let activation = try #require(model.graph.nodes.first { $0.operation is Activation }).name
    try edited.replace(activation, with: Activation(.leakyReLU(slope: 1)))
    #expect(edited.graph.parameters == model.graph.parameters)
    #expect(try logits(edited).logits != logits(model).logits)
  }
  @Test func refusedEditsChangeNothing() throws {
    let model = try Fixtures.model()
    var edited = model
    let classifier = try #require(model.graph.classifier)
    func refuse(_ expected: String, _ edit: (inout Model) throws -> Void) {
      do {
        try edit(&edited)
        Issue.record("expected an error: \(expected)")
      } catch let error as TTAError { #expect(error.message == expected) } catch { Issue.record("\(error)") }
      #expect(edited.graph.nodes.count == model.graph.nodes.count && edited.parameters == model.parameters)
      #expect(edited.graph.parameters == model.graph.parameters)
    }
    refuse("the model has no node \"head\"") { try $0.insert(ScaleAndShift(), after: "head", named: "x") }
    refuse("the model has a node \"\(classifier.node)\" already") {
      try $0.insert(ScaleAndShift(), after: classifier.features, named: classifier.node)
    }
    refuse("side.sum: add: expected two values of one shape, got 10, 7") {
      try $0.branch(Linear(outputs: 7, hasBias: false), beside: classifier.node, named: "side", parameters: parameters(0, [7, 64]))
    }
    refuse("side.sum: add: expected two values of one shape, got 10, 3") {
      try $0.branch(Linear(outputs: 3, hasBias: false), beside: classifier.node, named: "side", parameters: parameters(0, [3, 64]))
    }
  }
  @Test func inputsOfAnotherShapeAreRefused() throws {
    var model = try Fixtures.model()
    let input = model.input("scale", default: Tensor(repeating: 1, shape: [64]))
    var options = ForwardOptions()
    options.inputs[input] = Tensor(zeros: [3])
    #expect(throws: TTAError.self) { try logits(model, options) }
  }

  @Test func inputsReachEveryForward() throws {
    let model = try Fixtures.model()
    let executor = Executor(threads: 2)
    let batches = Fixtures.batches(2, of: 4, model)
    var (plain, adapted) = (try AdaptationRuntime(model, Source()), try AdaptationRuntime(model, Source().with(FeatureAdapter())))
    let first = (try plain.process(batches[0], on: executor), try adapted.process(batches[0], on: executor))
    #expect(first.0.scores.tensor == first.1.scores.tensor)
    // The second batch is answered with doubled features: twice the logits, but for the offset.
    let second = (try plain.process(batches[1], on: executor).scores.tensor, try adapted.process(batches[1], on: executor).scores.tensor)
    let classifier = try #require(model.graph.classifier)
    let offset = try #require(classifier.bias.map { model.parameters[$0].values })
    let expected = second.0.values.enumerated().map { 2 * $1 - offset[$0 % 10] }
    #expect(Comparison(second.1, Tensor(expected, shape: [4, 10]), Tolerance(absolute: 1e-4, relative: 1e-4)).isWithin)
  }
  @Test func adaptersLearnWithTheStrategy() throws {
    let model = try Fixtures.model()
    var stream = try AdaptationRuntime(model, Tent().with(FeatureAdapter()))
    let executor = Executor(threads: 2)
    for batch in Fixtures.batches(2, of: 4, model) { _ = try stream.process(batch, on: executor) }
    let branch = try #require(stream.graph.parameter(named: "branch.weight"))
    #expect(stream.adapted.contains(branch.id))
    #expect(stream.state.parameters[branch.id].values.contains { $0 != 0 })
  }
  @Test func lawsOfACompositionWithAnAdapter() throws {
    let model = try Fixtures.model()
    #expect(try StrategyLaws(Tent().with(FeatureAdapter()), on: model, batches: Fixtures.batches(4, of: 4, model)).broken() == [])
  }
  @Test func compositionsOfCompositionsAreFlat() throws {
    let nested = Source().with(FeatureAdapter()).with(FeatureAdapter(rate: 2))
    #expect(nested.adapters.count == 2 && nested.base is Source)
    // The same adapter twice would add the same nodes twice.
    #expect(throws: TTAError.self) { try AdaptationRuntime(try Fixtures.model(), nested) }
  }
  @Test func adaptersHaveNames() throws {
    var registry = Registry.builtIn
    registry.register(adapter: "features", Summary("a test", paper: "–")) { (_: NoOptions) in FeatureAdapter() }
    let strategy = try registry.compose(.keys(["name": .text("tent"), "adapter": .text("features")]))
    #expect((strategy as? Composition)?.adapters.count == 1)
    do {
      _ = try registry.compose(.keys(["name": .text("tent"), "adapter": .text("feature")]))
      Issue.record("expected an error")
    } catch let error as TTAError {
      #expect(error.message == "unknown adapter \"feature\"")
      #expect(error.hint == "nearest names: features, vida, label-shift")
    }
  }
  @Test(arguments: [Shape([5]), Shape([4, 5]), Shape([5, 3, 2])]) func scaleAndShiftGradients(_ shape: Shape) throws {
    var random = RandomSource(seed: 4)
    func tensor(_ shape: Shape) -> Tensor { Tensor((0..<shape.elementCount).map { _ in random.uniform(-1, 1) }, shape: shape) }
    let input = tensor(Shape([9] + shape.dimensions))
    let (scale, shift, weights) = (tensor([5]), tensor([5]), tensor(input.shape))
    #expect(
      try NumericGradient.worstInputDifference(of: ScaleAndShift(), input: input, parameters: [scale, shift], elements: Array(0..<40))
        < 1e-3)
    let probe = OperatorProbe(threads: 2)
    let exact = try probe.run(ScaleAndShift(), inputs: [input], parameters: [scale, shift], outputGradient: weights).parameterGradients
    for place in 0..<2 {
      let numeric = try NumericGradient.of(
        { changed in
          let values = place == 0 ? [changed, shift] : [scale, changed]
          let output = try probe.run(ScaleAndShift(), inputs: [input], parameters: values).output.values
          return zip(output, weights.values).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        }, at: place == 0 ? scale : shift, elements: Array(0..<5))
      for k in 0..<5 { #expect(abs(Double(exact[place].values[k]) - numeric[k]) < 1e-3) }
    }
  }
}
