// Names for components.

import Engine

/// What a component does, costs and needs: for `tta list`, and for tests that count forwards.
public struct Summary: Codable, Hashable, Sendable {
  /// One phrase.
  public var text: String
  /// Where it is from.
  public var paper: String
  /// What it changes.
  public var updates: String
  /// Forwards and backwards per batch as a user reads them.
  public var forwards: String, backwards: String
  /// What a model or a stream must have.
  public var needs: [String]
  /// A table row.
  public init(
    _ text: String, paper: String, updates: String = "", forwards: String = "0", backwards: String = "0", needs: [String] = []
  ) {
    (self.text, self.paper, self.updates, self.forwards, self.backwards, self.needs) = (text, paper, updates, forwards, backwards, needs)
  }
}

/// Names for components: a value. A user's package adds its own and gets every command of `tta`.
public struct Registry: Sendable {
  /// What a name stands for.
  public enum Kind: String, Codable, Sendable, CaseIterable {
    /// The kinds of parts.
    case strategy, objective, filter, adjuster, adapter, rule, watch = "guard"
  }
  /// One name.
  public struct Entry: Sendable {
    /// The name on the command line.
    public let name: String
    /// What it stands for.
    public let kind: Kind
    /// For `tta list`.
    public let summary: Summary
    /// All options.
    public let options: [OptionDescription]
    /// Names of presets.
    public let presets: [String]
    let make: @Sendable (OptionTree, Set<String>) throws -> any Component
  }
  private var table: [Kind: [Entry]] = [:]

  /// Empty.
  public init() {}
  /// `--strategy name`. A later registration of the same name replaces the earlier one.
  public mutating func register<O: ComponentOptions>(
    strategy name: String, _ summary: Summary, _ make: @escaping @Sendable (O) throws -> any AdaptationStrategy
  ) { add(.strategy, name, summary) { try make($0) } }
  /// `--set strategy.objective=name`.
  public mutating func register<O: ComponentOptions>(
    objective name: String, _ summary: Summary, _ make: @escaping @Sendable (O) throws -> any Objective
  ) { add(.objective, name, summary) { try make($0) } }
  /// `--filter name`.
  public mutating func register<O: ComponentOptions>(
    filter name: String, _ summary: Summary, _ make: @escaping @Sendable (O) throws -> any SampleFilter
  ) { add(.filter, name, summary) { try make($0) } }
  /// `--adjuster name`.
  public mutating func register<O: ComponentOptions>(
    adjuster name: String, _ summary: Summary, _ make: @escaping @Sendable (O) throws -> any OutputAdjuster
  ) { add(.adjuster, name, summary) { try make($0) } }
  /// `--adapter name`.
  public mutating func register<O: ComponentOptions>(
    adapter name: String, _ summary: Summary, _ make: @escaping @Sendable (O) throws -> any ModelAdapter
  ) { add(.adapter, name, summary) { try make($0) } }
  /// `--guard name`.
  public mutating func register<O: ComponentOptions>(
    guard name: String, _ summary: Summary, _ make: @escaping @Sendable (O) throws -> any StreamGuard
  ) { add(.watch, name, summary) { try make($0) } }
  /// `--set strategy.rule=name`.
  public mutating func register<O: ComponentOptions>(
    rule name: String, _ summary: Summary, _ make: @escaping @Sendable (O) throws -> any UpdateRule
  ) { add(.rule, name, summary) { try make($0) } }

  private mutating func add<O: ComponentOptions>(
    _ kind: Kind, _ name: String, _ summary: Summary, _ make: @escaping @Sendable (O) throws -> any Component
  ) {
    let entry = Entry(
      name: name, kind: kind, summary: summary, options: OptionCoding.describe(O.self), presets: O.presets.keys.sorted()
    ) { tree, ignored in try make(OptionCoding.read(tree, component: name, ignoring: ignored)) }
    table[kind, default: []].removeAll { $0.name == name }
    table[kind, default: []].append(entry)
  }

  /// All names of a kind, in the order of their registration.
  public func entries(_ kind: Kind) -> [Entry] { table[kind] ?? [] }

  /// Keys of the `strategy:` section that name parts instead of options.
  private static let parts: Set<String> = [
    "name", "filter", "adjuster", "adapter", "objective", "rule", "reset", "window", "guard",
  ]

