// Layers that exporters write as several operators.

import Engine
import Onnx

/// Finds layers that are written as several operators and puts one in their place: SiLU, hard swish, GELU, layer norm, group norm, batch norm, and
/// the offset of a linear layer. Only values that nothing else reads disappear.
struct OnnxPatterns {
  private var nodes: [OnnxNode]
  private let constants: (String) -> Tensor?
  private var producer: [String: Int] = [:]
  private var readers: [String: Int] = [:]

  /// `constants` gives the values of small constants by name.
  static func merged(_ nodes: [OnnxNode], outputs: [String], constants: @escaping (String) -> Tensor?) -> [OnnxNode] {
    var patterns = OnnxPatterns(nodes: nodes, constants: constants)
    for (index, node) in nodes.enumerated() {
      for output in node.outputs { patterns.producer[output] = index }
      // A constant cast like another value does not read it.
      let isConstant = node.operation == "CastLike" && node.inputs.first.map { constants($0) != nil } == true
      for input in isConstant ? node.inputs.prefix(1) : node.inputs[...] { patterns.readers[input, default: 0] += 1 }
    }
    for output in outputs { patterns.readers[output, default: 0] += 1 }
    for index in nodes.indices {
      if let merged = patterns.match(nodes[index]) { patterns.nodes[index] = merged }
    }
    return patterns.withoutUnread(outputs)
  }
  private init(nodes: [OnnxNode], constants: @escaping (String) -> Tensor?) { (self.nodes, self.constants) = (nodes, constants) }

  /// Nodes of which nothing is read are left out.
  private func withoutUnread(_ outputs: [String]) -> [OnnxNode] {
    var read = Set(outputs)
    var kept: [OnnxNode] = []
    for node in nodes.reversed() where node.outputs.contains(where: read.contains) {
      read.formUnion(node.inputs)
      kept.append(node)
    }
    return kept.reversed()
  }
  /// The node that gives a value, if its operator is the given one.
  private func node(_ operation: String, giving value: String) -> OnnxNode? {
    guard let index = producer[value], nodes[index].operation == operation, nodes[index].inputs.count >= OnnxSupport.leastInputs(operation)
    else { return nil }
    return nodes[index]
  }
  private func scalar(_ value: String) -> Float? {
    guard let tensor = constants(value), tensor.elementCount == 1 else { return nil }
    return tensor.values[0]
  }
  private func isNear(_ value: String, _ expected: Float) -> Bool {
    scalar(value).map { abs($0 - expected) < 1e-4 * abs(expected) } ?? false
  }
  private func isOnlyRead(_ value: String, times: Int = 1) -> Bool { readers[value] == times }
  /// The constant among two inputs and the other one.
  private func split(_ node: OnnxNode) -> (value: String, constant: String)? {
    guard node.inputs.count == 2 else { return nil }
    if constants(node.inputs[1]) != nil { return (node.inputs[0], node.inputs[1]) }
    return constants(node.inputs[0]) != nil ? (node.inputs[1], node.inputs[0]) : nil
  }

