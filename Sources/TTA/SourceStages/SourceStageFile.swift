// What a method learnt from source data before deployment, as a file.

import Engine
import Safetensors

/// A safetensors file that `tta prepare` wrote: a kind, the digest of the model it belongs to, tensors by name.
struct SourceStageFile {
  private let file: SafetensorsFile
  /// Text values beside the tensors.
  var metadata: [String: String] { file.metadata }
  /// Digest of the parameters of the model it was made with.
  let modelDigest: String

  /// Opens a file. Throws for a file of another kind, and for one that was not prepared.
  init(path: String, kind: String) throws(TTAError) {
    file = try SafetensorsFile(path: path)
    guard let written = file.metadata["tta.prepared"], let digest = file.metadata["tta.source_digest"] else {
      throw TTAError(.invalidData, "\(path): not a prepared file", hint: "make it with: tta prepare \(kind)")
    }
    guard written == kind else {
      throw TTAError(.invalidData, "\(path): prepared for \(written), expected \(kind)", hint: "make it with: tta prepare \(kind)")
    }
    modelDigest = digest
  }
  /// All tensors.
  func tensors() throws(TTAError) -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for name in file.names { result[name] = try file.tensor(name) }
    return result
  }
  func has(_ name: String) -> Bool { file.entries[name] != nil }
  func tensor(_ name: String) throws(TTAError) -> Tensor { try file.tensor(name) }

  /// Throws where a file belongs to another model.
  static func check(_ digest: String?, against source: Parameters, what: String) throws(TTAError) {
    guard let digest else { return }
    let own = source.digest
    guard digest == own else {
      throw TTAError(
        .invalidData, "\(what) was prepared for another model: expected the digest \(own), got \(digest)",
        hint: "prepare it again with this model")
    }
  }
  /// Writes a file, atomically.
  static func write(
    kind: String, model: Parameters, _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:], to path: String
  ) throws {
    let own = ["tta.prepared": kind, "tta.source_digest": model.digest]
    try SafetensorsWriter.write(tensors, metadata: own.merging(metadata) { first, _ in first }, to: path)
  }
}
