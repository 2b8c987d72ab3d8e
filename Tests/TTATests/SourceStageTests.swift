// What methods learn from source data before deployment, and how it comes back.

import Engine
import Foundation
import ModelIO
import TTA
import TTATestKit
import Testing

@Suite struct SourceStageTests {
  private func temporary(_ name: String) -> String {
    FileManager.default.temporaryDirectory.appendingPathComponent("tta-\(UUID().uuidString)-\(name).safetensors").path
  }

  @Test func importancesAreMeanSquaresOfBatchGradients() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let executor = Executor(threads: 1)
    let batches = Fixtures.batches(3, of: 4, model).map(\.images)
    let one = try FisherInformation.diagonal(of: model, batches: [batches[0]], on: executor)
    let two = try FisherInformation.diagonal(of: model, batches: [batches[1]], on: executor)
    let both = try FisherInformation.diagonal(of: model, batches: batches[0...1], on: executor)
    for (name, mean) in both {
      let expected = zip(one[name]?.values ?? [], two[name]?.values ?? []).map { ($0 + $1) / 2 }
      #expect(Comparison(mean, Tensor(expected, shape: mean.shape), Tolerance(absolute: 1e-9, relative: 1e-5)).isWithin, "\(name)")
      #expect(mean.values.allSatisfy { $0 >= 0 })
    }
    #expect(both.count == model.graph.parameters.filter { [.normScale, .normShift].contains($0.role) }.count)
  }
  @Test func eataHoldsImportantWeights() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let executor = Executor(threads: 1)
    let batches = Fixtures.batches(6, of: 6, model)
    let importance = try FisherInformation.diagonal(of: model, batches: [batches[0].images], on: executor)
    let path = temporary("fisher")
    defer { try? FileManager.default.removeItem(atPath: path) }
    try FisherInformation.write(importance, model: model, to: path)
    func distance(_ weight: Float?) throws -> Double {
      var options = EATA.Options()
      (options.factor, options.margin) = (2, 1)
      options.update = UpdateOptions(.sgd, learningRate: 1e-2, momentum: 0)
      if let weight { (options.file, options.fisherWeight) = (path, weight) }
      var stream = try AdaptationRuntime(model, EATA(options))
      for batch in batches { _ = try stream.process(batch, on: executor) }
      return stream.adapted.ids.reduce(0) { sum, id in
        let (now, source) = (stream.state.parameters[id].values, model.parameters[id].values)
        let factor = importance[stream.graph.parameters[Int(id.rawValue)].name]?.values ?? []
        return sum + zip(zip(now, source), factor).reduce(0) { $0 + Double($1.1) * Double(($1.0.0 - $1.0.1) * ($1.0.0 - $1.0.1)) }
      }
    }
    let (free, held) = (try distance(nil), try distance(1_000))
    #expect(held < 0.85 * free, "\(held) of \(free)")
    #expect(try distance(0) == free)
  }
  @Test func filesOfAnotherModelOrKindAreRefused() throws {
    let (model, other) = (try Fixtures.model("cifar-resnet14", inputSize: 8), try Fixtures.model("cifar-resnet14", inputSize: 8, seed: 4))
    let importance = try FisherInformation.diagonal(
      of: model, batches: Fixtures.batches(1, of: 4, model).map(\.images), on: Executor(threads: 1))
    let path = temporary("fisher")
    defer { try? FileManager.default.removeItem(atPath: path) }
    try FisherInformation.write(importance, model: model, to: path)
    var options = EATA.Options()
    options.file = path
    _ = try AdaptationRuntime(model, EATA(options))
    func message(_ body: () throws -> Void) -> String {
      do { try body() } catch let error as TTAError { return error.message } catch { return "\(error)" }
      return "no error"
    }
    #expect(
      message { _ = try AdaptationRuntime(other, EATA(options)) }
        == "eata: the file of importances was prepared for another model: expected the digest \(other.parameters.digest), got \(model.parameters.digest)"
    )
    var branches = ViDABranches.Options()
    branches.file = path
    #expect(message { _ = try ViDABranches(branches) } == "\(path): prepared for fisher, expected vida")
    var adapter = LabelShiftAdapter.Options()
    adapter.file = path
    #expect(message { _ = try LabelShiftAdapter(adapter) } == "\(path): prepared for fisher, expected label-shift")
  }

  /// A network that is its own features: two Gaussians on a line, classified by a linear layer.
  private func toy(_ count: Int, headShare: Double) throws -> (model: Model, features: Tensor, labels: [Int]) {
    var builder = GraphBuilder(inputShape: [1, 1, 1])
    let features = try builder.add("features", Mean(over: .positions), [Graph.images])
    try builder.add("fc", Linear(outputs: 2), [features], parameters: [("weight", .weight, [2, 1]), ("bias", .bias, [2])])
    let model = try Model(
      graph: builder.build(),
      parameters: Parameters([
        Tensor([-1, 1], shape: [2, 1]),
        Tensor([Float(log(headShare / (1 - headShare))) / 2, -Float(log(headShare / (1 - headShare))) / 2], shape: [2]),
      ]))
    var random = RandomSource(seed: 6)
    var (values, labels): ([Float], [Int]) = ([], [])
    for _ in 0..<count {
      let label = Double(random.uniform()) < headShare ? 0 : 1
      let normal = (0..<12).reduce(Float(-6)) { sum, _ in sum + random.uniform() }
      values.append((label == 0 ? -1 : 1) + normal)
      labels.append(label)
    }
    return (model, Tensor(values, shape: [count, 1]), labels)
  }
  @Test func theAdapterLearnsTheLogOfThePriorRatio() throws {
    let (model, features, labels) = try toy(4_000, headShare: 0.9)
    var recipe = LabelShiftTraining.Recipe()
    (recipe.steps, recipe.hidden, recipe.learningRate) = (1_500, 16, 3e-3)
    let network = try LabelShiftTraining(recipe).train(model, features: features, labels: labels)
    // Class 0 is the frequent one: its logit's lead must grow with the prior, between (0.5, 0.5) and (0.9, 0.1) by log 9.
    func lead(_ prior: [Float], at x: Float) -> Float {
      let v = network(prior)
      let feature = x * v.scale.values[0] + v.shift.values[0]
      let (w, b) = (
        model.parameters[ParameterID(named: "fc.weight", in: model)].values,
        model.parameters[ParameterID(named: "fc.bias", in: model)].values
      )
      let z = (0..<2).map { (w[$0] + v.weight.values[$0]) * feature + b[$0] + v.bias.values[$0] }
      return z[0] - z[1]
    }
    let difference = lead([0.9, 0.1], at: 0) - lead([0.5, 0.5], at: 0)
    #expect(abs(difference - Float(log(9.0))) < 0.35, "\(difference)")
    #expect(lead([0.9, 0.1], at: 0) > lead([0.7, 0.3], at: 0) && lead([0.7, 0.3], at: 0) > lead([0.3, 0.7], at: 0))
    #expect(network.degree(of: [0.5, 0.5]) == 0)
  }
  @Test func anUntrainedAdapterIsTheIdentity() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let network = try LabelShiftNetwork(
      firstWeight: Tensor(repeating: 0.3, shape: [4, 1]), firstBias: Tensor(repeating: 0.1, shape: [4]),
      secondWeight: Tensor(zeros: [2 * 64 + 640 + 10, 4]), secondBias: Tensor(zeros: [2 * 64 + 640 + 10]),
      mapping: LabelShiftNetwork.mapping(sourceCounts: [9, 8, 7, 6, 5, 4, 3, 2, 1, 1]))
    let executor = Executor(threads: 1)
    var (plain, adapted) = (
      try AdaptationRuntime(model, Tent()), try AdaptationRuntime(model, Tent().with(LabelShiftAdapter(network, rate: 0.1)))
    )
    for batch in Fixtures.batches(3, of: 4, model) {
      #expect(try plain.process(batch, on: executor).scores.tensor == adapted.process(batch, on: executor).scores.tensor)
    }
  }
  /// The addition to the classifier as A diag(s) B: gradients by differences, the identity at the start, the way through a file.
  @Test func additionsOfLowRank() throws {
    let (model, features, labels) = try toy(2_000, headShare: 0.9)
    var recipe = LabelShiftTraining.Recipe()
    (recipe.steps, recipe.hidden, recipe.learningRate, recipe.rank) = (0, 8, 3e-3, 1)
    let start = try LabelShiftTraining(recipe).train(model, features: features, labels: labels)
    #expect(start.factors?.left.shape == [2, 1] && start.factors?.right.shape == [1, 1] && start.secondBias.shape == [5])
    for prior in [[0.9, 0.1], [0.5, 0.5]] as [[Float]] {
      let values = start(prior)
      #expect(values.weight.values == [0, 0] && values.scale.values == [1] && values.shift.values == [0])
    }
    recipe.steps = 1_500
    var losses: [Double] = []
    let network = try LabelShiftTraining(recipe).train(model, features: features, labels: labels) { _, loss in losses.append(loss) }
    #expect(network.factors?.left != start.factors?.left && network([0.9, 0.1]).weight.values != [0, 0])
    func lead(_ prior: [Float]) -> Float {
      let (values, bias) = (network(prior), model.parameters[ParameterID(named: "fc.bias", in: model)].values)
      let w = zip(model.parameters[ParameterID(named: "fc.weight", in: model)].values, values.weight.values).map { $0 + $1 }
      let z = (0..<2).map { w[$0] * values.shift.values[0] + bias[$0] + values.bias.values[$0] }
      return z[0] - z[1]
    }
    #expect(abs(lead([0.9, 0.1]) - lead([0.5, 0.5]) - Float(log(9.0))) < 0.4)
    let path = temporary("low-rank")
    defer { try? FileManager.default.removeItem(atPath: path) }
    try LabelShiftTraining.write(network, model: model, to: path)
    var options = LabelShiftAdapter.Options()
    options.file = path
    let read = try LabelShiftAdapter(options).network
    for prior in [[0.9, 0.1], [0.2, 0.8]] as [[Float]] {
      #expect(read(prior).weight == network(prior).weight && read(prior).bias == network(prior).bias)
    }
  }
  @Test func gradientsOfTheFactorsMatchDifferences() throws {
    let (model, features, labels) = try toy(40, headShare: 0.7)
    var random = RandomSource(seed: 9)
    let parts = [
      random.normals([3, 1], deviation: 1), Tensor([0.4, 0.5, 0.6], shape: [3]), random.normals([6, 3], deviation: 0.5),
      random.normals([6], deviation: 0.5), random.normals([2, 2], deviation: 1), random.normals([2, 1], deviation: 1),
    ]
    let weight = model.parameters[ParameterID(named: "fc.weight", in: model)]
    let bias = model.parameters[ParameterID(named: "fc.bias", in: model)].values
    func loss(_ parts: [Tensor]) throws -> (loss: Double, gradients: Gradients) {
      let network = try LabelShiftNetwork(
        firstWeight: parts[0], firstBias: parts[1], secondWeight: parts[2], secondBias: parts[3],
        factors: .init(left: parts[4], right: parts[5]), mapping: [1, -1])
      return LabelShiftTraining().gradients(
        network, prior: [0.8, 0.2], shares: [0.7, 0.3], features: features, labels: labels, weight: weight, bias: bias)
    }
    let exact = try loss(parts).gradients.byName
    #expect(exact.count == 6)
    for (index, part) in parts.enumerated() {
      let numeric = try NumericGradient.of(
        { value in
          var changed = parts
          changed[index] = value
          return try loss(changed).loss
        }, at: part, elements: Array(0..<part.elementCount), step: 1e-2)
      for (one, other) in zip(exact[index].values, numeric) {
        #expect(abs(Double(one) - other) < 2e-3 + 0.02 * abs(other), "part \(index)")
      }
    }
  }
  @Test func reversedSharesAndMapping() {
    #expect(LabelShiftNetwork.mapping(sourceCounts: [5, 1, 3]) == [1, -1, 0])
    #expect(LabelShiftNetwork.mapping(sourceCounts: [2, 2]) == [1, -1])
  }
  @Test func warmedBranchesComeBack() throws {
    let model = try Fixtures.model("cifar-resnet14", inputSize: 8)
    let executor = Executor(threads: 1)
    var options = ViDABranches.Options()
    options.highRank = 4
    let batches = Fixtures.batches(4, of: 8, model).map { (images: $0.images, labels: (0..<8).map { $0 % 10 }) }
    var losses: [Float] = []
    let repeated = Array(repeating: batches, count: 5).flatMap { $0 }
    let branches = try ViDAWarmUp(options, learningRate: 1e-2).train(model, batches: repeated, on: executor) { _, loss in
      losses.append(loss)
    }
    #expect(losses[16..<20].reduce(0, +) < losses[0..<4].reduce(0, +))
    let path = temporary("vida")
    defer { try? FileManager.default.removeItem(atPath: path) }
    try ViDAWarmUp.write(branches, model: model, to: path)
    options.file = path
    var stream = try AdaptationRuntime(model, Source().with(ViDABranches(options)))
    var source = try AdaptationRuntime(model, Source())
    let batch = Fixtures.batches(1, of: 4, model)[0]
    #expect(try stream.process(batch, on: executor).scores.tensor != source.process(batch, on: executor).scores.tensor)
    for (name, value) in branches {
      let place = name.lastIndex(of: ".") ?? name.endIndex
      let own = try #require(stream.graph.parameter(named: name[..<place] + ".vida" + name[place...]))
      #expect(stream.state.parameters[own.id] == value)
    }
  }
}

extension Gradients {
  /// All of them in the order of their numbers.
  fileprivate var byName: [Tensor] { tensors.sorted { $0.key < $1.key }.map(\.value) }
}
extension ParameterID {
  fileprivate init(named name: String, in model: Model) { self = model.graph.parameter(named: name)?.id ?? model.graph.parameters[0].id }
}
