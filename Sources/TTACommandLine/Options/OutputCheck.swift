// Outputs that would destroy something.

import Engine
import Foundation

/// Refuses outputs that would replace what is read, or each other.
enum OutputCheck {
  /// Throws `usage` before anything is written. Names are those of options or arguments; paths that are nil are not given.
  static func refuse(_ outputs: [(name: String, path: String?)], replacing inputs: [(name: String, path: String?)]) throws {
    var written: [String: String] = [:]
    for (name, path) in outputs {
      guard let path, let file = identity(path) else { continue }
      if let other = written[file] {
        throw TTAError(.usage, "\(other) and \(name) name the same file: \(path)", hint: "give each a file of its own")
      }
      written[file] = name
      for (read, input) in inputs {
        guard let input, let place = identity(input) else { continue }
        guard place == file || (file.hasPrefix(place + "/") && isPicture(file) && FileManager.default.fileExists(atPath: path)) else {
          continue
        }
        throw TTAError(.usage, "\(name) \(path) would replace what is read: \(read)", hint: "give another file")
      }
    }
  }
  /// One text for all ways to name a file or a folder; nil for devices and pipes.
  private static func identity(_ path: String) -> String? {
    let url = URL(fileURLWithPath: path)
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) {
      return AtomicFile.isDevice(path) && !isFolder.boolValue ? nil : AtomicFile.place(of: path)
    }
    return AtomicFile.place(of: url.deletingLastPathComponent().path) + "/" + url.lastPathComponent
  }
  private static func isPicture(_ path: String) -> Bool {
    [".png", ".jpg", ".jpeg", ".npy"].contains { path.lowercased().hasSuffix($0) }
  }
}
