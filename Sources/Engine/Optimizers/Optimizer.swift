// What an optimiser is.

/// Learning-rate factors per parameter (1 unless a selection was given another): parameter groups without groups.
public struct RateScales: Hashable, Sendable {
  private var factors: [ParameterID: Float] = [:]
  /// A factor on all of them, for schedules.
  public var common: Float = 1
  /// 1 everywhere.
  public init() {}
  /// The factor of one parameter, without the common one.
  public subscript(id: ParameterID) -> Float {
    get { factors[id] ?? 1 }
    set { factors[id] = newValue }
  }
  /// What a parameter's learning rate is multiplied by.
  func factor(of id: ParameterID) -> Float { self[id] * common }
}

/// Changes parameters along gradients, in place. Moments are part of the value, so a copy or a snapshot has them.
public protocol Optimizer: Codable, Sendable {
  /// Values that it keeps for each value of a parameter, for the planned memory: moments, velocities.
  var keptPerValue: Int { get }
  /// One update of the parameters that have a gradient.
  mutating func step(_ parameters: inout Parameters, _ gradients: Gradients, rates: RateScales)
}

extension Optimizer {
  /// None.
  public var keptPerValue: Int { 0 }
}

/// State tensors of an optimiser by parameter: made at first use, changed in place afterwards.
struct OptimizerState: Codable, Sendable {
  private var tensors = ByParameter<Tensor>()

  func contains(_ id: ParameterID) -> Bool { tensors.values[id] != nil }
  /// Changes one tensor in place, zeros at first.
  mutating func update(_ id: ParameterID, shape: Shape, _ body: (UnsafeMutablePointer<Float>) -> Void) {
    tensors.values[id, default: Tensor(zeros: shape)].withMutablePointer(body)
  }
}
