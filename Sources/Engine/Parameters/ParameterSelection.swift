// Which parameters, as a value.

/// Which parameters, as a value that prints, compares and is stored: `.normAffine && !.under("layer4")`.
public indirect enum ParameterSelection: Hashable, Codable, Sendable {
  /// All parameters of a role.
  case role(ParameterRole)
  /// All parameters of the named layer and of the layers inside it.
  case under(String)
  /// All parameters of the nodes in front of the named one.
  case before(String)
  /// All parameters whose name contains a match of the regular expression.
  case matching(String)
  /// Weight and bias of the linear classifier.
  case classifier
  /// No parameter.
  case none
  /// Those of the first or of the second selection.
  case either(Self, Self)
  /// Those of both selections.
  case both(Self, Self)
  /// All that the selection leaves out.
  case except(Self)

  /// Scale and shift of every normalisation layer.
  public static let normAffine = role(.normScale) || role(.normShift)
  /// Norm layers but those of the last stage, as SAR and DeYO list them: `layer4`, blocks 9 to 11, the final norm.
  public static let normAffineButLastStage = normAffine && !matching(#"layer4|blocks\.(9|10|11)\.|^norm\."#)
  /// Every weight and bias of the source model, norm layers included; no tokens, no running statistics.
  public static let all = normAffine || role(.weight) || role(.bias)
  /// Union.
  public static func || (left: Self, right: Self) -> Self { .either(left, right) }
  /// Intersection.
  public static func && (left: Self, right: Self) -> Self { .both(left, right) }
  /// Complement.
  public static prefix func ! (selection: Self) -> Self { .except(selection) }
}

extension Graph {
  /// The parameters of a selection. Throws for a broken regular expression, and with the nearest names when nothing matches.
  public func resolve(_ selection: ParameterSelection) throws(TTAError) -> ParameterSet {
    if selection == .none { return .empty }
    let chosen = try indices(of: selection)
    guard !chosen.isEmpty else {
      let norms = parameters.contains { $0.role == .normScale }
      let examples = NearestNames.nearest(to: selection.namedPart ?? "weight", in: parameters.map(\.name))
      throw TTAError(
        .usage, "no parameter of the model matches \(selection)",
        hint: norms
          ? "nearest parameter names: \(examples.joined(separator: ", "))"
          : "the model has no normalisation layers; nearest parameter names: \(examples.joined(separator: ", "))")
    }
    return ParameterSet(chosen.map(ParameterID.init))
  }

  private func indices(of selection: ParameterSelection) throws(TTAError) -> Set<Int> {
    switch selection {
    case .role(let role): return Set(parameters.indices.filter { parameters[$0].role == role })
    case .under(let layer):
      return Set(parameters.indices.filter { parameters[$0].name == layer || parameters[$0].name.hasPrefix(layer + ".") })
    case .before(let name): return Set(nodes[..<(try node(of: Tap(name)))].flatMap { $0.parameters.map(\.index) })
    case .matching(let pattern):
      let regex: Regex<AnyRegexOutput>
      do { regex = try Regex(pattern) } catch {
        throw TTAError(.usage, "parameters: \"\(pattern)\" is not a regular expression", hint: "\(error)", cause: error)
      }
      return Set(parameters.indices.filter { parameters[$0].name.contains(regex) })
    case .classifier:
      guard let classifier else { return [] }
      return Set([classifier.weight.index] + (classifier.bias.map { [$0.index] } ?? []))
    case .none: return []
    case .either(let left, let right): return try indices(of: left).union(indices(of: right))
    case .both(let left, let right): return try indices(of: left).intersection(indices(of: right))
    case .except(let selection): return Set(parameters.indices).subtracting(try indices(of: selection))
    }
  }
}

extension ParameterSelection: CustomStringConvertible {
  /// `(norm scale or norm shift) and not under layer4`.
  public var description: String {
    switch self {
    case .role(let role): "\(role)"
    case .under(let layer): "under \(layer)"
    case .before(let node): "before \(node)"
    case .matching(let pattern): "matching /\(pattern)/"
    case .classifier: "classifier"
    case .none: "none"
    case .either(let left, let right): "(\(left) or \(right))"
    case .both(let left, let right): "\(left) and \(right)"
    case .except(let selection): "not \(selection)"
    }
  }
  var namedPart: String? {
    switch self {
    case .under(let text), .before(let text), .matching(let text): text
    case .either(let left, let right), .both(let left, let right): left.namedPart ?? right.namedPart
    case .except(let selection): selection.namedPart
    default: nil
    }
  }
}
