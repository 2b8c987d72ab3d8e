// The golden cases of single layers and small networks.

import Engine
import Foundation
import Safetensors
import TTATestKit

/// `engine.json` of a golden folder.
struct GoldenEngine: Decodable {
  struct Bound: Decodable {
    var abs: Float
    var rel: Float?
    var tolerance: Tolerance { Tolerance(absolute: abs, relative: rel ?? 0) }
  }
  struct Layer: Decodable {
    var `case`: String, file: String, op: String
    var attributes: JSONValue
    var inputs: [String], parameters: [String], buffers: [String], tensors: [String]
  }
  struct OptimizerCase: Decodable { var `case`: String, optimizer: String, hyper: [String: JSONValue], tensor: String }
  struct LossCase: Decodable { var `case`: String, per_sample: Bool }
  var tolerance: [String: Bound]
  var layers: [Layer]
  var optimisers: [OptimizerCase]
  var losses: [LossCase]

  static func load() throws -> (golden: GoldenEngine, folder: URL)? {
    guard let folder = SharedFolders.golden?.appendingPathComponent("engine") else { return nil }
    let data = try Data(contentsOf: folder.appendingPathComponent("engine.json"))
    return (try JSONDecoder().decode(GoldenEngine.self, from: data), folder)
  }
  func bound(_ layer: Layer, gradient: Bool) -> Tolerance {
    if let own = tolerance[layer.case] { return own.tolerance }
    return tolerance[gradient ? "layers_gradient" : "layers_forward"]?.tolerance ?? Tolerance(absolute: 0)
  }
}

/// Any JSON, for attributes.
indirect enum JSONValue: Decodable {
  case bool(Bool), number(Double), text(String), list([JSONValue]), object([String: JSONValue]), null
  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .text(value)
    } else if let value = try? container.decode([JSONValue].self) {
      self = .list(value)
    } else {
      self = .object(try container.decode([String: JSONValue].self))
    }
  }
  subscript(key: String) -> JSONValue? { if case .object(let object) = self { object[key] } else { nil } }
  var number: Double? { if case .number(let number) = self { number } else { nil } }
  var int: Int? { number.map { Int($0) } }
  var bool: Bool? { if case .bool(let bool) = self { bool } else { nil } }
  var text: String? { if case .text(let text) = self { text } else { nil } }
  var pair: Convolution.Pair? {
    switch self {
    case .number(let value): .init(Int(value))
    case .list(let list): list.count == 2 ? .init(list[0].int ?? 0, list[1].int ?? 0) : nil
    default: nil
    }
  }
}
