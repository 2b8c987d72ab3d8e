// What a configuration may say outside its components.

import Engine
import TTA

enum ConfigurationCheck {
  /// Unknown sections are errors that name the nearest.
  static func sections(of tree: OptionTree) throws {
    guard case .keys(let keys) = tree else { return }
    let known = ["model", "strategy", "stream"]
    for key in keys.keys.sorted() where !known.contains(key) {
      throw TTAError(
        .usage, "unknown section \"\(key)\"", hint: "nearest sections: \(NearestNames.nearest(to: key, in: known).joined(separator: ", "))")
    }
    for key in ["model", "stream"] {
      switch keys[key] {
      case nil, .keys?: break
      case .text? where key == "model": break
      case let value?:
        throw TTAError(.usage, "\(key): expected keys and values, got \(value)", hint: "for example stream: { batch: 64 }")
      }
    }
    let stream = ["batch"]
    if case .keys(let keys)? = tree["stream"] {
      for key in keys.keys.sorted() where !stream.contains(key) {
        throw TTAError(.usage, "stream: unknown key \"\(key)\"", hint: "nearest keys: \(stream.joined(separator: ", "))")
      }
    }
  }
}
