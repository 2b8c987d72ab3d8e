// Reading and writing weight files, and what is wrong with hostile ones.

import Engine
import Foundation
import ModelIO
import Safetensors
import Testing

@Suite struct SafetensorsTests {
  private func temporary(_ bytes: [UInt8]) throws -> String {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("tta-\(UUID().uuidString).safetensors").path
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return path
  }
  private func file(header: String, payload: Int = 0, length: UInt64? = nil) -> [UInt8] {
    let text = Array(header.utf8)
    let size = length ?? UInt64(text.count)
    return withUnsafeBytes(of: size.littleEndian) { Array($0) } + text + [UInt8](repeating: 0, count: payload)
  }
  /// What is wrong, without the path and the common beginning.
  private func problem(_ bytes: [UInt8]) throws -> String? {
    let path = try temporary(bytes)
    defer { try? FileManager.default.removeItem(atPath: path) }
    do { _ = try SafetensorsFile(path: path) } catch {
      #expect(error.code == .invalidData)
      return error.message.replacingOccurrences(of: "\(path): not a valid safetensors file: ", with: "")
    }
    return nil
  }

  @Test func hostileFiles() throws {
    #expect(try problem([]) == "expected at least 8 bytes, got 0")
    #expect(try problem([1, 2, 3]) == "expected at least 8 bytes, got 3")
    #expect(try problem(file(header: "{}", length: .max)) == "the header says it has 18446744073709551615 bytes, more than 100000000")
    #expect(try problem(file(header: "{}", length: 9)) == "the header says it has 9 bytes, the file has 2 more")
    #expect(try problem(file(header: "[1]")) == "the header is not a JSON object of tensors")
    func tensor(_ dtype: String, _ shape: String, _ offsets: String) -> String {
      "{\"w\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":\(offsets)}}"
    }
    #expect(
      try problem(file(header: tensor("F8", "[1]", "[0,1]"), payload: 1))
        == "\"w\" has the type F8; expected one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL")
    #expect(try problem(file(header: tensor("F32", "[2]", "[0,8]"), payload: 4)) == "\"w\" lies at bytes [0, 8] of 4")
    #expect(try problem(file(header: tensor("F32", "[2]", "[8,0]"), payload: 8)) == "\"w\" lies at bytes [8, 0] of 8")
    #expect(try problem(file(header: tensor("F32", "[3]", "[0,8]"), payload: 8)) == "\"w\" has 8 bytes, its shape 3 of F32 needs 12")
    #expect(try problem(file(header: tensor("F32", "[-1]", "[0,8]"), payload: 8)) == "\"w\" has the shape [-1]")
    #expect(
      try problem(file(header: tensor("F32", "[9223372036854775807,4]", "[0,8]"), payload: 8))
        == "\"w\" has the shape [9223372036854775807, 4]")
    #expect(try problem(file(header: "{\"w\":{\"a\":\"b\"}}")) == "\"w\" has no dtype, shape and data_offsets")
    #expect(try problem(file(header: tensor("F32", "[0]", "[0,0]"))) == nil)
  }

  @Test func everyTruncationIsAnError() throws {
    let path = try temporary([])
    defer { try? FileManager.default.removeItem(atPath: path) }
    try SafetensorsWriter.write(
      [("a", Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3])), ("b", Tensor([7], shape: [1]))], metadata: ["k": "v"], to: path)
    let whole = try Array(Data(contentsOf: URL(fileURLWithPath: path)))
    for count in 0..<whole.count { #expect(try problem(Array(whole[..<count])) != nil, "the first \(count) bytes were accepted") }
  }

  @Test func roundTrip() throws {
    let path = try temporary([])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let values: [Float] = [0, -0.0, 1.5, -2.25, 65504, 1e-7, 3.14159, .infinity]
    for precision in [SafetensorsWriter.Precision.float32, .float16] {
      try SafetensorsWriter.write(
        [("x.weight", Tensor(values, shape: [2, 4]))], metadata: ["note": "a \"quoted\" line\nand more"], precision: precision, to: path)
      let read = try SafetensorsFile(path: path)
      #expect(read.metadata == ["note": "a \"quoted\" line\nand more"])
      let tensor = try read.tensor("x.weight")
      #expect(tensor.shape == [2, 4])
      if precision == .float32 { #expect(tensor.values.map(\.bitPattern) == values.map(\.bitPattern)) }
      for (got, expected) in zip(tensor.values, values) where expected.isFinite {
        #expect(abs(got - expected) <= abs(expected) / 1024 + 6e-8)
      }
      #expect(tensor.values[7] == .infinity)
    }
    do {
      _ = try SafetensorsFile(path: path).tensor("x.weigth")
      Issue.record("a tensor that is not there was read")
    } catch {
      #expect(error.message == "\(path): there is no tensor \"x.weigth\"" && error.hint == "nearest names: x.weight")
    }
  }

  @Test func writingWhereNothingCanBeWritten() {
    do {
      try SafetensorsWriter.write([], to: "/no/such/folder/file.safetensors")
      Issue.record("a file was written into a folder that does not exist")
    } catch {
      #expect(error.code == .cannotWrite)
      #expect(error.message == "/no/such/folder/file.safetensors: No such file or directory")
    }
  }
}

