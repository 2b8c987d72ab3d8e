// When a replayed method starts again.

public import Engine
public import Streams
public import TTA

/// When a replayed method starts again from the source model.
public enum ResetRule: Hashable, Sendable {
  /// Only before the first picture.
  case never
  /// Before every batch.
  case eachBatch
  /// Before every domain.
  case eachDomain
  /// After every so many batches.
  case every(Int)

  /// The rule that a strategy's section names, or else the setting's. Throws `usage` for another form.
  public init(_ section: OptionTree?, setting: StreamPlan.Reset) throws(TTAError) {
    switch section {
    case nil, .null:
      self = setting == .never ? .never : setting == .eachBatch ? .eachBatch : .eachDomain
    case .text("never"): self = .never
    case .text("each-batch"): self = .eachBatch
    case .text("each-domain"): self = .eachDomain
    case .some(let tree):
      guard let period = tree["every"]?.number, period >= 1, period < 1e9 else {
        throw TTAError(
          .usage, "strategy reset: expected never, each-batch, each-domain or {every: N}, got \(tree)", hint: "leave it to the setting")
      }
      self = .every(Int(period))
    }
  }
  /// `never`, `before each domain`.
  public var text: String {
    switch self {
    case .never: "never"
    case .eachBatch: "before each batch"
    case .eachDomain: "before each domain"
    case .every(let batches): "after every \(batches) batches"
    }
  }
}
