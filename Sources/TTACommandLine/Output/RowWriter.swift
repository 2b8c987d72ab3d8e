// A row per image, as soon as its batch is done.

import ArgumentParser
import Engine
import Foundation
import ModelIO
import TTA

enum RowFormat: String, ExpressibleByArgument, CaseIterable { case csv, jsonl }

/// Writes predictions as rows to a file or to standard output.
struct RowWriter {
  private let format: RowFormat
  private let file: FileHandle
  private let path: String?

  init(path: String?, format: RowFormat) throws {
    (self.format, self.path) = (format, path)
    if let path {
      guard FileManager.default.createFile(atPath: path, contents: nil), let handle = FileHandle(forWritingAtPath: path) else {
        throw TTAError(.cannotWrite, "\(path): cannot be written", hint: "check that the folder exists and is writable")
      }
      file = handle
    } else {
      file = .standardOutput
    }
    if format == .csv { try write("index,input,class,label,confidence,entropy,adapted\n") }
  }
  private func write(_ text: String) throws {
    do { try file.write(contentsOf: Data(text.utf8)) } catch {
      throw TTAError(
        .cannotWrite, "\(path ?? "standard output"): \(error.localizedDescription)", hint: "check the space on the disk", cause: error)
    }
  }

  /// One row per image of a batch.
  func write(_ prediction: Prediction, names: [String], places: [Int], _ model: LoadedModel) throws {
    let probabilities = prediction.probabilities
    let (values, width, labels) = (probabilities.values, probabilities.rowElementCount, prediction.labels)
    var text = ""
    for image in 0..<probabilities.count {
      let row = values[image * width..<(image + 1) * width]
      let entropy = row.reduce(0.0) { $0 - ($1 > 0 ? Double($1) * log(Double($1)) : 0) }
      let confidence = Double(row.max() ?? 0)
      let label = model.className(labels[image])
      let adapted = prediction.weights.map { $0[image] != 0 } ?? false
      switch format {
      case .csv:
        text +=
          "\(places[image]),\(Self.quoted(names[image])),\(labels[image]),\(Self.quoted(label)),"
          + "\(Numbers.decimals(confidence, 6)),\(Numbers.decimals(entropy, 6)),\(adapted ? 1 : 0)\n"
      case .jsonl:
        text +=
          "{\"index\":\(places[image]),\"input\":\(Self.json(names[image])),\"class\":\(labels[image]),\"label\":\(Self.json(label)),"
          + "\"confidence\":\(Numbers.decimals(confidence, 6)),\"entropy\":\(Numbers.decimals(entropy, 6)),\"adapted\":\(adapted)}\n"
      }
    }
    try write(text)
  }
  private static func quoted(_ text: String) -> String {
    guard text.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return text }
    return "\"" + text.replacing("\"", with: "\"\"") + "\""
  }
  private static func json(_ text: String) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    return (try? encoder.encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
  }
  /// Makes sure that everything is on the disk.
  func close() {
    if path != nil {
      try? file.synchronize()
      try? file.close()
    }
  }
}