  /// Builds what the `strategy:` section of a configuration describes, with the values and methods that code uses.
  public func compose(_ section: OptionTree) throws -> any AdaptationStrategy {
    var strategy: any AdaptationStrategy = try make(.strategy, section, ignoring: Self.parts)
    let name = section["name"]?.text ?? ""
    func learning(_ what: String) throws -> any GradientStrategy {
      guard let learning = strategy as? any GradientStrategy else {
        throw TTAError(
          .usage, "\(name) learns nothing that \(what) could change", hint: "use a strategy that minimises an objective, such as tent")
      }
      return learning
    }
    if let part = section["objective"] {
      var changed = try learning("an objective")
      guard type(of: changed).exchangesObjective else {
        throw TTAError(.usage, "\(name): its objective cannot be exchanged", hint: "tent, eata, sar, deyo, roid and cmf take any objective")
      }
      changed.learner.objective = try make(.objective, part)
      strategy = changed
    }
    for part in Self.list(section["filter"]) {
      var changed = try learning("a filter")
      guard type(of: changed).acceptsFilters else {
        throw TTAError(
          .usage, "\(name): no filter can judge what it learns from", hint: "use filters with a strategy that learns from predictions")
      }
      changed.learner.filters.append(try make(.filter, part))
      strategy = changed
    }
    for part in Self.list(section["rule"]) {
      var changed = try learning("a rule")
      changed.learner.rules.append(try make(.rule, part))
      strategy = changed
    }
    if let window = section["window"] {
      guard let size = window.number, size == size.rounded() else {
        throw TTAError(.usage, "window: expected a number of images, got \(window)")
      }
      guard abs(size) <= 1e6 else {
        throw TTAError(.usage, "window: expected 1 to 1000000 images, got \(window)", hint: "as many as a batch should have")
      }
      strategy = try SlidingWindow(strategy, size: Int(size))
    }
    let adapters: [any ModelAdapter] = try Self.list(section["adapter"]).map { try make(.adapter, $0) }
    let adjusters: [any OutputAdjuster] = try Self.list(section["adjuster"]).map { try make(.adjuster, $0) }
    return adapters.isEmpty && adjusters.isEmpty ? strategy : Composition(strategy, adapters: adapters, adjusters: adjusters)
  }
  /// The guard that the section names; nil without one. `on` stands for `name`, and `true` for the built-in one.
  public func watch(_ section: OptionTree) throws -> (any StreamGuard)? {
    switch section["guard"] {
    case nil, .null, .bool(false): return nil
    case .bool(true): return try make(.watch, .text("collapse"))
    case .some(var part):
      if part["name"] == nil, let on = part["on"] { part["name"] = on }
      return try make(.watch, part, ignoring: ["name", "on"])
    }
  }
  private static func list(_ tree: OptionTree?) -> [OptionTree] {
    switch tree {
    case nil, .null: []
    case .list(let parts): parts
    case .some(let part): [part]
    }
  }
  private func make<Part>(_ kind: Kind, _ tree: OptionTree, ignoring ignored: Set<String> = ["name"]) throws -> Part {
    let tree = if case .text(let name) = tree { OptionTree.keys(["name": .text(name)]) } else { tree }
    guard let name = tree["name"]?.text else { throw TTAError(.usage, "\(kind.rawValue): expected a name, got \(tree)") }
    let known = entries(kind)
    guard let entry = known.first(where: { $0.name == name }) else {
      let near = NearestNames.nearest(to: name, in: known.map(\.name))
      throw TTAError(
        .usage, "unknown \(kind.rawValue) \"\(name)\"",
        hint: near.isEmpty
          ? "there is no \(kind.rawValue) yet; register one from a package of yours" : "nearest names: \(near.joined(separator: ", "))")
    }
    guard let part = try entry.make(tree, ignored) as? Part else {
      throw TTAError(.internal, "\(name) was registered as something else than a \(kind.rawValue)")
    }
    return part
  }

  /// What the commands see.
  @TaskLocal public static var current = Registry.builtIn
  /// Everything this library has.
  public static let builtIn: Registry = {
    var registry = Registry()
    registry.register(strategy: "source", Source.summary) { (options: Source.Options) in Source(options) }
    registry.register(strategy: "batch-norm", BatchNormAdaptation.summary) { (options: BatchNormAdaptation.Options) in
      BatchNormAdaptation(options)
    }
    registry.register(strategy: "alpha-batch-norm", AlphaBatchNorm.summary) { (options: AlphaBatchNorm.Options) in AlphaBatchNorm(options) }
    registry.register(strategy: "ema-batch-norm", EMABatchNorm.summary) { (options: EMABatchNorm.Options) in EMABatchNorm(options) }
    registerGradientStrategies(&registry)
    registerStrategiesWithoutGradients(&registry)
    registerParts(&registry)
    return registry
  }()
}

/// For components without options.
public struct NoOptions: ComponentOptions {
  /// None.
  public init() {}
}
