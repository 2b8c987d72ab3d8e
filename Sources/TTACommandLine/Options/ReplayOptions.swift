// What a replay runs, from flags and a configuration file.

import ArgumentParser
import Engine
import Evaluation
import Foundation
import Streams
import TTA
import Vision

struct ReplayOptions: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("Strategies, with options behind colons: tent:learning_rate=0.001:steps=2.", valueName: "a,b,c"))
  var strategies: String?
  @Option(name: .long, help: ArgumentHelp("A .npy array of pictures (uint8 NHWC).", valueName: "file.npy")) var images: String?
  @Option(name: .long, help: ArgumentHelp("A .npy array of their classes.", valueName: "file.npy")) var labels: String?
  @Option(name: .long, help: ArgumentHelp("A data set (tta list datasets), or shapes.", valueName: "dir")) var data: String?
  @Option(name: .long, help: ArgumentHelp("A data set of unknown classes, for open-set.", valueName: "dir")) var unknown: String?
  @Option(name: .long, help: ArgumentHelp("Settings (tta list settings), with options behind colons.", valueName: "a,b,c"))
  var setting: String?
  @Option(name: .long, help: ArgumentHelp("Corruptions or groups, in order, and clean.", valueName: "a,b,c")) var corruptions: String?
  @Option(name: .long, help: ArgumentHelp("Severities, one run each.", valueName: "a,b,c")) var severities: String?
  @Option(name: .long, help: ArgumentHelp("Seeds, one run each.", valueName: "a,b,c")) var seeds: String?
  @Option(name: .long, help: "Pictures per batch (default: 200).") var batch: Int?
  @Option(name: .long, help: "Only the first pictures of the data set.") var limit: Int?
  @Option(name: .long, help: "Batches between two saved states within a domain (default: 50).") var saveEvery: Int?
  @Option(
    name: .long, help: "Where k of time-constrained comes from: declared or measured.",
    transform: { try choice($0, of: ReplayConfiguration.TimeCost.self) })
  var timeCost: ReplayConfiguration.TimeCost?
  @Option(name: .long, help: ArgumentHelp("A folder of the published frost photographs.", valueName: "dir")) var frost: String?
  @Flag(name: .long, help: "Keep what strategies emitted: predictions/*.npy.") var predictions = false
  @Flag(name: .long, help: "Write event files for TensorBoard.") var tensorboard = false

  static let streamKeys = [
    "images", "labels", "data", "unknown", "setting", "corruptions", "severities", "seeds", "batch", "limit", "save_every", "time_cost",
    "frost", "predictions", "tensorboard",
  ]
  /// Flags over the `strategies:` and `stream:` sections of a file. Unknown keys are errors that name the nearest.
  func tree(over file: OptionTree) throws -> OptionTree {
    var tree = file
    guard case .keys(let sections) = file else { return tree }
    try Self.check(sections, ["model", "strategy", "strategies", "stream"], "section")
    if case .keys(let keys)? = file["stream"] { try Self.check(keys, Self.streamKeys, "stream: unknown key") }
    if strategies != nil || (file["strategies"] == nil && file["strategy"] == nil) {
      tree["strategies"] = .list(try Self.parts(strategies ?? "source,batch-norm,tent", "--strategies"))
      tree["strategy"] = nil
    } else if file["strategies"] != nil, file["strategy"] != nil {
      throw TTAError(.usage, "both strategy and strategies in the configuration", hint: "write one of them")
    }
    var stream = file["stream"] ?? .keys([:])
    for (key, value) in [("images", images), ("labels", labels), ("data", data), ("unknown", unknown), ("frost", frost)] {
      if let value { stream[key] = .text(value) }
    }
    if images != nil { stream["data"] = nil }
    if data != nil { (stream["images"], stream["labels"]) = (nil, labels.map { .text($0) }) }
    if let setting { stream["setting"] = .list(try Self.parts(setting, "--setting")) }
    for (key, value) in [("corruptions", corruptions), ("severities", severities), ("seeds", seeds)] {
      if let value { stream[key] = .list(words(of: value).map { OptionTree(scalar: $0) }) }
    }
    for (key, value) in [("batch", batch), ("limit", limit), ("save_every", saveEvery)] {
      if let value { stream[key] = .number(Double(value)) }
    }
    if let timeCost { stream["time_cost"] = .text(timeCost.rawValue) }
    if predictions { stream["predictions"] = .bool(true) }
    if tensorboard { stream["tensorboard"] = .bool(true) }
    tree["stream"] = stream
    return tree
  }
  private static func check(_ keys: [String: OptionTree], _ known: [String], _ what: String) throws {
    for key in keys.keys.sorted() where !known.contains(key) {
      let near = NearestNames.nearest(to: key, in: known).joined(separator: ", ")
      throw TTAError(
        .usage, what == "section" ? "unknown section \"\(key)\"" : "\(what) \"\(key)\"",
        hint: "nearest \(what == "section" ? "sections" : "keys"): \(near)")
    }
  }
  /// `name:key=value:key=value,…`
  private static func parts(_ text: String, _ option: String) throws -> [OptionTree] {
    try words(of: text).map { word in
      let pieces = word.split(separator: ":").map(String.init)
      var part = OptionTree.keys(["name": .text(pieces.first ?? "")])
      for piece in pieces.dropFirst() {
        let pair = piece.split(separator: "=", maxSplits: 1).map(String.init)
        guard pair.count == 2 else {
          throw TTAError(
            .usage, "\(option) \(word): expected name:key=value, got \"\(piece)\"", hint: "for example tent:learning_rate=0.001")
        }
        part.set(pair[0].split(separator: ".").map(String.init), to: OptionTree(scalar: pair[1]))
      }
      return part
    }
  }
}