@Suite struct ModelLoaderTests {
  private func saved(_ change: (inout [(name: String, tensor: Tensor)]) -> Void, description: ModelDescription) throws -> String {
    let graph = try Architecture.named("cifar-resnet14").graph(.init(classes: 10, inputSize: 32))
    let model = try RandomWeights.model(graph, seed: 1)
    var tensors = graph.parameters.map { (name: $0.name, tensor: model.parameters[$0.id]) }
    change(&tensors)
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("tta-model-\(UUID().uuidString).safetensors").path
    try SafetensorsWriter.write(tensors, metadata: description.metadata, to: path)
    return path
  }
  private var complete: ModelDescription {
    var description = ModelDescription()
    description.architecture = "cifar-resnet14"
    (description.mean, description.deviation) = ([0, 0, 0], [1, 1, 1])
    return description
  }
  private func error(_ path: String, _ overrides: ModelDescription = ModelDescription()) -> TTAError? {
    defer { try? FileManager.default.removeItem(atPath: path) }
    do { _ = try ModelLoader.load(path: path, overrides: overrides) } catch { return error }
    return nil
  }

  @Test func descriptionsRoundTrip() throws {
    var description = complete
    (description.inputSize, description.resize, description.interpolation) = (32, 36, "bilinear")
    description.classes = (0..<10).map { "class \($0)" }
    let path = try saved({ _ in }, description: description)
    defer { try? FileManager.default.removeItem(atPath: path) }
    let loaded = try ModelLoader.load(path: path)
    #expect(loaded.description == description && loaded.architecture == "cifar-resnet14")
  }
  @Test func unknownArchitectureAndPreprocessing() throws {
    var description = complete
    description.architecture = nil
    let first = error(try saved({ _ in }, description: description))
    #expect(first?.message.hasSuffix(": the architecture is unknown") == true)
    #expect(first?.hint == "it looks like cifar-resnet14; say --architecture cifar-resnet14")
    description = complete
    description.mean = nil
    let second = error(try saved({ _ in }, description: description))
    #expect(second?.message.hasSuffix(": the preprocessing is unknown: no mean and standard deviation") == true)
  }
  @Test func tensorsOfAnotherNetwork() throws {
    let missing = error(try saved({ $0.removeFirst(7) }, description: complete))
    #expect(
      missing?.message.hasSuffix(
        ": the tensors are not those of cifar-resnet14: 7 missing: conv1.weight, bn1.weight, bn1.bias, bn1.running_mean, bn1.running_var, …"
      ) == true)
    let extra = error(try saved({ $0.append(("head.bias", Tensor(zeros: [3]))) }, description: complete))
    #expect(extra?.message.hasSuffix("1 unexpected: head.bias") == true)
    let misshapen = error(try saved({ $0[1].tensor = Tensor(zeros: [15]) }, description: complete))
    #expect(misshapen?.message.hasSuffix("1 of another shape: bn1.weight (expected 16, got 15)") == true)
    var other = complete
    other.architecture = "cifar-resnet20"
    #expect(error(try saved({ _ in }, description: other))?.hint == "it looks like cifar-resnet14; say --architecture cifar-resnet14")
    let counters = error(try saved({ $0.append(("bn1.num_batches_tracked", Tensor(zeros: [1]))) }, description: complete))
    #expect(counters == nil)
  }
  @Test func valuesThatAreNotFinite() throws {
    let broken = error(try saved({ $0[0].tensor = Tensor(repeating: .nan, shape: $0[0].tensor.shape) }, description: complete))
    #expect(broken?.code == .nonFinite && broken?.message.hasSuffix(": conv1.weight holds values that are not finite") == true)
  }
  @Test func metadataOfAnotherKind() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("tta-model-\(UUID().uuidString).safetensors").path
    try SafetensorsWriter.write([], metadata: ["tta.architecture": "resnet18", "tta.mean": "half"], to: path)
    #expect(error(path)?.message == "\(path): metadata tta.mean: expected a list of numbers, got half")
    #expect(error("/nowhere.safetensors")?.code == .missingInput)
    #expect(error("/nowhere.pt")?.code == .missingInput)
    #expect(error("/nowhere.h5")?.code == .unsupported)
  }
}
