// From the options of a replay to its configuration, its pictures and its model.

import Engine
import Evaluation
import Foundation
import ModelIO
import Streams
import TTA
import Vision

/// Everything that a replay needs before its first batch.
struct ReplayPreparation {
  let configuration: ReplayConfiguration
  let source: ReplaySource
  let loaded: LoadedModel
  let saveEvery: Int, writesEvents: Bool

  /// Reads a merged tree of options (see `ReplayOptions.tree`).
  init(_ tree: OptionTree, model: ModelOptions, lowering: String) throws {
    loaded = try model.load(tree["model"])
    let stream = tree["stream"] ?? .keys([:])
    let (images, name) = try Self.images(stream)
    let preprocessing = name == "shapes" ? nil : try loaded.preprocessing()
    source = try ReplaySource(images, classCount: loaded.model.graph.classCount, preprocessing: preprocessing)
    var sections = Self.list(tree["strategies"])
    if sections.isEmpty { sections = Self.list(tree["strategy"]) }
    var data = OptionTree.keys([:])
    for key in ["images", "labels", "data", "unknown", "limit"] { if let value = stream[key] { data[key] = value } }
    if !images.corruptions.isEmpty { data["published"] = .bool(true) }
    var configuration = ReplayConfiguration(
      model: model.section(tree["model"]), modelDigest: loaded.model.parameters.digest, data: data, dataDigest: try source.digest(),
      dataset: name, strategies: try Self.strategies(sections), settings: try Self.settings(stream["setting"]),
      corruptions: try Self.corruptions(stream["corruptions"], images))
    configuration.severities = try Self.numbers(stream, "severities", 0.25...5) ?? [5]
    configuration.seeds = (try Self.numbers(stream, "seeds", 0...9e15) ?? [1]).map { UInt64($0) }
    configuration.batch = try Self.count(stream, "batch", atMost: 100_000) ?? 200
    configuration.preprocessing = preprocessing.map { Self.text($0) } ?? "as they are"
    configuration.lowering = lowering
    configuration.keepsPredictions = stream["predictions"] == .bool(true)
    if let text = stream["time_cost"]?.text {
      guard let cost = ReplayConfiguration.TimeCost(rawValue: text) else {
        throw TTAError(.usage, "stream.time_cost: expected declared or measured, got \"\(text)\"", hint: "leave it out for declared")
      }
      configuration.timeCost = cost
    }
    configuration.frostDirectory = stream["frost"]?.text
    self.configuration = configuration
    saveEvery = try Self.count(stream, "save_every") ?? 50
    writesEvents = stream["tensorboard"] == .bool(true)
  }

  /// The options again, from a configuration that was written.
  static func tree(of configuration: ReplayConfiguration) -> OptionTree {
    var stream = configuration.data
    stream["published"] = nil
    stream["setting"] = .list(
      configuration.settings.map { setting in
        .keys(
          setting.options.mapValues { value in
            switch value {
            case .flag(let flag): .bool(flag)
            case .number(let number): .number(number)
            case .text(let text): .text(text)
            }
          }.merging(["name": .text(setting.name)]) { $1 })
      })
    stream["corruptions"] = .list((configuration.corruptions.isEmpty ? ["none"] : configuration.corruptions).map { .text($0) })
    stream["severities"] = .list(configuration.severities.map { .number($0) })
    stream["seeds"] = .list(configuration.seeds.map { .number(Double($0)) })
    stream["batch"] = .number(Double(configuration.batch))
    stream["time_cost"] = .text(configuration.timeCost.rawValue)
    if configuration.keepsPredictions { stream["predictions"] = .bool(true) }
    if let frost = configuration.frostDirectory { stream["frost"] = .text(frost) }
    let strategies = configuration.strategies.map { strategy in
      var section = strategy.section
      section["label"] = .text(strategy.label)
      return section
    }
    return .keys(["model": configuration.model, "strategies": .list(strategies), "stream": stream])
  }

  private static func images(_ stream: OptionTree) throws -> (images: any LabeledImages, name: String) {
    var images: any LabeledImages, name: String
    if let path = stream["images"]?.text {
      guard let labels = stream["labels"]?.text else {
        throw TTAError(.usage, "--images without --labels: errors cannot be counted", hint: "give --labels FILE.npy")
      }
      (images, name) = (try NumpyImages(path: path, labels: labels), lastName(path))
    } else {
      let path = stream["data"]?.text ?? "shapes"
      var options = DatasetFolder.Options()
      options.labels = stream["labels"]?.text
      (images, name) = (try DatasetFolder.open(path, options: options).images, lastName(path))
    }
    if let limit = try count(stream, "limit") { images = try ImageRange(images, 0..<min(images.count, limit)) }
    if let unknown = stream["unknown"]?.text {
      images = ConcatenatedImages([images, UnknownImages(try DatasetFolder.open(unknown).images)])
    }
    return (images, name)
  }
  private static func lastName(_ path: String) -> String {
    URL(fileURLWithPath: path).lastPathComponent.replacing(/\.npy$/, with: "")
  }

