// Every layer case of the golden folder, on the readable and the fused path and on every instruction set of the machine.

import CKernels
import Engine
import Foundation
import Safetensors
import TTATestKit
import Testing

@Suite(.serialized) struct GoldenEngineTests {
  private static let sets: [(ck_isa, String)] = [
    (CK_ISA_PORTABLE, "portable"), (CK_ISA_AVX2, "avx2"), (CK_ISA_AVX512, "avx512"), (CK_ISA_NEON, "neon"),
  ]

  /// Runs `body` on each instruction set that the machine has.
  private func onEachInstructionSet(_ body: (String) throws -> Void) rethrows {
    let before = ck_current_isa()
    defer { ck_select_isa(before) }
    for (isa, name) in Self.sets where ck_select_isa(isa) { try body(name) }
  }
  private func check(_ what: String, _ got: Tensor, _ expected: Tensor, _ tolerance: Tolerance) {
    let comparison = Comparison(got, expected, tolerance)
    #expect(comparison.isWithin, "\(what): \(comparison)")
  }

  private func sumOfRows(_ tensor: Tensor) -> Tensor {
    let (values, width) = (tensor.values, tensor.rowElementCount)
    return Tensor((0..<width).map { i in (0..<tensor.count).reduce(0) { $0 + values[$1 * width + i] } }, shape: [1, width])
  }

  @Test func layers() throws {
    guard let (golden, folder) = try GoldenEngine.load() else { return print("skipped: no golden folder (TTA_GOLDEN or TTA_SHARED)") }
    var done = 0
    for layer in golden.layers {
      let file = try SafetensorsFile(path: folder.appendingPathComponent(layer.file).path)
      func tensor(_ name: String) throws -> Tensor { try file.tensor("\(layer.case).\(name)") }
      let names = layer.case == "add_same_input_twice" ? ["x", "x"] : layer.inputs
      let given = try names.map(tensor)
      // A row that stands for every image is repeated; its gradients are added up again.
      let inputs = given.map { $0.count == 1 && given[0].count > 1 ? $0[[Int](repeating: 0, count: given[0].count)] : $0 }
      let parameters = try (layer.parameters + layer.buffers).map(tensor)
      let shapes = [inputs[0].shape] + parameters.map(\.shape)
      try onEachInstructionSet { isa in
        if let operation = layer.operation(shapes) {
          try single(golden, layer, operation, inputs, parameters, isa, tensor)
          if inputs.count == 1 { try fusedSingle(golden, layer, operation, inputs[0], isa, tensor) }
        } else {
          try network(golden, layer, inputs[0], isa, tensor)
        }
      }
      done += 1
    }
    print("golden engine: \(done) layer cases of \(golden.layers.count)")
    #expect(done == golden.layers.count && done > 0)
  }

  /// The operator by itself: forward and all gradients.
  private func single(
    _ golden: GoldenEngine, _ layer: GoldenEngine.Layer, _ operation: any DifferentiableOperator, _ inputs: [Tensor],
    _ parameters: [Tensor],
    _ isa: String, _ tensor: (String) throws -> Tensor
  ) throws {
    let result = try OperatorProbe(threads: 2).run(
      operation, inputs: inputs, parameters: parameters, statistics: layer.statistics, outputGradient: try tensor("gy"))
    check("\(layer.case) [\(isa)] y", result.output, try tensor("y"), golden.bound(layer, gradient: false))
    let bound = golden.bound(layer, gradient: true)
    if layer.case == "add_same_input_twice" {
      let sum = zip(result.inputGradients[0].values, result.inputGradients[1].values).map { $0 + $1 }
      check("\(layer.case) [\(isa)] d_x", Tensor(sum, shape: inputs[0].shape), try tensor("d_x"), bound)
    } else {
      for (name, gradient) in zip(layer.inputs, result.inputGradients) {
        let expected = try tensor("d_\(name)")
        check("\(layer.case) [\(isa)] d_\(name)", expected.count == gradient.count ? gradient : sumOfRows(gradient), expected, bound)
      }
    }
    for (name, gradient) in zip(layer.parameters, result.parameterGradients) {
      check("\(layer.case) [\(isa)] d_\(name)", gradient, try tensor("d_\(name)"), bound)
    }
  }

