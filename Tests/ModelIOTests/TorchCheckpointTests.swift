// Checkpoints of PyTorch: those of Tests/Goldens/torch (generate.py writes them), and hostile ones made here.

import Engine
import Foundation
import ModelIO
import Testing
import TorchCheckpoint

@Suite struct TorchCheckpointTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/torch")
  private func path(_ name: String) -> String { Self.folder.appendingPathComponent(name).standardizedFileURL.path }
  private func ramp(_ count: Int) -> [Float] { (0..<count).map { Float($0) / 4 - 1 } }

  @Test(arguments: ["state.pt", "legacy.pth", "protocol4.pt"]) func stateDicts(_ name: String) throws {
    let file = try TorchCheckpoint(path: path(name))
    #expect(file.key == nil && file.otherKeys.isEmpty)
    #expect(
      file.entries.count == 9 && file.entries["conv.weight"]?.shape == [4, 3, 3, 3] && file.entries["bn.num_batches_tracked"]?.type == .i64)
    for name in ["conv.weight", "conv.bias", "bn.running_var", "fc.weight"] {
      let tensor = try file.tensor(name)
      #expect(tensor.values == ramp(tensor.elementCount))
    }
  }
  @Test func typesAndViews() throws {
    let file = try TorchCheckpoint(path: path("types.pt"))
    let base = ramp(24)
    #expect(try file.tensor("shared").values == base)
    #expect(try file.tensor("transposed").values == (0..<24).map { base[$0 % 4 * 6 + $0 / 4] })
    #expect(try file.tensor("transposed").shape == [6, 4])
    #expect(try file.tensor("column").values == (0..<4).map { base[$0 * 6 + 2] })
    #expect(try file.tensor("rows").values == Array(base[6..<18]))
    #expect(try file.tensor("parameter").values == ramp(3))
    #expect(try file.tensor("scalar").values == [0.25])
    #expect(try file.tensor("empty").elementCount == 0)
    for name in ["float64", "float16", "bfloat16"] { #expect(try file.tensor(name).values == ramp(6), "\(name)") }
    for name in ["int64", "int32", "int16", "int8", "uint8"] { #expect(try file.tensor(name).values == [0, 1, 2, 3, 4, 0], "\(name)") }
    #expect(try file.tensor("bool").values == [1, 0])
    #expect(throws: TTAError.self) { try file.tensor("colum") }
  }
  @Test func wrappersPrefixesAndNormalization() throws {
    let file = try WeightFile(path: path("wrapped.pt"))
    #expect(file.mean == [0.5, 0.25, 0.125] && file.deviation == [0.25, 0.5, 1])
    #expect(file.names.contains("conv.weight") && !file.names.contains { $0.contains("num_batches") })
    #expect(try file.tensor("fc.bias").values == ramp(2))
    #expect(
      file.notes == [
        "prefix module. taken off", "normalisation layer normalize.mean, normalize.std: mean [0.5, 0.25, 0.125], std [0.25, 0.5, 1.0]",
        "prefix model. taken off", "weights: state_dict; also in the file: model_ema (--checkpoint-key)",
      ])
    let averaged = try WeightFile(path: path("wrapped.pt"), checkpointKey: "model_ema")
    #expect(averaged.mean == nil)
    #expect(try averaged.tensor("fc.bias").values == ramp(2).map { $0 + 1 })
    #expect(error { try WeightFile(path: path("wrapped.pt"), checkpointKey: "best") }?.hint == "there are some under state_dict, model_ema")
  }
  private func error(_ body: () throws -> Any) -> TTAError? {
    do { _ = try body() } catch { return error as? TTAError }
    return nil
  }

  @Test func programsAreRefused() throws {
    let module = error { try TorchCheckpoint(path: path("module.pt")) }
    #expect(module?.code == .unsupported)
    #expect(
      module?.message
        == "\(path("module.pt")): the pickle names torch.nn.modules.linear.Linear: only tensors and containers of tensors are read, never code"
    )
    #expect(module?.hint?.contains("torch.save(m.state_dict()") == true)
    var script = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path("state.pt"))))
    let (old, new) = (Array("state/version".utf8), Array("state/code/a.p".utf8.prefix(13)))
    for place in 0..<script.count - old.count where Array(script[place..<place + old.count]) == old {
      script.replaceSubrange(place..<place + old.count, with: new)
    }
    #expect(try reading(script)?.message.hasSuffix(": a TorchScript program, not a state dict") == true)
    let plain = error { try TorchCheckpoint(path: path("plain.pkl.pt")) }
    #expect(plain?.message == "\(path("plain.pkl.pt")): a pickle that torch.save did not write")
  }

  /// A file of the given bytes, read and removed.
  private func reading(_ bytes: [UInt8]) throws -> TTAError? {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("tta-\(UUID().uuidString).pt")
    try Data(bytes).write(to: url)
    defer { try? FileManager.default.removeItem(at: url) }
    return error { try TorchCheckpoint(path: url.path) }
  }
  /// The older form around a pickle of hostile bytes.
  private func legacy(_ pickle: [UInt8]) -> [UInt8] {
    let head: [UInt8] = [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E]
    return head + [0x80, 2, 0x4D, 0xE9, 3, 0x2E] + [0x80, 2, 0x7D, 0x2E] + [0x80, 2] + pickle + [0x2E] + [0x80, 2, 0x5D, 0x2E]
  }
  private func text(_ text: String) -> [UInt8] {
    [0x58] + withUnsafeBytes(of: UInt32(text.utf8.count).littleEndian) { Array($0) } + Array(text.utf8)
  }

  @Test func hostilePickles() throws {
    let system = try reading(legacy(Array("cos\nsystem\n".utf8) + text("true") + [0x85, 0x52]))
    #expect(system?.message.hasSuffix("the pickle names os.system: only tensors and containers of tensors are read, never code") == true)
    // A list in a list in a list … a million deep, and one that holds itself: neither recursion nor hang.
    let deep = try reading(legacy(Array(repeating: 0x5D, count: 1) + Array(repeating: 0x85, count: 1_000_000)))
    #expect(deep?.message.hasSuffix(": no dictionary of tensors") == true)
    let cycle = try reading(legacy([0x5D, 0x71, 0, 0x68, 0, 0x61]))
    #expect(cycle?.message.hasSuffix(": no dictionary of tensors") == true)
    let empty = try reading(legacy([0x61]))
    #expect(empty?.message.contains("an empty stack, at byte") == true)
    let long = try reading(legacy([0x58, 0xFF, 0xFF, 0xFF, 0x7F]))
    #expect(long?.message.contains("2147483647 bytes announced") == true)
    let unknown = try reading(legacy([0x28, 0x63]))
    #expect(unknown?.message.contains("a name without an end") == true)
    let code = try reading(legacy([0x93 + 0x20]))
    #expect(code?.message.contains("the pickle has the opcode 0xb3 at byte") == true)
    // A tensor of 2^40 elements over a storage of two.
    func tensor(size: [UInt8], stride: [UInt8]) -> [UInt8] {
      let storage = [0x28] + text("storage") + Array("ctorch\nFloatStorage\n".utf8) + text("0") + text("cpu") + [0x4B, 2, 0x74, 0x51]
      return [0x7D] + text("w") + Array("ctorch._utils\n_rebuild_tensor_v2\n".utf8) + [0x28] + storage + [0x4B, 0] + size + [0x85] + stride
        + [0x85]
        + [0x89, 0x7D, 0x74, 0x52, 0x73]
    }
    let huge = try reading(legacy(tensor(size: [0x8A, 6, 0, 0, 0, 0, 0, 1], stride: [0x4B, 0])))
    #expect(huge?.message.contains("the storage 0 is missing or short") == true)
  }
  @Test func damagedZipFiles() throws {
    let good = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path("state.pt"))))
    for length in [3, 10, good.count / 2, good.count - 1] {
      #expect(try reading(Array(good.prefix(length)))?.code == .invalidData, "\(length) bytes")
    }
    var compressed = good
    let directory = try #require((0..<good.count - 4).last { Array(good[$0..<$0 + 4]) == [0x50, 0x4B, 1, 2] })
    compressed[directory + 10] = 8
    #expect(try reading(compressed)?.message.hasSuffix(" is compressed") == true)
    // Two entries in one place.
    var overlapping = good
    let places = (0..<good.count - 4).filter { Array(good[$0..<$0 + 4]) == [0x50, 0x4B, 1, 2] }
    for i in 42..<46 { overlapping[places[5] + i] = good[places[4] + i] }
    #expect(try reading(overlapping)?.code == .invalidData)
    #expect(try reading(Array("<!DOCTYPE html>".utf8))?.hint?.contains("it looks like a web page") == true)
    // Any single byte changed: an answer or an error, never a trap.
    for place in stride(from: 0, to: good.count, by: 3) {
      var changed = good
      changed[place] ^= 0x41
      _ = try reading(changed)
    }
  }
}
