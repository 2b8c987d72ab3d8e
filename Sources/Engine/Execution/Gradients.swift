// Gradients going in and coming out.

internal import CKernels

/// A scalar's gradient with respect to the outputs of one pass, by tap.
public struct OutputGradient: Sendable {
  /// One tensor per output that the scalar depends on, of the output's shape.
  public var taps: [Tap: Tensor]
  /// `[.logits: gradient]`.
  public init(_ taps: [Tap: Tensor]) { self.taps = taps }
}

/// d scalar / d parameter of the differentiated parameters.
public struct Gradients: Sendable {
  /// By parameter; a missing one is zero.
  public internal(set) var tensors: [ParameterID: Tensor] = [:]
  /// The gradient of the images, where a pass was asked for it.
  public internal(set) var images: Tensor?

  /// Zero.
  public init() {}
  /// Gradients made otherwise.
  public init(_ tensors: [ParameterID: Tensor]) { self.tensors = tensors }
  /// One of them; nil is zero.
  public subscript(id: ParameterID) -> Tensor? { tensors[id] }
  /// In-place change: clipping, regularisers. Nothing happens for a parameter without a gradient.
  public mutating func update<E: Error>(_ id: ParameterID, _ body: (inout Tensor) throws(E) -> Void) throws(E) {
    guard var tensor = tensors.removeValue(forKey: id) else { return }
    defer { tensors[id] = tensor }
    try body(&tensor)
  }
  /// All of them, in the order of the parameters.
  var ordered: [(id: ParameterID, tensor: Tensor)] { tensors.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }
  /// Euclidean norm over all of them.
  public var norm: Float {
    var sum = 0.0
    for (_, tensor) in ordered {
      sum += tensor.withPointer { ck_sum_of_squares($0, tensor.elementCount) }
    }
    return Float(sum.squareRoot())
  }
  /// True where every value is finite.
  public var isFinite: Bool { tensors.values.allSatisfy(\.isFinite) }

  /// Multiplies all of them.
  public mutating func scale(by factor: Float) {
    for id in Array(tensors.keys) { update(id) { tensor in tensor.update { span in for i in span.indices { span[i] *= factor } } } }
  }

  /// Adds a part of a parameter's gradient; its first one goes into a tensor of `spare`, where one is free.
  mutating func add(_ values: UnsafePointer<Float>, shape: Shape, to id: ParameterID, reusing spare: inout Gradients) {
    if tensors[id] == nil {
      var tensor = spare.take(id, shape: shape) ?? Tensor(uninitialized: shape)
      tensor.withMutablePointer { $0.update(from: values, count: shape.elementCount) }
      tensors[id] = tensor
    } else {
      update(id) { tensor in tensor.withMutablePointer { ck_add_scaled($0, values, 1, shape.elementCount) } }
    }
  }
  /// A tensor that nobody else holds any more.
  private mutating func take(_ id: ParameterID, shape: Shape) -> Tensor? {
    guard var tensor = tensors.removeValue(forKey: id), tensor.shape == shape, tensor.isUnique else { return nil }
    return tensor
  }
}

extension Tensor {
  /// True where every value is finite.
  public var isFinite: Bool { withPointer { ck_all_finite($0, elementCount) == 1 } }
  /// True where a value is not a number; infinities are.
  public var containsNaN: Bool { !isFinite && withSpan { span in span.indices.contains { span[$0].isNaN } } }
}
