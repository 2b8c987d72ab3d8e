// Reading checkpoints that torch.save wrote.

public import Engine
import Foundation

/// A checkpoint of PyTorch, mapped and checked: the zip files of versions from 1.6 on, and the older form of consecutive pickles.
///
/// Only tensors and containers of tensors are read (`PickleMachine`). Contiguous float32 tensors are used where they lie in the file.
public final class TorchCheckpoint: Sendable {
  /// One tensor: a view of a storage.
  public struct Entry: Sendable {
    /// Type and shape.
    public let type: StoredType, shape: Shape
    let strides: [Int]
    /// Bytes of the file from its first element to the end of its storage.
    let range: Range<Int>
  }
  /// Where the file is.
  public let path: String
  /// The tensors of the dictionary that was chosen, by name.
  public let entries: [String: Entry]
  /// Which dictionary of the file that is (`state_dict`), and the others that hold tensors; empty where the file is itself a state dict.
  public let key: String?, otherKeys: [String]
  private let content: Content

  /// Bytes and what keeps them alive.
  private struct Content: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    let owner: AnyObject
  }
  private final class Caller {}

  /// Keys under which training programs keep state dicts, in the order in which they are looked for.
  public static let usualKeys = [
    "state_dict", "model", "model_state_dict", "net", "network", "last", "best", "weights", "params", "model_state", "state_dict_ema",
    "model_ema", "ema",
  ]

  /// Reads the table of a checkpoint. `key` names the dictionary to take, else the first of `usualKeys` that holds tensors.
  /// Throws `missingInput`, `invalidData`, or `unsupported` for pickles that would have to call code.
  public convenience init(path: String, key: String? = nil) throws(TTAError) {
    let file = try MappedFile(path: path)
    try self.init(Content(bytes: file.bytes, owner: file), path, key)
  }
  /// Reads the table of a checkpoint in memory, which must live as long as this object and its tensors.
  public convenience init(bytes: UnsafeRawBufferPointer, name: String, key: String? = nil) throws(TTAError) {
    try self.init(Content(bytes: bytes, owner: Caller()), name, key)
  }
  private init(_ content: Content, _ path: String, _ key: String?) throws(TTAError) {
    (self.content, self.path) = (content, path)
    (self.key, otherKeys, entries) = try Self.choose(Self.parse(content.bytes, path: path), path: path, key: key)
  }

  /// What a file holds before a dictionary is chosen.
  private struct Contents {
    var machine: PickleMachine
    var root: PickleValue
    /// Where each storage lies.
    var storages: [Range<Int>]
  }
  private static func parse(_ bytes: UnsafeRawBufferPointer, path: String) throws(TTAError) -> Contents {
    guard bytes.count >= 4 else {
      throw TTAError(
        .invalidData, "\(path): not a PyTorch checkpoint: \(bytes.count) bytes", hint: "the file is empty or cut short; copy it again")
    }
    let isZip = bytes[0] == 0x50 && bytes[1] == 0x4B
    if !isZip, bytes[0] != 0x80 {
      let page = bytes.prefix(512).contains(UInt8(ascii: "<"))
      throw TTAError(
        .invalidData, "\(path): not a PyTorch checkpoint: it begins with neither a zip file nor a pickle",
        hint: page ? "it looks like a web page: the download asked for a confirmation; download it again" : "check how the file was saved")
    }
    return try isZip ? parseZip(bytes, path: path) : parseLegacy(bytes, path: path)
  }
  private static func parseZip(_ bytes: UnsafeRawBufferPointer, path: String) throws(TTAError) -> Contents {
    let directory = try ZipDirectory(bytes, path: path)
    guard let pickle = directory.entries.first(where: { $0.key == "data.pkl" || $0.key.hasSuffix("/data.pkl") }) else {
      throw TTAError(
        .invalidData, "\(path): a zip file without data.pkl", hint: "PyTorch checkpoints have one; this is another kind of file")
    }
    let folder = String(pickle.key.dropLast("data.pkl".count))
    if let order = directory.entries[folder + "byteorder"], String(validating: bytes[order], as: UTF8.self) == "big" {
      throw TTAError(.unsupported, "\(path): numbers in big-endian order", hint: "save the checkpoint again on a little-endian machine")
    }
    if directory.entries.keys.contains(where: { $0.hasPrefix(folder + "code/") }) {
      throw TTAError(
        .unsupported, "\(path): a TorchScript program, not a state dict",
        hint: "save the weights alone: torch.save(torch.jit.load('IN').state_dict(), 'OUT.pt')")
    }
    var machine = PickleMachine(UnsafeRawBufferPointer(rebasing: bytes[pickle.value]), path: path)
    let root = try machine.run()
    var storages: [Range<Int>] = []
    for storage in machine.storages {
      guard let range = directory.entries[folder + "data/" + storage.key] else {
        throw machine.fail("the storage \(storage.key) is missing")
      }
      let (needed, overflow) = storage.count.multipliedReportingOverflow(by: storage.type.byteCount)
      guard !overflow, needed <= range.count else {
        throw machine.fail(
          "the storage \(storage.key) has \(range.count) bytes, \(storage.count) elements of \(storage.type.rawValue) announced")
      }
      storages.append(range)
    }
    return Contents(machine: machine, root: root, storages: storages)
  }

  /// Magic number, protocol, machine, value, keys of the storages; then each storage behind its element count.
  private static func parseLegacy(_ bytes: UnsafeRawBufferPointer, path: String) throws(TTAError) -> Contents {
    var machine = PickleMachine(bytes, path: path)
    let magic: [UInt8] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]
    guard try machine.run() == .bytes(magic) else {
      throw TTAError(
        .unsupported, "\(path): a pickle that torch.save did not write", hint: "save the state dict with torch.save, or as safetensors")
    }
    guard try machine.run() == .integer(1001) else { throw machine.fail("another protocol than 1001") }
    _ = try machine.run()
    let root = try machine.run()
    let last = try machine.run()
    guard let keys = machine.sequence(last) else { throw machine.fail("no list of storages") }
    var position = machine.position
    var places: [String: Range<Int>] = [:]
    let types = Dictionary(machine.storages.map { ($0.key, $0.type) }) { first, _ in first }
    for key in keys {
      guard case .text(let name) = key, let type = types[name] else { throw machine.fail("a storage without a tensor") }
      guard position <= bytes.count - 8 else { throw machine.fail("the file ends before the storage \(name)") }
      let count = Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Int64.self))
      let (size, overflow) = Int(count).multipliedReportingOverflow(by: type.byteCount)
      guard count >= 0, !overflow, size <= bytes.count - position - 8 else {
        throw machine.fail("the storage \(name) announces \(count) elements, the file has \(bytes.count - position - 8) more bytes")
      }
      places[name] = position + 8..<position + 8 + size
      position += 8 + size
    }
    var storages: [Range<Int>] = []
    for storage in machine.storages {
      guard let range = places[storage.key], range.count >= storage.count * storage.type.byteCount else {
        throw machine.fail("the storage \(storage.key) is missing or short")
      }
      storages.append(range)
    }
    return Contents(machine: machine, root: root, storages: storages)
  }

  // MARK: - The state dict

  private static func choose(
    _ contents: Contents, path: String, key: String?
  ) throws(TTAError) -> (key: String?, others: [String], entries: [String: Entry]) {
    let root = try tensors(of: contents.root, contents)
    if key == nil, !root.isEmpty { return (nil, [], root) }
    guard case .container(let number) = contents.root, case .dictionary(let items) = contents.machine.containers[number] else {
      throw TTAError(.invalidData, "\(path): no dictionary of tensors", hint: "save model.state_dict() with torch.save")
    }
    var found: [(key: String, entries: [String: Entry])] = []
    for item in items {
      guard case .text(let name) = item.key else { continue }
      let tensors = try tensors(of: item.value, contents)
      if !tensors.isEmpty { found.append((name, tensors)) }
    }
    let keys = found.map(\.key)
    if let key {
      guard let chosen = found.first(where: { $0.key == key }) else {
        throw TTAError(
          .usage, "\(path): there are no tensors under \"\(key)\"",
          hint: keys.isEmpty ? "the file is itself a state dict, or holds none" : "there are some under \(keys.joined(separator: ", "))")
      }
      return (key, keys.filter { $0 != key }, chosen.entries)
    }
    let usual = usualKeys.lazy.compactMap { name in found.first { $0.key == name } }.first
    guard let chosen = usual ?? (found.count == 1 ? found[0] : nil) else {
      throw TTAError(
        .invalidData, "\(path): no state dict found",
        hint: keys.isEmpty
          ? "save model.state_dict() with torch.save"
          : "tensors lie under \(keys.joined(separator: ", ")); choose one with --checkpoint-key")
    }
    return (chosen.key, keys.filter { $0 != chosen.key }, chosen.entries)
  }

  /// The tensors that a dictionary holds directly; empty for other values.
  private static func tensors(of value: PickleValue, _ contents: Contents) throws(TTAError) -> [String: Entry] {
    guard case .container(let number) = value, case .dictionary(let items) = contents.machine.containers[number] else { return [:] }
    var entries: [String: Entry] = [:]
    for item in items {
      guard case .text(let name) = item.key, case .tensor(let tensor) = item.value else { continue }
      entries[name] = try entry(contents.machine.tensors[tensor], name, contents)
    }
    return entries
  }
  private static func entry(_ tensor: PickledTensor, _ name: String, _ contents: Contents) throws(TTAError) -> Entry {
    let storage = contents.machine.storages[tensor.storage]
    func fail() -> TTAError {
      contents.machine.fail(
        "\(name): size \(tensor.shape) with strides \(tensor.strides) at \(tensor.offset) does not fit a storage of \(storage.count)")
    }
    guard tensor.shape.count == tensor.strides.count, tensor.offset >= 0, tensor.offset <= storage.count else { throw fail() }
    var (elements, last) = (1, tensor.offset)
    for (length, stride) in zip(tensor.shape, tensor.strides) {
      guard length >= 0, stride >= 0 else { throw fail() }
      let (product, overflow) = elements.multipliedReportingOverflow(by: length)
      let (step, overflowOfStep) = max(0, length - 1).multipliedReportingOverflow(by: stride)
      let (sum, overflowOfSum) = last.addingReportingOverflow(step)
      guard !overflow, !overflowOfStep, !overflowOfSum else { throw fail() }
      (elements, last) = (product, sum)
    }
    guard elements <= storage.count, elements == 0 || last < storage.count else { throw fail() }
    let range = contents.storages[tensor.storage]
    return Entry(
      type: storage.type, shape: Shape(tensor.shape), strides: tensor.strides,
      range: range.lowerBound + tensor.offset * storage.type.byteCount..<range.upperBound)
  }

  /// A tensor as float32; contiguous float32 values are not copied.
  public func tensor(_ name: String) throws(TTAError) -> Tensor {
    guard let entry = entries[name] else {
      throw TTAError(
        .invalidData, "\(path): there is no tensor \"\(name)\"",
        hint: "nearest names: \(NearestNames.nearest(to: name, in: entries.keys).joined(separator: ", "))")
    }
    let raw = UnsafeRawBufferPointer(rebasing: content.bytes[entry.range])
    let dimensions = entry.shape.dimensions
    var contiguous = Array(repeating: 1, count: dimensions.count)
    for axis in contiguous.indices.dropLast().reversed() { contiguous[axis] = contiguous[axis + 1] * dimensions[axis + 1] }
    if zip(dimensions.indices, dimensions).allSatisfy({ $1 == 1 || entry.strides[$0] == contiguous[$0] }) {
      return entry.type.tensor(of: raw, shape: entry.shape, owner: content.owner)
    }
    var values: [Float] = []
    values.reserveCapacity(entry.shape.elementCount)
    var index = Array(repeating: 0, count: dimensions.count)
    for _ in 0..<entry.shape.elementCount {
      values.append(entry.type.value(zip(index, entry.strides).reduce(0) { $0 + $1.0 * $1.1 }, of: raw))
      for axis in index.indices.reversed() {
        index[axis] += 1
        if index[axis] < dimensions[axis] { break }
        index[axis] = 0
      }
    }
    return Tensor(values, shape: entry.shape)
  }
}
