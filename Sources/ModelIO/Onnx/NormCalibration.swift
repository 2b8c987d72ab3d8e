// Norm layers for a network whose export made them part of its convolutions.

public import Engine
import Onnx

extension OnnxOrigin {
  /// Writes the file with a batch norm behind every convolution that has positions, calibrated on clean images: mean and variance are those of the
  /// convolution's outputs, scale and shift take them back, so that the network answers as before until a method changes something. They are not the norms
  /// that the export lost: scales and shifts that were learnt stay inside the convolutions. The number of norms.
  ///
  /// `batch` gives clean images (n × 3 × height × width), one forward each. Throws `unsupported` for networks with norm layers of their own or without
  /// convolutions, and what writing and `batch` throw.
  public func writeCalibrated(
    _ loaded: LoadedModel, batches count: Int, on executor: Executor, to path: String, _ batch: (_ index: Int) throws -> Tensor
  ) throws -> Int {
    let graph = loaded.model.graph
    guard graph.normNodes.isEmpty else {
      throw TTAError(
        .unsupported, "\(loaded.source): the network has \(graph.normNodes.count) norm layers; there is nothing to put back",
        hint: "adapt it as it is")
    }
    var changes = OnnxChanges()
    var channels: [(prefix: String, count: Int)] = []
    for node in graph.nodes {
      guard node.operation is Convolution, node.shape[1] * node.shape[2] > 1,
        let name = graph.parameters.first(where: { $0.id == node.parameters[0] })?.name,
        let source = sources[name], let place = file.nodes.firstIndex(where: { $0.operation == "Conv" && $0.inputs[1] == source.tensor })
      else { continue }
      let prefix = source.tensor + ".norm"
      channels.append((prefix, node.shape[0]))
      changes.norms[place] = ["weight", "bias", "mean", "var"].map { "\(prefix).\($0)" }
    }
    guard !channels.isEmpty else {
      throw TTAError(.unsupported, "\(loaded.source): the network has no convolutions", hint: "calibration is for convolutional networks")
    }
    func set(_ prefix: String, mean: [Float], variance: [Float], epsilon: Float = 1e-5) {
      let values = [variance.map { ($0 + epsilon).squareRoot() }, mean, mean, variance]
      for (name, value) in zip(["weight", "bias", "mean", "var"], values) {
        changes.tensors["\(prefix).\(name)"] = Tensor(value, shape: [value.count])
      }
    }
    for (prefix, count) in channels { set(prefix, mean: Array(repeating: 0, count: count), variance: Array(repeating: 1, count: count)) }
    try file.write(changes, to: path)
    let open = try ModelLoader.load(path: path, overrides: loaded.description)
    // Stored statistics throughout: each norm sees what the network had there.
    var options = ForwardOptions()
    options.reportsMoments = true
    let program = Program(open.model.graph)
    var measured = open.model.parameters
    for index in 0..<count {
      let moments = try executor.forward(batch(index), program, at: open.model.parameters, options).moments
      measured.track(moments, momentum: 1 / Float(index + 1), variance: .biased)
    }
    for (prefix, _) in channels {
      func values(_ name: String) throws(TTAError) -> [Float] {
        guard let info = open.model.graph.parameter(named: "\(prefix).\(name)") else {
          throw TTAError(.internal, "no parameter \(prefix).\(name)")
        }
        return measured[info.id].values
      }
      set(prefix, mean: try values("mean"), variance: try values("var"))
    }
    try file.write(changes, to: path)
    return channels.count
  }
}
