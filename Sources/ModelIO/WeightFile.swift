// Weights by name, whatever file they lie in.

public import Engine
import Foundation
public import Safetensors
import TorchCheckpoint

/// The tensors of a weight file under the names that architectures use.
///
/// Training programs wrap models: in `DataParallel` (`module.`), in a container (`model.`, `backbone.`), behind a layer that normalises images.
/// Prefixes that all tensors share are taken off, and constants of a normalisation layer become `mean` and `deviation`.
public struct WeightFile: Sendable {
  /// Where the file is.
  public let path: String
  /// Text beside the tensors (safetensors only).
  public let metadata: [String: String]
  /// Constants of a normalisation layer that the file holds, for images in 0…1.
  public private(set) var mean: [Float]?, deviation: [Float]?
  /// What was taken and what was left out, in sentences.
  public private(set) var notes: [String]
  /// Names in the file, by the names that are used.
  private var originals: [String: String]
  private let shapes: [String: Shape]
  private let read: @Sendable (String) throws(TTAError) -> Tensor

  /// Endings of files that can be read.
  public static let endings = [".safetensors", ".safetensors.index.json", ".pt", ".pth", ".pth.tar", ".bin", ".ckpt"]

  /// Opens a file by its ending: safetensors, a table of safetensors shards, or a PyTorch checkpoint, of which `checkpointKey` names the
  /// dictionary to take. Throws `unsupported` for other endings, `usage` for a key of a file that has none, `missingInput` and `invalidData`.
  public init(path: String, checkpointKey: String? = nil) throws(TTAError) {
    let isCheckpoint = Self.endings.contains { path.hasSuffix($0) } && !path.contains(".safetensors")
    guard checkpointKey == nil || isCheckpoint else {
      throw TTAError(.usage, "\(path): a checkpoint key is for PyTorch checkpoints", hint: "leave --checkpoint-key out")
    }
    if path.hasSuffix(".safetensors") {
      self.init(try SafetensorsFile(path: path))
    } else if path.hasSuffix(".safetensors.index.json") {
      try self.init(shardsOf: path)
    } else if isCheckpoint {
      self.init(try TorchCheckpoint(path: path, key: checkpointKey))
    } else {
      throw TTAError(
        .unsupported, "\(path): expected a file that ends in \(Self.endings.joined(separator: ", "))",
        hint: "save the weights as safetensors or with torch.save, export the network as .onnx, or name a built-in model: shapes")
    }
  }
  /// The tensors of an open safetensors file.
  public init(_ file: SafetensorsFile) {
    self.init(path: file.path, metadata: file.metadata, shapes: file.entries.mapValues(\.shape)) { name throws(TTAError) in
      try file.tensor(name)
    }
  }
  private init(_ checkpoint: TorchCheckpoint) {
    self.init(path: checkpoint.path, metadata: [:], shapes: checkpoint.entries.mapValues(\.shape)) { name throws(TTAError) in
      try checkpoint.tensor(name)
    }
    if let key = checkpoint.key {
      let others = checkpoint.otherKeys
      notes.append("weights: \(key)" + (others.isEmpty ? "" : "; also in the file: \(others.joined(separator: ", ")) (--checkpoint-key)"))
    }
  }

