// All parameter values of one network.

internal import CKernels

/// All parameter values of one network, running statistics included: student, teacher and source are three of these.
///
/// Assigning one is a snapshot and costs a reference; a later change copies just the tensors it touches, once.
public struct Parameters: Sendable, Equatable {
  private var tensors: [Tensor]

  /// No parameter.
  public init() { tensors = [] }
  /// Values in the order of a graph's parameters.
  public init(_ tensors: [Tensor]) { self.tensors = tensors }

  /// How many.
  public var count: Int { tensors.count }
  /// True for a value that was moved away.
  public var isEmpty: Bool { tensors.isEmpty }
  /// One of them, to read.
  public subscript(id: ParameterID) -> Tensor { _read { yield tensors[id.index] } }
  package func pointer(_ id: ParameterID) -> UnsafePointer<Float> { UnsafePointer(tensors[id.index].storage.pointer) }

  /// In-place change. There is no subscript setter: get, change, set would copy every time.
  public mutating func update<E: Error>(_ id: ParameterID, _ body: (inout Tensor) throws(E) -> Void) throws(E) {
    try body(&tensors[id.index])
  }
  /// Adds a value behind the others: the graph got a parameter.
  package mutating func append(_ tensor: Tensor) { tensors.append(tensor) }

  /// self ← (1 − weight) · self + weight · other: teachers, weight ensembles.
  public mutating func interpolate(toward other: Parameters, by weight: Float, over set: ParameterSet) {
    for id in set.ids {
      let count = tensors[id.index].elementCount
      tensors[id.index].withMutablePointer { ck_interpolate($0, other.pointer(id), weight, count) }
    }
  }
  /// Overwrites in place where nobody else holds the memory, else shares the other's: resets of a part. Values in a mapped file give its memory back.
  public mutating func copy(from other: Parameters, over set: ParameterSet) {
    for id in set.ids { tensors[id.index].become(other.tensors[id.index]) }
  }
  /// Copies values that are shared with others into memory of their own, as the first change would.
  public mutating func separate(_ set: ParameterSet) {
    for id in set.ids { tensors[id.index].makeUnique() }
  }
  /// Gives back each element with probability `fraction`, 0 to 1, its value in `source`.
  ///
  /// Each tensor, in the order of the set, takes whole blocks of the random source from the next one that is untouched; element i draws word
  /// i % 4 of block i / 4. A source in a mapped file gives its memory back until the next time.
  public mutating func restore(
    from source: Parameters, fraction: Float, over set: ParameterSet, using random: inout RandomSource
  ) {
    for id in set.ids {
      let count = tensors[id.index].elementCount
      let original = source.pointer(id)
      let block = random.takeBlocks((count + 3) / 4)
      tensors[id.index].withMutablePointer {
        ck_restore($0, original, fraction, random.seed, block, RandomSource.domain, count)
      }
      source[id].giveBackPages()
    }
  }
  /// Folds what a forward reported into the running statistics: running ← (1 − momentum) · running + momentum · batch.
  public mutating func track(_ moments: NormMoments, momentum: Float, variance: VarianceEstimator = .unbiased) {
    for layer in moments.layers {
      guard let mean = layer.runningMean, let spread = layer.runningVariance else { continue }
      let factor = variance == .unbiased && layer.count > 1 ? Double(layer.count) / Double(layer.count - 1) : 1
      tensors[mean.index].withMutablePointer { values in
        for c in layer.mean.indices { values[c] = (1 - momentum) * values[c] + momentum * Float(layer.mean[c]) }
      }
      tensors[spread.index].withMutablePointer { values in
        for c in layer.variance.indices {
          values[c] = (1 - momentum) * values[c] + momentum * Float(layer.variance[c] * factor)
        }
      }
    }
  }
  /// A neighbour: self + distance · gradients / ‖gradients‖.
  public func displaced(along gradients: Gradients, by distance: Float) -> Parameters {
    let norm = gradients.norm
    guard norm > 0 else { return self }
    var result = self
    for (id, gradient) in gradients.tensors {
      let count = gradient.elementCount
      result.tensors[id.index].withMutablePointer { values in
        gradient.withPointer { ck_add_scaled(values, $0, distance / norm, count) }
      }
    }
    return result
  }
}
