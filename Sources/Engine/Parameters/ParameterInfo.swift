// What a parameter is: its place, its name, its role.

/// What a parameter does; `adapter` marks parameters that a method added.
public enum ParameterRole: Hashable, Codable, Sendable, CustomStringConvertible {
  /// A weight of a convolution or a linear layer.
  case weight
  /// An offset of a convolution or a linear layer.
  case bias
  /// The scale γ of a normalisation layer.
  case normScale
  /// The shift β of a normalisation layer.
  case normShift
  /// The stored mean of a normalisation layer.
  case runningMean
  /// The stored variance of a normalisation layer.
  case runningVariance
  /// A learnt token or position embedding.
  case token
  /// A parameter that the named method added.
  case adapter(String)

  /// `weight`, `norm scale`, …
  public var description: String {
    switch self {
    case .weight: "weight"
    case .bias: "bias"
    case .normScale: "norm scale"
    case .normShift: "norm shift"
    case .runningMean: "running mean"
    case .runningVariance: "running variance"
    case .token: "token"
    case .adapter(let name): "adapter \(name)"
    }
  }
}

/// Index of a parameter in its graph.
public struct ParameterID: Hashable, Codable, Sendable, Comparable {
  /// The index.
  public let rawValue: Int32
  package init(_ index: Int) { rawValue = Int32(index) }
  package var index: Int { Int(rawValue) }
  /// Order of the graph.
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Name as in PyTorch's state dict, role and shape.
public struct ParameterInfo: Hashable, Sendable {
  /// Its index.
  public let id: ParameterID
  /// `layer1.0.bn1.weight`.
  public let name: String
  /// What it does.
  public let role: ParameterRole
  /// Its shape.
  public let shape: Shape
}

/// A selection resolved against one graph, in the order of the graph.
public struct ParameterSet: Hashable, Codable, Sendable {
  /// The parameters, ascending.
  public let ids: [ParameterID]
  /// A set of the given parameters.
  public init(_ ids: some Sequence<ParameterID>) { self.ids = Set(ids).sorted() }
  /// Nothing.
  public static let empty = ParameterSet([])
  /// True when nothing is selected.
  public var isEmpty: Bool { ids.isEmpty }
  /// Whether a parameter belongs to it.
  public func contains(_ id: ParameterID) -> Bool { ids.contains(id) }
  /// All of both.
  public func union(_ other: ParameterSet) -> ParameterSet { ParameterSet(ids + other.ids) }
}