  private static func list(_ tree: OptionTree?) -> [OptionTree] {
    switch tree {
    case nil, .null: []
    case .list(let items): items
    case .some(let item): [item]
    }
  }
  private static func strategies(_ sections: [OptionTree]) throws -> [ReplayConfiguration.Strategy] {
    var strategies: [ReplayConfiguration.Strategy] = []
    for item in sections {
      var section = item
      if case .text(let name) = item { section = .keys(["name": .text(name)]) }
      guard let name = section["name"]?.text else {
        throw TTAError(.usage, "strategies: expected a name, got \(item)", hint: "for example strategies: [source, tent]")
      }
      let options = flattened(section, "").filter { $0.key != "name" && $0.key != "label" }.sorted { $0.key < $1.key }
      let label =
        section["label"]?.text ?? name + (options.isEmpty ? "" : "(\(options.map { "\($0.key)=\($0.value)" }.joined(separator: ",")))")
      section["label"] = nil
      _ = try (Registry.current.compose(section), Registry.current.watch(section))
      guard !strategies.contains(where: { $0.label == label }) else {
        throw TTAError(.usage, "two strategies are called \(label)", hint: "give one of them another label: {name: \(name), label: …}")
      }
      strategies.append(.init(label: label, section: section))
    }
    guard !strategies.isEmpty else {
      throw TTAError(.usage, "--strategies: expected at least one name", hint: "for example source,batch-norm,tent")
    }
    return strategies
  }
  private static func flattened(_ tree: OptionTree, _ path: String) -> [(key: String, value: String)] {
    guard case .keys(let keys) = tree else { return [(path, tree.text ?? "\(tree)")] }
    return keys.flatMap { flattened($0.value, path.isEmpty ? $0.key : "\(path).\($0.key)") }
  }
  private static func settings(_ tree: OptionTree?) throws -> [ReplayConfiguration.Setting] {
    var items = list(tree)
    if items.isEmpty { items = [.text("continual")] }
    return try items.map { item in
      guard let name = item.text ?? item["name"]?.text else {
        throw TTAError(.usage, "setting: expected a name, got \(item)", hint: "for example setting: {name: correlated, construction: note}")
      }
      var options: [String: SettingOption] = [:]
      if case .keys(let keys) = item {
        for (key, value) in keys where key != "name" {
          switch value {
          case .bool(let flag): options[key] = .flag(flag)
          case .number(let number): options[key] = .number(number)
          default: options[key] = .text(value.text ?? "\(value)")
          }
        }
      }
      let kind = try SettingKind.named(name)
      _ = try kind.make(options)
      return .init(name: kind.name, options: options.filter { kind.options[$0.key] != $0.value })
    }
  }
  /// Names of corruptions; `none` and data sets with domains of their own have none.
  private static func corruptions(_ tree: OptionTree?, _ images: any LabeledImages) throws -> [String] {
    var names = list(tree).compactMap(\.text).flatMap { words(of: $0) }
    if names == ["none"] { return [] }
    if names.isEmpty {
      if !images.parts.isEmpty { return [] }
      names = ["standard"]
    }
    var result: [String] = []
    for name in names {
      for each in name == "clean" ? ["clean"] : try CorruptionKind.group(name).map(\.name) where !result.contains(each) {
        result.append(each)
      }
    }
    return result
  }
  /// A count of images or batches.
  private static func count(_ stream: OptionTree, _ key: String, atMost most: Int = .max) throws -> Int? {
    guard let number = try stream.wholeNumber(key, in: "stream") else { return nil }
    guard (1...most).contains(number) else {
      throw TTAError(
        .usage, "stream.\(key): expected \(most == .max ? "at least 1" : "a number from 1 to \(most)"), got \(number)",
        hint: "for example \(key): 200")
    }
    return number
  }
  private static func numbers(_ stream: OptionTree, _ key: String, _ range: ClosedRange<Double>) throws -> [Double]? {
    guard let tree = stream[key] else { return nil }
    let items = list(tree)
    let numbers = items.compactMap(\.number)
    let mustBeWhole = key != "severities"
    guard !items.isEmpty, numbers.count == items.count, numbers.allSatisfy({ range.contains($0) && (!mustBeWhole || $0 == $0.rounded()) }),
      Set(numbers).count == numbers.count
    else {
      let (low, high) = (OptionTree.number(range.lowerBound).text ?? "", OptionTree.number(range.upperBound).text ?? "")
      throw TTAError(
        .usage, "stream.\(key): expected different \(mustBeWhole ? "whole " : "")numbers from \(low) to \(high), got \(tree)",
        hint: "for example \(key): [1, 2, 3]")
    }
    return numbers
  }
  private static func text(_ preprocessing: Preprocessing) -> String {
    let size = "\(preprocessing.inputHeight)×\(preprocessing.inputWidth)"
    let mean = preprocessing.mean.map { "\($0)" }.joined(separator: ", ")
    let deviation = preprocessing.std.map { "\($0)" }.joined(separator: ", ")
    let resize = preprocessing.resize == nil ? "" : "resized (\(preprocessing.interpolation.rawValue)), centre crop, "
    return "\(resize)input \(size), mean \(mean), standard deviation \(deviation)"
  }
}