  private struct Index: Decodable {
    var weightMap: [String: String]
    enum CodingKeys: String, CodingKey { case weightMap = "weight_map" }
  }
  /// A table from tensor names to files of the same folder.
  private init(shardsOf path: String) throws(TTAError) {
    let text = try MappedFile(path: path).text()
    guard let index = try? JSONDecoder().decode(Index.self, from: Data(text.utf8)) else {
      throw TTAError(.invalidData, "\(path): expected a JSON object with a weight_map", hint: "download the file again")
    }
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
    var files: [String: SafetensorsFile] = [:]
    for name in Set(index.weightMap.values).sorted() {
      guard !name.contains("/"), name.hasSuffix(".safetensors") else {
        throw TTAError(
          .invalidData, "\(path): the shard \"\(name)\" is no safetensors file of the same folder", hint: "put all shards beside the index")
      }
      files[name] = try SafetensorsFile(path: folder.appendingPathComponent(name).path)
    }
    var shapes: [String: Shape] = [:]
    for (tensor, name) in index.weightMap { shapes[tensor] = try files[name]?.entry(tensor).shape }
    let (shards, map) = (files, index.weightMap)
    self.init(path: path, metadata: [:], shapes: shapes) { name throws(TTAError) in
      guard let file = map[name].flatMap({ shards[$0] }) else { throw TTAError(.internal, "no shard holds \(name)") }
      return try file.tensor(name)
    }
    notes.append("\(files.count) shards")
  }

  private init(
    path: String, metadata: [String: String], shapes: [String: Shape], read: @escaping @Sendable (String) throws(TTAError) -> Tensor
  ) {
    (self.path, self.metadata, self.shapes, self.read, notes) = (path, metadata, shapes, read, [])
    // Counters that state dicts carry and no forward reads.
    originals = Dictionary(uniqueKeysWithValues: shapes.keys.filter { !$0.hasSuffix("num_batches_tracked") }.map { ($0, $0) })
    while takeNormalization() || takePrefix() {}
  }

  /// Layers of constants by the names of their mean and deviation.
  private static let normalizations = [
    ("mu", "sigma"), ("mean", "std"), ("normalize.mean", "normalize.std"), ("normalizer.mean", "normalizer.std"), ("norm.mean", "norm.std"),
    ("0.mean", "0.std"),
  ]
  private mutating func takeNormalization() -> Bool {
    guard mean == nil else { return false }
    for (first, second) in Self.normalizations {
      guard let means = originals[first], let deviations = originals[second], shapes[means]?.elementCount == 3,
        shapes[deviations]?.elementCount == 3, let values = try? (read(means).values, read(deviations).values),
        values.1.allSatisfy({ $0 > 0 })
      else { continue }
      (mean, deviation) = values
      originals[first] = nil
      originals[second] = nil
      notes.append("normalisation layer \(first), \(second): mean \(values.0), std \(values.1)")
      return true
    }
    return false
  }
  /// What wraps whole models; `1.` behind a normalisation layer `0.`.
  private static let prefixes = ["module.", "model.", "backbone.", "net.", "network.", "_orig_mod.", "1."]
  private mutating func takePrefix() -> Bool {
    guard let prefix = Self.prefixes.first(where: { prefix in !originals.isEmpty && originals.keys.allSatisfy { $0.hasPrefix(prefix) } })
    else {
      return false
    }
    originals = Dictionary(uniqueKeysWithValues: originals.map { (String($0.key.dropFirst(prefix.count)), $0.value) })
    notes.append("prefix \(prefix) taken off")
    return true
  }

  /// The same file with parts of names replaced, where older checkpoints spell them otherwise.
  func replacing(_ parts: [(old: String, new: String)]) -> WeightFile {
    guard !parts.isEmpty else { return self }
    var result = self
    result.originals = Dictionary(
      originals.map { name, original in (parts.reduce(name) { $0.replacing($1.old, with: $1.new) }, original) },
      uniquingKeysWith: { first, _ in first })
    return result
  }
  /// Alphabetical.
  public var names: [String] { originals.keys.sorted() }
  /// The shape of a tensor; nil where there is none of that name.
  public func shape(of name: String) -> Shape? { originals[name].flatMap { shapes[$0] } }
  /// A tensor as float32; contiguous float32 values are used where they lie in the file.
  public func tensor(_ name: String) throws(TTAError) -> Tensor {
    guard let original = originals[name] else {
      throw TTAError(
        .invalidData, "\(path): there is no tensor \"\(name)\"",
        hint: "nearest names: \(NearestNames.nearest(to: name, in: originals.keys).joined(separator: ", "))")
    }
    return try read(original)
  }
}
