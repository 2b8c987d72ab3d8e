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
  private let descriptor: Int32
  private let path: String?

  private static let header = "index,input,class,label,confidence,entropy,adapted\n"

  /// Begins a file, or standard output. Of a file that is there, `keeping` rows stay in front of the new ones: a stream goes on.
  init(path: String?, format: RowFormat, keeping rows: Int?) throws {
    (self.format, self.path) = (format, path)
    guard let path else {
      descriptor = STDOUT_FILENO
      if format == .csv { try write(Self.header) }
      return
    }
    let end = try rows.flatMap { FileManager.default.fileExists(atPath: path) ? try Self.end(ofRow: $0, format, in: path) : nil }
    // Links and devices stay what they are.
    descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (end == nil ? O_TRUNC : 0), 0o644)
    guard descriptor >= 0 else {
      throw TTAError(.cannotWrite, "\(path): \(String(cString: strerror(errno)))", hint: "check that the folder exists and is writable")
    }
    if let end {
      guard ftruncate(descriptor, off_t(end)) == 0, lseek(descriptor, 0, SEEK_END) >= 0 else { throw failure() }
    } else if format == .csv {
      try write(Self.header)
    }
  }
  /// Bytes up to the end of a row; rows behind it were answered after the state was written, and come again. Nil for a device or a pipe.
  private static func end(ofRow row: Int, _ format: RowFormat, in path: String) throws -> Int? {
    guard !AtomicFile.isDevice(path) else { return nil }
    let file = try MappedFile(path: path), bytes = file.bytes
    defer { withExtendedLifetime(file) {} }
    let start = format == .csv ? header.utf8.count : 0
    var (rows, place, isQuoted) = (0, start, false)
    let isKnown = format == .csv ? bytes.prefix(start).elementsEqual(header.utf8) : bytes.first ?? UInt8(ascii: "{") == UInt8(ascii: "{")
    guard isKnown else {
      throw TTAError(.invalidData, "\(path): expected the rows of the stream so far, got another file", hint: "give another --output")
    }
    while rows < row, place < bytes.count {
      if format == .csv, bytes[place] == UInt8(ascii: "\"") { isQuoted.toggle() }
      if bytes[place] == UInt8(ascii: "\n"), !isQuoted { rows += 1 }
      place += 1
    }
    guard rows == row else {
      throw TTAError(
        .invalidData, "\(path): \(rows) rows, the state has seen \(row) images",
        hint: "give the file with the rows so far, or another --output")
    }
    return place
  }
  private func write(_ text: String) throws {
    var bytes = Data(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw failure() }
      bytes = bytes.dropFirst(count)
    }
  }
  private func failure() -> TTAError {
    TTAError(
      .cannotWrite, "\(path ?? "standard output"): \(String(cString: strerror(errno)))",
      hint: "check who reads it, or the space on the disk")
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
  /// Makes sure that everything is on the disk; a device or a pipe has none.
  func close() throws {
    guard path != nil else { return }
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure() }
    Foundation.close(descriptor)
  }
}