  private func match(_ node: OnnxNode) -> OnnxNode? {
    guard node.inputs.count == 2, node.outputs.count == 1 else { return nil }
    switch node.operation {
    case "Mul": return gelu(node) ?? gated(node)
    case "Add": return linear(node) ?? layerNorm(node) ?? groupNorm(node) ?? batchNorm(node)
    default: return nil
    }
  }
  /// x · σ(x), x · hard σ(x).
  private func gated(_ node: OnnxNode) -> OnnxNode? {
    for (x, gate) in [(node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])] {
      if let sigmoid = self.node("Sigmoid", giving: gate), sigmoid.inputs == [x] {
        return OnnxNode("Silu", [x], node.outputs, name: node.name)
      }
      if let sigmoid = self.node("HardSigmoid", giving: gate), sigmoid.inputs == [x], case .float(let slope)? = sigmoid.attributes["alpha"],
        abs(slope - 1 / 6) < 1e-6
      {
        return OnnxNode("HardSwish", [x], node.outputs, name: node.name)
      }
    }
    return nil
  }
  /// x · ½ · (1 + erf(x / √2)), multiplied in any order.
  private func gelu(_ node: OnnxNode) -> OnnxNode? {
    var factors: [String] = []
    func collect(_ value: String, depth: Int) {
      let product = depth == 0 ? node : depth < 3 && isOnlyRead(value) ? self.node("Mul", giving: value) : nil
      if let product { product.inputs.forEach { collect($0, depth: depth + 1) } } else { factors.append(value) }
    }
    collect(node.outputs[0], depth: 0)
    guard factors.count == 3, let half = factors.firstIndex(where: { isNear($0, 0.5) }) else { return nil }
    factors.remove(at: half)
    for (x, sum) in [(factors[0], factors[1]), (factors[1], factors[0])] {
      guard let addition = self.node("Add", giving: sum), let (curve, one) = split(addition), isNear(one, 1),
        let function = self.node("Erf", giving: curve), let inner = producer[function.inputs[0]].map({ nodes[$0] }),
        inner.inputs.count == 2,
        let (argument, factor) = split(inner), argument == x
      else { continue }
      let root = Float(2).squareRoot()
      guard inner.operation == "Div" ? inner.inputs[0] == x && isNear(factor, root) : inner.operation == "Mul" && isNear(factor, 1 / root)
      else { continue }
      return OnnxNode("Gelu", [x], node.outputs, name: node.name)
    }
    return nil
  }
  /// A product with a constant matrix, and an offset.
  private func linear(_ node: OnnxNode) -> OnnxNode? {
    guard let (value, offset) = split(node), isOnlyRead(value), let product = self.node("MatMul", giving: value),
      let weight = constants(product.inputs[1]), weight.shape.rank == 2, let bias = constants(offset), bias.shape.rank == 1,
      bias.elementCount == weight.shape[1]
    else { return nil }
    return OnnxNode(
      "Linear", [product.inputs[0], product.inputs[1], offset], node.outputs, name: product.name.isEmpty ? product.outputs[0] : product.name
    )
  }
  /// (x − m) / d · γ + β with constants γ and β: the pieces.
  private func normalized(_ node: OnnxNode) -> (quotient: OnnxNode, scale: String, shift: String)? {
    guard let (value, shift) = split(node), isOnlyRead(value), let product = self.node("Mul", giving: value),
      let (inner, scale) = split(product),
      isOnlyRead(inner), let quotient = self.node("Div", giving: inner)
    else { return nil }
    return (quotient, scale, shift)
  }
  private func lastAxisMean(_ value: String) -> String? {
    guard let mean = node("ReduceMean", giving: value) else { return nil }
    var axes: [Int]?
    if case .integers(let list)? = mean.attributes["axes"] { axes = list }
    if mean.inputs.count > 1 { axes = constants(mean.inputs[1])?.values.map { Int($0) } }
    if case .integer(0)? = mean.attributes["keepdims"] { return nil }
    return axes == [-1] ? mean.inputs[0] : nil
  }
  private func layerNorm(_ node: OnnxNode) -> OnnxNode? {
    guard let (quotient, scale, shift) = normalized(node), let centred = self.node("Sub", giving: quotient.inputs[0]),
      lastAxisMean(centred.inputs[1]) == centred.inputs[0], let root = self.node("Sqrt", giving: quotient.inputs[1]),
      let sum = self.node("Add", giving: root.inputs[0]), let (variance, constant) = split(sum), let epsilon = scalar(constant),
      let squares = lastAxisMean(variance)
    else { return nil }
    let difference: String
    if let power = self.node("Pow", giving: squares), isNear(power.inputs[1], 2) {
      difference = power.inputs[0]
    } else if let product = self.node("Mul", giving: squares), product.inputs[0] == product.inputs[1] {
      difference = product.inputs[0]
    } else {
      return nil
    }
    // The difference may be written down twice.
    guard let other = self.node("Sub", giving: difference), other.inputs[0] == centred.inputs[0],
      lastAxisMean(other.inputs[1]) == other.inputs[0]
    else { return nil }
    return OnnxNode(
      "LayerNormalization", [centred.inputs[0], scale, shift], node.outputs, name: node.name,
      attributes: ["axis": .integer(-1), "epsilon": .float(epsilon)])
  }
  /// Batch norm with constants, per channel, written out.
  private func batchNorm(_ node: OnnxNode) -> OnnxNode? {
    guard let (quotient, scale, shift) = normalized(node), let centred = self.node("Sub", giving: quotient.inputs[0]),
      let (x, mean) = split(centred), x == centred.inputs[0], let root = self.node("Sqrt", giving: quotient.inputs[1]),
      let sum = self.node("Add", giving: root.inputs[0]), let variance = sum.inputs.first(where: { constants($0)?.elementCount ?? 0 > 1 }),
      let epsilon = sum.inputs.first(where: { $0 != variance }).flatMap({ scalar($0) }), let channels = constants(mean)?.elementCount,
      channels > 1,
      [variance, scale, shift].allSatisfy({ constants($0)?.elementCount == channels })
    else { return nil }
    return OnnxNode(
      "BatchNormalization", [x, scale, shift, mean, variance], node.outputs, name: node.name, attributes: ["epsilon": .float(epsilon)])
  }
  /// timm's group norm: instance norm over groups of channels seen as one, then scale and shift per channel.
  private func groupNorm(_ node: OnnxNode) -> OnnxNode? {
    guard let (value, shift) = split(node), isOnlyRead(value), let product = self.node("Mul", giving: value),
      let (inner, scale) = split(product),
      let back = self.node("Reshape", giving: inner), let norm = self.node("InstanceNormalization", giving: back.inputs[0]),
      let groups = constants(norm.inputs[1]), groups.values.allSatisfy({ $0 == 1 }),
      let zeros = constants(norm.inputs[2]), zeros.values.allSatisfy({ $0 == 0 }), let there = self.node("Reshape", giving: norm.inputs[0])
    else { return nil }
    return OnnxNode(
      "GroupNormalization", [there.inputs[0], scale, shift], node.outputs, name: node.name,
      attributes: ["num_groups": .integer(groups.elementCount), "epsilon": norm.attributes["epsilon"] ?? .float(1e-5)])
  }
}
