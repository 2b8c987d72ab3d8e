// A stream's state as one file.

import Engine
import Foundation
import Safetensors

/// The file format of states: a safetensors file whose tensors lie under their coding paths and whose metadata holds the rest as JSON.
enum StateFile {
  private static let format = "1"
  private struct Content: Codable {
    var parameters: Parameters
    @Slot var strategy: any AdaptationStrategy
    var random: RandomSource
    @Slots var guards: [any StreamGuard]
    var good: GoodState?
    var batches: Int
    var images: Int
    var largestBatch: Int?
  }
  /// Doubles and infinities survive JSON.
  private static func encoder(_ table: StateTable) -> JSONEncoder {
    let encoder = JSONEncoder()
    encoder.userInfo[.stateTable] = table
    encoder.outputFormatting = .sortedKeys
    encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return encoder
  }
  private static func content(of state: AdaptationState) -> Content {
    Content(
      parameters: state.parameters, strategy: state.strategy, random: state.random, guards: state.watch.map { [$0] } ?? [],
      good: state.good, batches: state.batches, images: state.images, largestBatch: state.largestBatch)
  }
  private static func components(of strategy: any AdaptationStrategy, source: Parameters) throws -> (text: String, table: StateTable) {
    let table = StateTable(source: source)
    let data = try encoder(table).encode(Slot(wrappedValue: strategy))
    return (String(decoding: data, as: UTF8.self), table)
  }

  /// Where two configurations differ first.
  private static func difference(_ expected: String, _ got: String) -> (place: String, expected: String, got: String)? {
    func tree(_ text: String) -> OptionTree? { try? JSONDecoder().decode(OptionTree.self, from: Data(text.utf8)) }
    func find(_ one: OptionTree, _ other: OptionTree, _ place: [String]) -> (String, String, String)? {
      guard one != other else { return nil }
      if case .keys(let left) = one, case .keys(let right) = other {
        for key in Set(left.keys).union(right.keys).sorted() {
          if let found = find(left[key] ?? .null, right[key] ?? .null, place + [key]) { return found }
        }
      }
      if case .list(let left) = one, case .list(let right) = other, left.count == right.count {
        for index in left.indices { if let found = find(left[index], right[index], place + ["\(index)"]) { return found } }
      }
      return (place.joined(separator: "."), one.description, other.description)
    }
    guard let one = tree(expected), let other = tree(got) else { return nil }
    return find(one, other, [])
  }

  static func save(_ state: AdaptationState, origin: AdaptationState, to path: String) throws {
    let table = StateTable(source: origin.parameters)
    let text = String(decoding: try encoder(table).encode(content(of: state)), as: UTF8.self)
    let metadata = [
      "tta.state": text, "tta.state_format": format, "tta.source_digest": origin.parameters.digest,
      "tta.strategy": "\(type(of: state.strategy))",
      "tta.configuration": try components(of: origin.strategy, source: origin.parameters).text,
    ]
    let tensors = table.tensors.sorted { $0.key < $1.key }.map { (name: $0.key, tensor: $0.value) }
    try SafetensorsWriter.write(tensors, metadata: metadata, to: path)
  }

  static func load(from path: String, origin: AdaptationState) throws -> AdaptationState {
    let file = try SafetensorsFile(path: path)
    func refuse(_ what: String, _ expected: String, _ got: String) -> TTAError {
      TTAError(
        .invalidData, "\(path): the state is of another \(what): expected \(expected), got \(got)",
        hint: "load it with the model and the configuration it was saved with, or start without --state-in")
    }
    guard let text = file.metadata["tta.state"], let written = file.metadata["tta.state_format"] else {
      throw TTAError(.invalidData, "\(path): not a saved state", hint: "states are written by --state-out")
    }
    guard written == format else { throw refuse("format", format, written) }
    let digest = origin.parameters.digest
    guard file.metadata["tta.source_digest"] == digest else {
      throw refuse("model", digest, file.metadata["tta.source_digest"] ?? "nothing")
    }
    let strategy = "\(type(of: origin.strategy))"
    guard file.metadata["tta.strategy"] == strategy else { throw refuse("strategy", strategy, file.metadata["tta.strategy"] ?? "nothing") }
    let own = try components(of: origin.strategy, source: origin.parameters)
    let configuration = file.metadata["tta.configuration"] ?? "nothing"
    guard configuration == own.text else {
      let (place, expected, got) = difference(own.text, configuration) ?? ("", own.text, configuration)
      throw refuse("configuration", expected, got + (place.isEmpty ? "" : " at \(place)"))
    }
    var tensors: [String: Tensor] = [:]
    for name in file.names { tensors[name] = try file.tensor(name) }
    let table = StateTable(tensors: tensors, source: origin.parameters)
    let types = StateTable(source: origin.parameters)
    _ = try encoder(types).encode(content(of: origin))
    table.adoptTypes(of: types)
    let decoder = JSONDecoder()
    decoder.userInfo[.stateTable] = table
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let content: Content
    do { content = try decoder.decode(Content.self, from: Data(text.utf8)) } catch let error as TTAError { throw error } catch {
      throw TTAError(
        .invalidData, "\(path): the state cannot be read: \(error)", hint: "the file is damaged; start from an earlier state", cause: error)
    }
    let counts = [content.batches, content.images, content.largestBatch ?? 0]
    guard counts.allSatisfy({ (0...1 << 53).contains($0) }) else {
      throw TTAError(
        .invalidData, "\(path): the state counts \(content.batches) batches of \(content.images) images",
        hint: "the file is damaged; start from an earlier state")
    }
    return AdaptationState(
      parameters: content.parameters, strategy: content.strategy, random: content.random, watch: content.guards.first, good: content.good,
      batches: content.batches, images: content.images, largestBatch: content.largestBatch ?? 0)
  }
}

extension AdaptationRuntime {
  /// Writes the state, atomically: what was at `path` stays until the new file is complete.
  public func save(to path: String) throws { try StateFile.save(state, origin: origin, to: path) }
  /// Reads a state; refuses one of another model, strategy or configuration and names the difference. The next predictions are bit-equal
  /// to those of the stream that wrote it.
  public mutating func load(from path: String) throws { adopt(try StateFile.load(from: path, origin: origin)) }
}
