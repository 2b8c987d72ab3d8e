// What a component may ask for before anything is compiled.

public import Engine

/// Before anything is compiled: edits of the model, parameters to learn, the way forwards run. Names are resolved here; what cannot work throws here.
public struct AdaptationSetup: Sendable {
  /// The model; edits give the stream a network of its own.
  public var model: Model { didSet { isEdited = true } }
  /// Whether the stream's network differs from the one it was given.
  private(set) var isEdited = false
  /// The defaults of every forward.
  public var options = ForwardOptions()
  /// What will be differentiated.
  public private(set) var adapted = ParameterSet.empty
  /// Factors on learning rates.
  public private(set) var rates = RateScales()
  /// Images that one adaptation step needs at least; a smaller batch is refused by name.
  public var smallestBatch = 1
  /// Why a smaller batch is refused.
  public var smallestBatchReason = ""

  /// What components take beside one pass over a batch: each adds its own. Only the planned memory depends on it.
  public var memory = MemoryDemand()
  /// Whether batches are learnt from in parts where layers allow it.
  private(set) var learnsInParts = false

  /// The parameters of the model as it was given, which prepared files belong to.
  let original: Parameters

  /// The setup of a model.
  public init(model: Model) { (self.model, original) = (model, model.parameters) }
  /// Whether a layer's values depend on the other images of a batch.
  public var hasBatchNorm: Bool { model.graph.hasBatchNorm }
  /// Parameters to learn. Later calls add, or change the factor on the optimiser's learning rate.
  public mutating func adapt(_ selection: ParameterSelection, rate: Float = 1) throws {
    let set = try model.graph.resolve(selection)
    adapted = adapted.union(set)
    for id in set.ids { rates[id] = rate }
  }
  /// Says that batches are learnt from in parts where layers allow it. Only the planned memory depends on it.
  mutating func learnInParts() { learnsInParts = true }
  /// A selection as a set to keep: for a teacher's second momentum, for a partial reset.
  public func resolve(_ selection: ParameterSelection) throws -> ParameterSet { try model.graph.resolve(selection) }
  /// The linear classifier, or an error that says why there is none.
  public func classifier() throws -> Classifier {
    guard let classifier = model.graph.classifier else {
      throw TTAError(.unsupported, "the model does not end in a linear layer", hint: "use a strategy that needs no features")
    }
    return classifier
  }
  /// The statistics of this batch become the default; needs norm layers that have any.
  public mutating func useBatchStatistics(_ statistics: NormStatistics = .batch) {
    options.statistics = statistics
    if hasBatchNorm {
      smallestBatch = max(smallestBatch, 2)
      smallestBatchReason = "batch norm layers take their statistics from the batch, and those of one image say nothing about the stream"
    }
  }
  /// Throws where the model has no batch norm layer.
  public func requireBatchNorm(for strategy: String) throws {
    guard hasBatchNorm else {
      let kinds = Set(model.graph.nodes.compactMap { ($0.operation as? any NormOperator)?.kind }).sorted()
      throw TTAError(
        .usage,
        "\(strategy): the model has no batch norm layers\(kinds.isEmpty ? "" : " (it has \(kinds.joined(separator: " and ")) norm)")",
        hint: kinds.isEmpty ? "use source" : "use tent, which learns scale and shift of any norm layer")
    }
  }
}
