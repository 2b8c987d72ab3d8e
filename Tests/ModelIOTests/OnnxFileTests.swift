// ONNX files: small classifiers against onnxruntime, files written back, and files that are wrong.

import Engine
import Foundation
import ModelIO
import Onnx
import TTA
import Testing

/// Protocol buffers by hand, so that they can be wrong.
private struct Message {
  var bytes: [UInt8] = []

  static func varint(_ value: Int) -> [UInt8] {
    var (rest, result) = (UInt64(bitPattern: Int64(value)), [UInt8]())
    while rest >= 0x80 {
      result.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    return result + [UInt8(rest)]
  }
  mutating func add(_ field: Int, _ value: Int) { bytes += Self.varint(field << 3) + Self.varint(value) }
  mutating func add(_ field: Int, _ value: [UInt8]) { bytes += Self.varint(field << 3 | 2) + Self.varint(value.count) + value }
  mutating func add(_ field: Int, _ text: String) { add(field, Array(text.utf8)) }
  mutating func add(_ field: Int, _ build: (inout Message) -> Void) {
    var inner = Message()
    build(&inner)
    add(field, inner.bytes)
  }

  /// A model of opset 17 with one graph, whose input is `images` and whose output is `y`.
  static func model(inputShape: [Int?] = [nil, 3, 8, 8], _ build: (inout Message) -> Void) -> [UInt8] {
    var model = Message()
    model.add(8) { $0.add(2, 17) }
    model.add(7) { graph in
      build(&graph)
      graph.add(11) { input in
        input.add(1, "images")
        input.add(2) { type in
          type.add(1) { tensor in
            tensor.add(1, 1)
            tensor.add(2) { shape in
              for length in inputShape {
                shape.add(1) { dimension in if let length { dimension.add(1, length) } else { dimension.add(2, "batch") } }
              }
            }
          }
        }
      }
      graph.add(12) { $0.add(1, "y") }
    }
    return model.bytes
  }
  mutating func node(_ operation: String, _ inputs: [String], _ output: String, domain: String = "") {
    add(1) { node in
      for input in inputs { node.add(1, input) }
      node.add(2, output)
      node.add(4, operation)
      if !domain.isEmpty { node.add(7, domain) }
    }
  }
  mutating func tensor(_ name: String, _ shape: [Int], type: Int = 1, raw: Int? = nil, external: [String: String] = [:]) {
    add(5) { tensor in
      for length in shape { tensor.add(1, length) }
      tensor.add(2, type)
      tensor.add(8, name)
      if let raw { tensor.add(9, Array(repeating: 0, count: raw)) }
      for (key, value) in external.sorted(by: { $0.key < $1.key }) {
        tensor.add(13) { entry in
          entry.add(1, key)
          entry.add(2, value)
        }
      }
      if !external.isEmpty { tensor.add(14, 1) }
    }
  }
}

@Suite struct OnnxFileTests {
  private static let folder = ExportedGraph.folder.appendingPathComponent("small")
  private static let logits: [String: [Float]] =
    (try? JSONDecoder().decode([String: [Float]].self, from: Data(contentsOf: folder.appendingPathComponent("logits.json")))) ?? [:]
  private static let image = Tensor((0..<192).map { Float($0) / 192 }, shape: [1, 3, 8, 8])