  /// The operator as a graph, through every lowering.
  private func fusedSingle(
    _ golden: GoldenEngine, _ layer: GoldenEngine.Layer, _ operation: any DifferentiableOperator, _ input: Tensor, _ isa: String,
    _ tensor: (String) throws -> Tensor
  ) throws {
    var builder = GraphBuilder(inputShape: Shape(Array(input.shape.dimensions.dropFirst())))
    let roles: [String: ParameterRole] =
      operation is any NormOperator
      ? ["weight": .normScale, "bias": .normShift, "running_mean": .runningMean, "running_var": .runningVariance] : [:]
    let names = layer.parameters + layer.buffers
    try builder.add(
      "layer", operation, [Graph.images],
      parameters: names.map { ($0, roles[$0] ?? ($0 == "bias" ? .bias : .weight), try tensor($0).shape) })
    try run(golden, layer, builder.build(), input, isa, tensor) { String($0.dropFirst("layer.".count)) }
  }
  private func network(
    _ golden: GoldenEngine, _ layer: GoldenEngine.Layer, _ input: Tensor, _ isa: String, _ tensor: (String) throws -> Tensor
  ) throws {
    var shapes: [String: Shape] = [:]
    for name in layer.parameters { shapes[name] = try tensor(name).shape }
    let shape = Shape(Array(input.shape.dimensions.dropFirst()))
    let graph = try #require(
      try GoldenNetworks.graph(of: layer, input: shape, parameterShapes: shapes), "no implementation of the case \(layer.case)")
    try run(golden, layer, graph, input, isa, tensor) { $0 }
  }

  private func run(
    _ golden: GoldenEngine, _ layer: GoldenEngine.Layer, _ graph: Graph, _ input: Tensor, _ isa: String,
    _ tensor: (String) throws -> Tensor,
    _ fileName: (String) -> String
  ) throws {
    var values: [Tensor] = []
    for info in graph.parameters { values.append(try tensor(fileName(info.name)).reshaped(to: info.shape)) }
    let parameters = Parameters(values)
    let learnable = graph.parameters.filter { layer.parameters.contains(fileName($0.name)) }
    let norms = learnable.filter { [.normScale, .normShift].contains($0.role) }
    for lowering in Lowering.allCases {
      let executor = Executor(threads: 2, lowering: lowering)
      for set in [learnable, norms] {
        var options = ForwardOptions().with(layer.statistics)
        options.differentiatesImages = true
        let pass = try executor.record(
          input, Program(graph), at: parameters, differentiating: ParameterSet(set.map(\.id)), options)
        let label = "\(layer.case) [\(isa) \(lowering.rawValue)]"
        check("\(label) y", pass.output.logits, try tensor("y"), golden.bound(layer, gradient: false))
        var gradients = Gradients()
        try executor.backpropagate(pass, from: OutputGradient([.logits: try tensor("gy")]), into: &gradients)
        let bound = golden.bound(layer, gradient: true)
        let images = try #require(gradients.images)
        check("\(label) d_x", images, try tensor("d_x"), bound)
        for info in set {
          let gradient = try #require(gradients[info.id], "\(label): no gradient of \(info.name)")
          check("\(label) d_\(info.name)", gradient, try tensor("d_" + fileName(info.name)), bound)
        }
      }
    }
  }

  @Test func trackedStatistics() throws {
    guard let (golden, folder) = try GoldenEngine.load() else { return print("skipped: no golden folder (TTA_GOLDEN or TTA_SHARED)") }
    for layer in golden.layers where layer.tensors.contains("after_running_mean") {
      let file = try SafetensorsFile(path: folder.appendingPathComponent(layer.file).path)
      func tensor(_ name: String) throws -> Tensor { try file.tensor("\(layer.case).\(name)") }
      let input = try tensor("x")
      var builder = GraphBuilder(inputShape: Shape(Array(input.shape.dimensions.dropFirst())))
      let roles: [ParameterRole] = [.normScale, .normShift, .runningMean, .runningVariance]
      try builder.add(
        "bn", BatchNorm(), [Graph.images],
        parameters: zip(layer.parameters + layer.buffers, roles).map { ($0, $1, try tensor($0).shape) })
      var parameters = Parameters(try (layer.parameters + layer.buffers).map(tensor))
      for lowering in Lowering.allCases {
        var options = ForwardOptions().with(layer.statistics)
        options.reportsMoments = true
        let moments = try Executor(threads: 1, lowering: lowering).forward(input, Program(builder.build()), at: parameters, options).moments
        var tracked = parameters
        let training = layer.attributes["training"]?.bool == true
        if layer.statistics == .batch { tracked.track(moments, momentum: Float(layer.attributes["momentum"]?.number ?? 0.1)) }
        if case .blended(let weight, _, _) = layer.statistics, training { tracked.track(moments, momentum: weight, variance: .biased) }
        let graph = builder.build()
        let ids = try #require(graph.parameter(named: "bn.running_mean"))
        let spread = try #require(graph.parameter(named: "bn.running_var"))
        check("\(layer.case) mean", tracked[ids.id], try tensor("after_running_mean"), golden.bound(layer, gradient: false))
        check("\(layer.case) variance", tracked[spread.id], try tensor("after_running_var"), golden.bound(layer, gradient: false))
      }
      parameters = Parameters()
    }
  }

  @Test func optimizers() throws {
    guard let (golden, folder) = try GoldenEngine.load() else { return print("skipped: no golden folder (TTA_GOLDEN or TTA_SHARED)") }
    let file = try SafetensorsFile(path: folder.appendingPathComponent("optim.safetensors").path)
    let (start, steps) = (try file.tensor("p0"), try file.tensor("grads"))
    let bound = try #require(golden.tolerance["optimisers_float32"])
    for item in golden.optimisers {
      func value(_ key: String, _ fallback: Float) -> Float { item.hyper[key]?.number.map(Float.init) ?? fallback }
      var betas: [Float] = [0.9, 0.999]
      if case .list(let list)? = item.hyper["betas"] { betas = list.map { Float($0.number ?? 0) } }
      var optimizer: any Optimizer
      switch item.optimizer {
      case "Adam", "AdamW":
        let decay: Float = item.optimizer == "AdamW" ? 0.01 : 0
        optimizer = Adam(
          learningRate: value("lr", 1e-3), beta1: betas[0], beta2: betas[1], epsilon: value("eps", 1e-8),
          weightDecay: value("weight_decay", decay), decoupled: item.optimizer == "AdamW")
      case "SGD":
        optimizer = SGD(
          learningRate: value("lr", 1e-3), momentum: value("momentum", 0), nesterov: item.hyper["nesterov"]?.bool ?? false,
          weightDecay: value("weight_decay", 0), dampening: value("dampening", 0))
      default:
        Issue.record("no implementation of the optimiser \(item.optimizer)")
        continue
      }
      var builder = GraphBuilder(inputShape: [1])
      try builder.add("layer", AddParameter(), [Graph.images], parameters: [("p", .weight, start.shape)])
      let id = builder.build().parameters[0].id
      var parameters = Parameters([start])
      let expected = try file.tensor(item.tensor)
      for step in 0..<expected.count {
        optimizer.step(&parameters, Gradients([id: steps[[step]].reshaped(to: start.shape)]), rates: RateScales())
        check("\(item.case) step \(step)", parameters[id], expected[[step]], bound.tolerance)
      }
    }
  }
}