  private func load(_ path: String) throws -> LoadedModel { try ModelLoader.load(path: path, overrides: ExportedGraph.preprocessing) }
  private func answers(_ model: Model, _ images: Tensor) throws -> [Float] {
    var source = try AdaptationRuntime(model, Registry.current.compose(.keys(["name": .text("source")])))
    return try source.process(Batch(images), on: Executor()).scores.tensor.values
  }
  private func isClose(_ got: [Float], _ expected: [Float]) -> Bool {
    got.count == expected.count && zip(got, expected).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, abs($1)) }
  }
  private func temporary(_ name: String) -> String {
    FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString)-\(name)").path
  }

  @Test(arguments: ["convolutions.dynamo", "convolutions.script", "decomposed", "fixed-batch", "tokens.dynamo", "tokens.script"])
  func agreesWithOnnxruntime(_ name: String) throws {
    let expected = try #require(Self.logits[name + ".onnx"])
    let loaded = try load(Self.folder.appendingPathComponent(name + ".onnx").path)
    var got = try answers(loaded.model, Self.image)
    if name == "decomposed" {
      #expect(loaded.notes.contains("the softmax at the end is left out: methods need the logits"))
      let largest = got.max() ?? 0
      let sum = got.reduce(0) { $0 + exp($1 - largest) }
      got = got.map { exp($0 - largest) / sum }
    }
    #expect(isClose(got, expected), "\(got), expected \(expected)")
    // Twice the image is twice the answer, whatever batch the file was made for.
    let two = try answers(loaded.model, Tensor(Self.image.values + Self.image.values, shape: [2, 3, 8, 8]))
    #expect(try Array(two.prefix(3)) == Array(two.suffix(3)) && isClose(Array(two.prefix(3)), answers(loaded.model, Self.image)))
  }
  @Test func arithmeticIsRecognisedAsLayers() throws {
    func operations(_ name: String) throws -> [String] {
      try load(Self.folder.appendingPathComponent(name).path).model.graph.nodes.map { type(of: $0.operation).name }
    }
    #expect(
      try operations("decomposed.onnx") == [
        "normalize", "convolution", "batch norm", "pooling", "reshape", "layer norm", "activation", "linear",
      ])
    for exporter in ["dynamo", "script"] {
      let found = try operations("convolutions.\(exporter).onnx")
      #expect(found.contains("batch norm") && found.contains("group norm") && found.count { $0 == "activation" } == 3, "\(found)")
      #expect(try operations("tokens.\(exporter).onnx").count { $0 == "attention" } == 1)
    }
  }

  @Test(arguments: ["convolutions.dynamo", "convolutions.script", "tokens.script", "fixed-batch"], [false, true])
  func writtenBack(_ name: String, _ folds: Bool) throws {
    let loaded = try load(Self.folder.appendingPathComponent(name + ".onnx").path)
    let origin = try #require(loaded.origin)
    let path = temporary("back.onnx")
    defer { try? FileManager.default.removeItem(atPath: path) }
    var random = RandomSource(seed: 3)
    // Every parameter of a norm layer, as methods change them.
    let changed = Parameters(
      loaded.model.graph.parameters.map { info in
        let old = loaded.model.parameters[info.id]
        guard [.normScale, .normShift, .runningMean, .runningVariance].contains(info.role) else { return old }
        return Tensor(old.values.map { $0 + random.uniform(0.1, 0.5) }, shape: old.shape)
      })
    let adapted = try Model(graph: loaded.model.graph, parameters: changed)
    guard !folds || loaded.model.graph.nodes.contains(where: { $0.operation is BatchNorm }) else {
      #expect(throws: TTAError.self) { try origin.write(adapted, source: loaded.model, foldsNorms: true, to: path) }
      return
    }
    let count = try origin.write(adapted, source: loaded.model, foldsNorms: folds, to: path)
    #expect(count > 0)
    let back = try load(path)
    #expect(try isClose(answers(back.model, Self.image), answers(adapted, Self.image)))
    #expect(try !isClose(answers(back.model, Self.image), answers(loaded.model, Self.image)))
    #expect(
      back.model.graph.nodes.contains { $0.operation is BatchNorm } == (!folds && name.hasPrefix("c") || !folds && name.hasPrefix("f")))
    // Nothing changed is the same file.
    _ = try origin.write(loaded.model, source: loaded.model, foldsNorms: false, to: path)
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(contentsOf: Self.folder.appendingPathComponent(name + ".onnx")))
  }
  @Test func dataOfOtherFilesMovesIn() throws {
    let file = try ExportedGraph.copy("dynamo.torchvision.resnet18.onnx")
    defer { try? FileManager.default.removeItem(at: file.deletingLastPathComponent()) }
    let loaded = try load(file.path)
    let path = temporary("inside.onnx")
    defer { try? FileManager.default.removeItem(atPath: path) }
    _ = try loaded.origin?.write(loaded.model, source: loaded.model, foldsNorms: false, to: path)
    let back = try load(path)
    #expect(back.model.graph.parameters.map(\.name) == loaded.model.graph.parameters.map(\.name))
    for info in back.model.graph.parameters { #expect(back.model.parameters[info.id] == loaded.model.parameters[info.id]) }
  }

  private static let wrong: [(name: String, bytes: [UInt8], message: String)] = [
    ("nothing", [], "not a valid ONNX file: there is no graph, at byte 0"),
    ("text", Array("hello world".utf8), "not a valid ONNX file: wire type 4, at byte 3"),
    (
      "cut", Array(Message.model { $0.node("Relu", ["images"], "y") }.dropLast(3)),
      "not a valid ONNX file: a field of 63 bytes, where 60 are left, at byte 6"
    ),
    (
      "order",
      Message.model {
        $0.node("Relu", ["a"], "y")
        $0.node("Relu", ["images"], "a")
      }, "node Relu \"y\": it reads \"a\", which no earlier node gives"
    ),
    ("cycle", Message.model { $0.node("Add", ["images", "y"], "y") }, "node Add \"y\": it reads \"y\", which no earlier node gives"),
    (
      "operator", Message.model { $0.node("GridSample", ["images"], "y") },
      "node GridSample \"y\": the operator GridSample is not read (tier D: beyond the classifiers of torchvision and timm that docs/models.md lists)"
    ),
    (
      "domain", Message.model { $0.node("Attention", ["images"], "y", domain: "com.microsoft") },
      "node Attention \"y\": the domain com.microsoft is not read"
    ),
    ("output", Message.model { $0.node("Relu", ["images"], "z") }, "no node gives the output \"y\""),
    ("logits", Message.model { $0.node("Shape", ["images"], "y") }, "the output \"y\" does not depend on the images"),
    (
      "input", Message.model(inputShape: [nil, 3, 8]) { $0.node("Relu", ["images"], "y") },
      "expected one float input batch × 3 × height × width, got images (float [\"?\", \"3\", \"8\"])"
    ),
    ("channels", Message.model(inputShape: [nil, 1, 8, 8]) { $0.node("Relu", ["images"], "y") }, "expected images of 3 channels, got 1"),
    (
      "size", Message.model(inputShape: [nil, 3, nil, nil]) { $0.node("Relu", ["images"], "y") },
      "the graph leaves the size of the images open"
    ),
    (
      "short tensor",
      Message.model {
        $0.tensor("w", [4, 3, 3, 3], raw: 16)
        $0.node("Conv", ["images", "w"], "y")
      }, "not a valid ONNX file: tensor \"w\" of shape 4×3×3×3 has 16 bytes, not 432, at byte 39"
    ),
    (
      "huge tensor", Message.model { $0.tensor("w", [1 << 40, 1 << 40], raw: 16) },
      "not a valid ONNX file: tensor \"w\" has the shape [1099511627776, 1099511627776], at byte 45"
    ),
    (
      "channels of a convolution",
      Message.model {
        $0.tensor("w", [4, 2, 1, 1], raw: 32)
        $0.node("Conv", ["images", "w"], "y")
      }, "node Conv \"y\": expected weights for 3 channels in 1 groups, got 4×2×1×1"
    ),
    (
      "escape",
      Message.model {
        $0.tensor("w", [4, 3, 1, 1], external: ["location": "../secrets.bin"])
        $0.node("Conv", ["images", "w"], "y")
      }, "tensor \"w\" lies in \"../secrets.bin\", outside the model's folder"
    ),
    (
      "absolute",
      Message.model {
        $0.tensor("w", [4, 3, 1, 1], external: ["location": "/etc/passwd"])
        $0.node("Conv", ["images", "w"], "y")
      }, "tensor \"w\" lies in \"/etc/passwd\", outside the model's folder"
    ),
    (
      "beyond",
      Message.model {
        $0.tensor("w", [4, 3, 1, 1], external: ["location": "weights.bin", "offset": "100"])
        $0.node("Conv", ["images", "w"], "y")
      }, "tensor \"w\" is 48 bytes at 100 of weights.bin, which has 120"
    ),
    (
      "text as weights", Message.model { $0.tensor("w", [1], type: 8, raw: 4) },
      "not a valid ONNX file: tensor \"w\" has elements of type 8, which no classifier needs, at byte 21"
    ),
  ]

  @Test(arguments: wrong.indices) func wrongFilesAreRefused(_ index: Int) throws {
    let (name, bytes, message) = Self.wrong[index]
    let place = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: place) }
    try Data(repeating: 0, count: 120).write(to: place.appendingPathComponent("weights.bin"))
    let file = place.appendingPathComponent("model.onnx")
    try Data(bytes).write(to: file)
    let error = #expect(throws: TTAError.self) { try load(file.path) }
    #expect(error?.message == "\(file.path): \(message)", "\(name)")
    #expect(error?.hint != nil, "\(name)")
  }
  @Test func linksMayNotLeadOut() throws {
    let place = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: place) }
    try FileManager.default.createSymbolicLink(
      atPath: place.appendingPathComponent("weights.bin").path, withDestinationPath: "/etc/hostname")
    let file = place.appendingPathComponent("model.onnx")
    try Data(
      Message.model {
        $0.tensor("w", [1], external: ["location": "weights.bin"])
        $0.node("Mul", ["images", "w"], "y")
      }
    ).write(to: file)
    let error = #expect(throws: TTAError.self) { try load(file.path) }
    #expect(error?.message == "\(file.path): tensor \"w\" lies in \"weights.bin\", outside the model's folder")
  }
  @Test func foldedNormsAreNoticed() throws {
    let source = try load(Self.folder.appendingPathComponent("tokens.dynamo.onnx").path)
    #expect(!source.notes.contains { $0.hasPrefix("no norm layers") })
    let bare = Message.model {
      $0.tensor("w", [4, 3, 8, 8], raw: 4 * 768)
      $0.node("Conv", ["images", "w"], "c")
      $0.node("Flatten", ["c"], "y")
    }
    let path = temporary("bare.onnx")
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(bare).write(to: URL(fileURLWithPath: path))
    #expect(
      try load(path).notes.contains {
        $0.hasPrefix("no norm layers: if the network has batch norms, the export made them part of the convolutions")
      })
  }
  /// PyTorch's exporter calls the weights of folded norms `onnx::Conv_16`: a norm that came back folds into those again.
  @Test func normsFoldIntoWeightsOfAnyName() throws {
    let bytes = Message.model {
      $0.tensor("onnx::Conv_16", [4, 3, 8, 8], raw: 4 * 768)
      for name in ["s", "b", "m", "v"] { $0.tensor(name, [4], raw: 16) }
      $0.node("Conv", ["images", "onnx::Conv_16"], "c")
      $0.node("BatchNormalization", ["c", "s", "b", "m", "v"], "n")
      $0.node("Flatten", ["n"], "y")
    }
    let (path, folded) = (temporary("named.onnx"), temporary("folded.onnx"))
    defer { for file in [path, folded] { try? FileManager.default.removeItem(atPath: file) } }
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let loaded = try load(path)
    var random = RandomSource(seed: 4)
    let values = Parameters(
      loaded.model.graph.parameters.map { info in
        Tensor((0..<info.shape.elementCount).map { _ in random.uniform(0.5, 1.5) }, shape: info.shape)
      })
    let adapted = try Model(graph: loaded.model.graph, parameters: values)
    #expect(try adapted.foldingNorms().map(\.name) == ["onnx::Conv_16", "onnx::Conv_16.bias"])
    _ = try loaded.origin?.write(adapted, source: loaded.model, foldsNorms: true, to: folded)
    let back = try load(folded)
    #expect(!back.model.graph.nodes.contains { $0.operation is BatchNorm })
    #expect(try isClose(answers(back.model, Self.image), answers(adapted, Self.image)))
  }
}
